"""`dyad bench guards`: precision and recall of the guards on labelled turns, and what they do on people's turns.

The labelled turns are tests/fixtures/guards.yaml: `tuned` (the rules were written in view of them) and `check` (written
after the rules were fixed; no rule was changed in view of them). With DYAD_DATA_DIR set, AnnoMI's turns are looked at
too: how often guards fire at people, and how many turns role reversal finds when client and therapist change places.

Options: --json, and --write to renew simulator/sessions/guard_scores.json, the figures that travel with a build.
"""

import argparse
import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from simulator.sessions.guard_features import FEWEST_WORDS, WORD
from simulator.sessions.guard_scores import MEASURED, measure_guards, score_table
from simulator.sessions.guards import Circumstances, look

LABELLED = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "guards.yaml"


def main(arguments: Sequence[str]) -> int:
    """Print the table; 0 unless the figures that travel with the build are out of date."""
    parser = argparse.ArgumentParser(prog="dyad bench guards", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--write", action="store_true", help="renew the figures that travel with a build")
    options = parser.parse_args(arguments)
    scores = measure_guards(yaml.safe_load(LABELLED.read_text(encoding="utf-8")))
    if options.write:
        MEASURED.write_bytes(msgspec.json.format(msgspec.json.encode(scores), indent=1) + b"\n")
    current = MEASURED.read_bytes().strip() == msgspec.json.format(msgspec.json.encode(scores), indent=1)
    people = _on_people()
    if options.json:
        print(json.dumps({"guards": score_table(scores), "people": people, "current": current}))
        return 0 if current else 1
    print(f"{'guard':<18}{'part':<8}{'hits':>5}{'misses':>8}{'precision':>11}{'recall':>8}")
    for row in score_table(scores):
        print(
            f"{row['guard']:<18}{row['part']:<8}{row['hits']:>5}{row['misses']:>8}"
            f"{_share(row['precision']):>11}{_share(row['recall']):>8}"
        )
    if people is None:
        print("people's turns: not looked at (set DYAD_DATA_DIR to a folder with annomi/annomi_simple.csv)")
    else:
        print(f"people's turns (AnnoMI): {people['fired']} firings at {people['turns']} turns: {people['by_guard']}")
        print(
            f"role reversal where the chairs are swapped, turns of {FEWEST_WORDS} words and more: "
            f"therapists' words in the client's chair {people['found_as_client']:.1%}, "
            f"clients' words in the therapist's chair {people['found_as_therapist']:.1%}"
        )
    if people is not None:
        print(
            f"sessions of people with the chairs swapped throughout, found within {WITHIN} turns: "
            f"therapists as clients {people['sessions_found_as_client']:.1%}, "
            f"clients as therapists {people['sessions_found_as_therapist']:.1%}"
        )
    if not current:
        print(f"{MEASURED.name} is out of date: run `dyad bench guards --write`")
    return 0 if current else 1


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


WITHIN = 10
"""Turns within which a reversal of a whole session has to be found."""


def _follow(
    lasting: dict[str, dict[str, int | None]], transcript: str, role: str, text: str,
    earlier: Sequence[tuple[str, str]],
) -> None:  # fmt: skip
    """Whether role reversal fires within the first turns of a session of which the chairs are swapped throughout."""
    other = "client" if role == "therapist" else "therapist"
    sessions, number = lasting[other], sum(said == role for said, _ in earlier)
    if sessions.setdefault(transcript, None) is not None or number >= WITHIN:
        return
    swapped = [("client" if said == "therapist" else "therapist", words) for said, words in earlier[-6:]]
    if look(text, Circumstances(other, other == "client", swapped, number + 1), ["role_reversal"]):
        sessions[transcript] = number


def _on_people() -> dict[str, Any] | None:
    folder = os.environ.get("DYAD_DATA_DIR")
    path = Path(folder or ".") / "annomi" / "annomi_simple.csv"
    if folder is None or not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["transcript_id"], row["interlocutor"], row["utterance_text"]) for row in csv.DictReader(file)]
    fired: Counter[str] = Counter()
    swapped: Counter[str] = Counter()
    long: Counter[str] = Counter()
    earlier: list[tuple[str, str]] = []
    current, own = "", Counter[str]()
    lasting: dict[str, dict[str, int | None]] = {"client": {}, "therapist": {}}
    for transcript, role, text in rows:
        if transcript != current:
            current, earlier, own = transcript, [], Counter()
        own[role] += 1
        given = Circumstances(role, role == "client", earlier[-6:], own[role], 20, 0.8, True)
        fired.update(finding.guard for finding in look(text, given))
        earlier.append((role, text))
        if len(WORD.findall(text)) >= FEWEST_WORDS:
            other = "client" if role == "therapist" else "therapist"
            long[other] += 1
            swapped[other] += bool(look(text, Circumstances(other, other == "client"), ["role_reversal"]))
        _follow(lasting, transcript, role, text, earlier[:-1])
    found = {other: sum(place is not None for place in sessions.values()) for other, sessions in lasting.items()}
    return {
        "sessions_found_as_client": found["client"] / len(lasting["client"]),
        "sessions_found_as_therapist": found["therapist"] / len(lasting["therapist"]),
        "turns": len(rows),
        "fired": fired.total(),
        "by_guard": dict(sorted(fired.items())),
        "found_as_client": swapped["client"] / long["client"],
        "found_as_therapist": swapped["therapist"] / long["therapist"],
    }
