"""Compute the human references of the realism scorecard: session-level quantiles of AnnoMI and MIBOT.

    DYAD_DATA_DIR=... python experiments/realism/reference.py            compare with what the package holds
    DYAD_DATA_DIR=... python experiments/realism/reference.py --write    and store

Reads `annomi/annomi_simple.csv` and `mibot/utterances.csv` in that folder. Only aggregates leave this script; no text
does. Codes of MIBOT were made by a language model, so they are not used.
"""

import argparse
import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import polars as pl

from simulator.analysis.realism_references import Reference, reference_from
from simulator.errors import UserError
from simulator.records.text import count_words
from simulator.store.importers.annomi import read_annomi

TARGET = Path(__file__).resolve().parents[2] / "simulator/analysis/references"

ANNOMI_SOURCE = (
    "AnnoMI (Wu et al., ICASSP 2022; Future Internet 15(3):110, 2023), 101 of its 133 transcripts; computed by "
    "experiments/realism/reference.py"
)
ANNOMI_LICENCE = (
    "aggregate figures; AnnoMI-simple.csv: 'License: Public Domain' in the authors' README of 2023-03-08, the line "
    "absent since"
)
MIBOT_SOURCE = (
    "MIBOT (Mahmood et al., Findings of ACL 2025, 25008-25043; zaffnet/MIBOT_ACL2025), 98 of its 106 sessions; "
    "computed by experiments/realism/reference.py"
)
MIBOT_LICENCE = "CC BY-SA 4.0, as MIBOT's data are: these aggregate figures are shared under the same licence"


def annomi(path: Path, quality: str) -> Reference:
    """One quality of AnnoMI, halves split by video, experts' codes."""
    tables = read_annomi(path).tables
    courses = pl.DataFrame(tables["courses"], infer_schema_length=None).filter(pl.col("stratum") == quality)
    keep = courses.select("course_id")
    turns = pl.DataFrame(tables["turns"], infer_schema_length=None).join(keep, on="course_id", how="semi")
    codings = pl.DataFrame(tables["codings"], infer_schema_length=None).join(keep, on="course_id", how="semi")
    high = quality == "high"
    return reference_from(
        turns, courses, codings,
        name="annomi" if high else "annomi_low",
        title=f"AnnoMI, {quality}-quality sessions",
        modality="spoken, with a therapist",
        source=ANNOMI_SOURCE,
        licence=ANNOMI_LICENCE,
        note="demonstration videos; halves are split by video",
        cluster="videos",
    )  # fmt: skip


def mibot(path: Path) -> Reference:
    """MIBOT, halves split by session (each is another person); no codes."""
    rows: list[dict[str, Any]] = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            role = {"counsellor": "therapist", "client": "client"}[row["speaker"]]
            rows.append({
                "course_id": row["session_id"], "session": 0, "turn": int(row["utterance_index"]), "role": role,
                "text": row["text"], "words": count_words(row["text"]),
            })  # fmt: skip
    turns = pl.DataFrame(rows)
    courses = turns.select("course_id").unique().sort("course_id").with_columns(pl.col("course_id").alias("cluster"))
    return reference_from(
        turns, courses,
        name="mibot",
        title="MIBOT, smokers with an LLM therapist",
        modality="typed, people with an LLM therapist",
        source=MIBOT_SOURCE,
        licence=MIBOT_LICENCE,
        note="the therapist is GPT-4o: only the client lines speak of people; halves are split by session; its "
        "utterance codes were made by a language model and are not used",
        cluster="sessions",
    )  # fmt: skip


def references(folder: Path) -> list[Reference]:
    """All references that are computed, from the folder of data sets."""
    simple = folder / "annomi" / "annomi_simple.csv"
    return [annomi(simple, "high"), annomi(simple, "low"), mibot(folder / "mibot" / "utterances.csv")]


def text_of(reference: Reference) -> str:
    """The file's content."""
    return json.dumps(reference.to_dict(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="store the figures in the package")
    arguments = parser.parse_args()
    folder = os.environ.get("DYAD_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        sys.stderr.write("DYAD_DATA_DIR: no folder; point it at the folder that holds annomi/ and mibot/\n")
        return 2
    try:
        found = references(Path(folder))
    except (UserError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    changed = []
    for reference in found:
        file = TARGET / f"{reference.name}.json"
        if not file.exists() or file.read_text(encoding="utf-8") != text_of(reference):
            changed.append(file.name)
            if arguments.write:
                file.write_text(text_of(reference), encoding="utf-8")
    verb = "written" if arguments.write else "would change"
    sys.stdout.write(f"{verb}: {', '.join(changed) or 'nothing'}\n")
    return 0 if arguments.write or not changed else 1


if __name__ == "__main__":
    sys.exit(main())
