"""OpenAI chat JSONL: one line per session, as fine-tuning and chat tools read it, and as `dyad import chat` reads back.

    {"messages": [{"role": "assistant", "content": "..."}, ...], "metadata": {"course": ..., "session": 0, ...}}

One chair is `assistant`, the others are `user`; where several are, `name` says which. `metadata.roles` says who was
who. A session that did not end has `ending` null; a text that a release withholds is empty and its turn stands in
`metadata.withheld`.
"""

from pathlib import Path
from typing import Any

import msgspec

from simulator.store.exporters.options import ExportOptions
from simulator.store.exporters.source import Source, Transcript

_COURSE = {
    "course": "course_id", "condition": "condition", "client": "client", "therapist": "therapist",
    "persona": "persona_id", "replicate": "replicate", "pairing_key": "pairing_key", "cluster": "cluster",
    "stratum": "stratum", "origin": "origin", "status": "status",
}  # fmt: skip
_SESSION = ("opened_by", "ending", "ended_by", "day", "topic")


def write_chat(source: Source, folder: Path, options: ExportOptions) -> dict[str, int]:
    """Write `chat.jsonl`; returns counts."""
    encoder = msgspec.json.Encoder()
    counts = {"sessions": 0, "messages": 0, "withheld": 0}
    with (folder / "chat.jsonl").open("wb") as file:
        for transcript in source.transcripts():
            line = chat_line(transcript, options.assistant)
            file.write(encoder.encode(line) + b"\n")
            counts["sessions"] += 1
            counts["messages"] += len(line["messages"])
            counts["withheld"] += len(line["metadata"].get("withheld", ()))
    return counts


def chat_line(transcript: Transcript, assistant: str) -> dict[str, Any]:
    """One session as a line's object."""
    return {
        "messages": [{**message, "content": turn["text"] or ""} for message, turn in _addressed(transcript, assistant)],
        "metadata": metadata_of(transcript, assistant),
    }


def metadata_of(transcript: Transcript, assistant: str) -> dict[str, Any]:
    """What is said of a session beside its messages; the columns' names in the tables, but for ids without `_id`."""
    metadata = {"course": transcript.course["course_id"], "session": transcript.index}
    metadata |= {name: transcript.course[column] for name, column in _COURSE.items()}
    metadata |= {name: (transcript.session or {}).get(name) for name in _SESSION}
    metadata["roles"] = chairs(transcript, assistant)
    withheld = [turn["turn"] for turn in transcript.turns if turn["text"] is None]
    kept = dict(transcript.extra)
    withheld = withheld or kept.pop("withheld", None)
    return kept | metadata | ({"withheld": withheld} if withheld else {})


def chairs(transcript: Transcript, assistant: str) -> dict[str, str]:
    """Which role each chat role stands for; without `user` where several chairs share it and messages are named."""
    others = sorted({turn["role"] for turn in transcript.turns} - {assistant})
    spoke = len(others) < len({turn["role"] for turn in transcript.turns})
    return ({"assistant": assistant} if spoke else {}) | ({"user": others[0]} if len(others) == 1 else {})


def _addressed(transcript: Transcript, assistant: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every turn with the role and, where needed, the name of its message."""
    named = "user" not in chairs(transcript, assistant)
    messages = []
    for turn in transcript.turns:
        role = turn["role"]
        message = {"role": "assistant"} if role == assistant else {"role": "user"} | ({"name": role} if named else {})
        messages.append((message, turn))
    return messages
