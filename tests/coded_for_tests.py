"""Made-up coded sessions in the formats of published sets, learnable from a few dozen of them."""

import csv
import random
from collections.abc import Sequence
from pathlib import Path

QUESTIONS = (
    "What would you like to change?", "How was your week?", "When do you drink most?", "Who is there with you?",
    "How sure are you about that?", "What happened then?",
)  # fmt: skip
REFLECTIONS = (
    "So you feel torn about the {}.",
    "It sounds like the {} wears you out.",
    "You are worried about your {}.",
    "You want more time for the {}, and it is hard.",
    "So the {} matters a lot to you.",
)
INPUTS = (
    "You should cut the {} down to two a day.",
    "The patch can help with the {}.",
    "I would advise leaving the {} out.",
    "Research shows that the {} harms sleep.",
)
OTHERS = ("Okay.", "Right.", "Mm-hm.", "Good to see you today.", "Thank you for coming.", "Sure.")
CHANGE = (
    "I want to stop the {}.",
    "I have to quit for my kids.",
    "I am ready to try without the {}.",
    "I will cut down.",
)
SUSTAIN = ("I enjoy the {} too much.", "I cannot give it up.", "The {} is not a problem for me.", "I will not stop.")
NEUTRAL = (
    "I came by bus.",
    "It was on Monday.",
    "He works at the {}.",
    "We had lunch there.",
    "Yes.",
    "My name is Ann.",
)
THINGS = ("drinking", "smoking", "evening", "work", "beer", "family", "running", "office", "weekend", "habit")

THERAPIST = {"question": QUESTIONS, "reflection": REFLECTIONS, "therapist_input": INPUTS, "other": OTHERS}
CLIENT = {"change": CHANGE, "sustain": SUSTAIN, "neutral": NEUTRAL}
Row = dict[str, str]


def annomi_rows(sessions: int, first: int = 0, turns: int = 16, seed: int = 0) -> list[Row]:
    """Transcripts `first`, `first + 1`, ..., two of them a video, in the columns of the shared part."""
    rows = []
    for number in range(first, first + sessions):
        draw = random.Random(f"{seed} {number}")
        quality = "low" if number % 3 == 0 else "high"
        for place in range(turns):
            role = "client" if place % 2 else "therapist"
            weights = (3, 1, 3, 2) if quality == "low" else (3, 3, 1, 2)
            code = draw.choices(list(THERAPIST), weights)[0] if role == "therapist" else draw.choice(list(CLIENT))
            text = draw.choice((THERAPIST | CLIENT)[code]).format(draw.choice(THINGS))
            if len(text.split()) > 4:  # nobody says a longer sentence twice
                text = f"{text[:-1]} with {''.join(draw.choices('abcdefgh', k=6))}{text[-1]}"
            rows.append({
                "mi_quality": quality, "transcript_id": str(number), "video_id": f"v{number // 2}", "topic": "drinking",
                "utterance_id": str(place), "interlocutor": role, "timestamp": "00:00:01", "utterance_text": text,
                "main_therapist_behaviour": code if role == "therapist" else "",
                "client_talk_type": code if role == "client" else "",
            })  # fmt: skip
    return rows


def published(rows: Sequence[Row]) -> list[Row]:
    """The same transcripts in the columns that AnnoMI's authors publish."""
    found = []
    for row in rows:
        kept = {name: cell or "n/a" for name, cell in row.items() if name != "video_id"}
        found.append({**kept, "video_title": "a title", "video_url": f"https://v/{row['video_id']}"})
    return found


def epitome_rows(pairs: int) -> list[Row]:
    """Pairs of post and reply in the columns of the shared part."""
    rows = []
    for number in range(pairs):
        draw = random.Random(f"epitome {number}")
        er, ip, ex = (draw.choice("001122") for _ in range(3))
        parts = {
            "emotional_reactions": {"1": "It will be all right.", "2": "I am really sad to read this."}.get(er, ""),
            "interpretations": {"1": "I get how you feel.", "2": "That must be frightening for you."}.get(ip, ""),
            "explorations": {"1": "What happened?", "2": "Are you feeling left out by them?"}.get(ex, ""),
        }
        reply = " ".join(
            [draw.choice(OTHERS), *(part for part in parts.values() if part), f"Take a {THINGS[number % 10]}."]
        )
        rows.append({
            "post_id": f"sp{number // 2}", "response_id": f"rp{number}",
            "seeker_post": f"I lost my {THINGS[number % 10]}.",
            "response_post": reply, "coded_again": "0",
            **{f"{name}_level": level for name, level in zip(parts, (er, ip, ex), strict=True)},
            **{f"{name}_rationale": part for name, part in parts.items()},
        })  # fmt: skip
    return rows


def write(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as a CSV file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
