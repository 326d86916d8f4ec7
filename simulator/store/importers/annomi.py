"""AnnoMI: demonstrations of motivational interviewing with one expert's code on every utterance.

Two forms of the file are read: the one its authors publish (`video_title`, `video_url`, `n/a` where a column does not
apply) and a shared part of it (`video_id`, empty cells). A transcript becomes a course of one session, an utterance a
turn, in the order of the utterance ids; two turns of one speaker in a row stay as they are. Intervals cluster by video,
because several transcripts can be parts of one. Nothing is dropped and nothing is guessed: what cannot be read is one
line with file and row.

Source: Wu et al., ICASSP 2022; Wu et al., Future Internet 15(3):110, 2023; repository uccollab/AnnoMI.
"""

import csv
import hashlib
import io
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from simulator.codebooks import Codebook, load_codebook
from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint
from simulator.records.text import count_words, transcript_fingerprint
from simulator.store.importers.base import ImportedDataset, Row
from simulator.store.importers.fetching import PublishedFile, fetch

__all__ = ["PUBLISHED", "ImportedDataset", "course_id", "read_annomi"]

PUBLISHED = PublishedFile(
    base="https://raw.githubusercontent.com/uccollab/AnnoMI/42936645ec3857a9c84ab296a36a3c34b779ef49",
    path="AnnoMI-simple.csv",
    size=2_386_609,
    sha256="b178db3b0b9858a0fa4ed670dabeccd63e975ba67e141d7ae16f2e8214f78e61",
)
"""The authors' copy; the same bytes stood under "License: Public Domain" in their README of 2023-03-08."""

LICENCE = (
    "AnnoMI-simple.csv: 'License: Public Domain' in the authors' README of 2023-03-08, the line absent since; "
    "cite Wu et al. 2022 and 2023"
)

COMMAND = "dyad import annomi FILE"

COLUMNS = (
    "mi_quality", "transcript_id", "topic", "utterance_id", "interlocutor", "timestamp", "utterance_text",
    "main_therapist_behaviour", "client_talk_type",
)  # fmt: skip
"""Columns of both forms; beside them `video_url` (published) or `video_id` (shared part) names the video."""

VIDEO_COLUMNS = ("video_url", "video_id")
TRANSCRIPTS = "annomi transcript_id"
"""Within what the ids of AnnoMI's courses name the same session in another file."""
QUALITIES = ("high", "low")
CODE_OF = {"therapist": "main_therapist_behaviour", "client": "client_talk_type"}
"""The expert's code by role; the other role's column does not apply."""


class Utterance(NamedTuple):
    """One row of the file. `row` counts as a spreadsheet does, the header being row 1; `code` is None where the expert
    gave none."""

    row: int
    transcript: str
    number: int
    video: str
    quality: str
    topic: str
    role: str
    text: str
    code: str | None


def read_annomi(
    path: Path | str | None = None,
    *,
    base: str | None = None,
    published: PublishedFile = PUBLISHED,
    cache: Path | None = None,
) -> ImportedDataset:
    """AnnoMI from a file, or from the authors' published copy where no file is given.

    Args:
        path: an AnnoMI-simple file in either form; None fetches the published one into the cache.
        base: address of a mirror to fetch from.
        published: which version counts as the published one.
        cache: where downloads are kept, `fetching.cache_folder()` by default.

    Raises:
        UserError: one line with file, row and what to do.
    """
    file = Path(path) if path is not None else fetch(published, COMMAND, base, cache)
    content = _bytes_of(file)
    codebook = load_codebook("annomi")
    transcripts = _by_transcript(file, _utterances(file, content, codebook))
    digest = hashlib.sha256(content).hexdigest()
    coder = fingerprint(["expert", "annomi", digest])
    tables: dict[str, list[Row]] = {"courses": [], "sessions": [], "turns": [], "codings": []}
    for utterances in transcripts.values():
        _add_course(tables, utterances, codebook, coder)
    source = published.address() if digest == published.sha256 else str(file)
    return ImportedDataset("annomi", source, digest, LICENCE, tables)


def course_id(transcript: str) -> str:
    """The id of a transcript's course; it depends on nothing but the transcript's number."""
    return fingerprint(["annomi", transcript])


def _bytes_of(file: Path) -> bytes:
    if file.is_dir():
        raise UserError(f"{file}: a folder; name the CSV file in it")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; name an AnnoMI-simple CSV file, or none to fetch it") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None


def _utterances(file: Path, content: bytes, codebook: Codebook) -> list[Utterance]:
    """The rows of the file, each checked by itself."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file}: not UTF-8 in line {row}; save the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[Utterance] = []
    header: list[str] | None = None
    video = ""
    row = 0
    try:
        for row, cells in enumerate(reader, start=1):
            if header is None:
                header = [name.strip() for name in cells]
                video = _check_header(file, header)
            elif cells:
                if len(cells) != len(header):
                    raise UserError(f"{file}, row {row}: {len(cells)} cells for {len(header)} columns")
                found.append(
                    _utterance(f"{file}, row {row}", row, dict(zip(header, cells, strict=True)), video, codebook)
                )
    except csv.Error as error:
        raise UserError(f"{file}, row {row + 1}: not valid CSV ({error})") from None
    if not found:
        raise UserError(f"{file}: {'empty' if header is None else 'no utterances below the header'}")
    return found


def _check_header(file: Path, header: list[str]) -> str:
    """The column that names the video; raises where a column is missing."""
    missing = [name for name in COLUMNS if name not in header]
    video = next((name for name in VIDEO_COLUMNS if name in header), None)
    if video is None:
        missing.append("video_url (or video_id)")
    if missing:
        raise UserError(f"{file}, row 1: missing columns: {', '.join(missing)}; AnnoMI-simple.csv has them all")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UserError(f"{file}, row 1: column '{twice[0]}' stands twice")
    return str(video)


def _utterance(where: str, row: int, cells: dict[str, str], video: str, codebook: Codebook) -> Utterance:
    values = {name: "" if cell.strip().lower() == "n/a" else cell.strip() for name, cell in cells.items()}
    role = values["interlocutor"]
    if role not in CODE_OF:
        raise UserError(f"{where}: interlocutor '{role}'{nearest(role, CODE_OF)}")
    if values["mi_quality"] not in QUALITIES:
        raise UserError(f"{where}: mi_quality '{values['mi_quality']}'{nearest(values['mi_quality'], QUALITIES)}")
    for name in ("transcript_id", "utterance_id"):
        if not (values[name].isascii() and values[name].isdigit()):
            raise UserError(f"{where}: {name} '{values[name]}' is not a whole number")
    if not values[video]:
        raise UserError(f"{where}: {video} is empty; transcripts are clustered by video")
    for name in CODE_OF.values():
        label = values[name]
        if label and name != CODE_OF[role]:
            raise UserError(f"{where}: {name} '{label}' on an utterance of the {role}; it does not apply there")
        if label and label not in (options := codebook.code(name).values):
            raise UserError(f"{where}: {name} '{label}' is not a label of AnnoMI{nearest(label, options)}")
    return Utterance(
        row,
        str(int(values["transcript_id"])),
        int(values["utterance_id"]),
        values[video],
        values["mi_quality"],
        values["topic"],
        role,
        cells["utterance_text"].strip(),
        values[CODE_OF[role]] or None,
    )


def _by_transcript(file: Path, utterances: list[Utterance]) -> dict[str, list[Utterance]]:
    """The utterances of each transcript in order, transcripts by number; raises where they contradict each other."""
    transcripts: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        transcripts.setdefault(utterance.transcript, []).append(utterance)
    for name, spoken in transcripts.items():
        spoken.sort(key=lambda utterance: (utterance.number, utterance.row))
        for before, after in pairwise(spoken):
            if before.number == after.number:
                raise UserError(
                    f"{file}, row {after.row}: utterance {after.number} of transcript {name} stands in row "
                    f"{before.row} too (AnnoMI-full.csv has a row per rater; import AnnoMI-simple.csv)"
                )
        for utterance in sorted(spoken, key=lambda utterance: utterance.row):
            for field in ("quality", "video"):
                if getattr(utterance, field) != getattr(spoken[0], field):
                    raise UserError(
                        f"{file}, row {utterance.row}: transcript {name} has two values of {field}: "
                        f"'{getattr(spoken[0], field)}' and '{getattr(utterance, field)}'"
                    )
    return dict(sorted(transcripts.items(), key=lambda entry: int(entry[0])))


def _add_course(tables: dict[str, list[Row]], utterances: list[Utterance], codebook: Codebook, coder: str) -> None:
    """Append one transcript's course, session, turns and expert codes."""
    first = utterances[0]
    course = course_id(first.transcript)
    words = [count_words(utterance.text) for utterance in utterances]
    transcript = transcript_fingerprint((utterance.role, utterance.text) for utterance in utterances)
    label = f"annomi-{first.quality}"
    tables["courses"].append({
        "course_id": course, "condition": label, "client": "annomi", "therapist": label, "persona_id": None,
        "replicate": 0, "pairing_key": course, "cluster": first.video, "stratum": first.quality, "origin": "human",
        "source": None, "sessions": 1, "status": "ended",
    })  # fmt: skip
    tables["sessions"].append({
        "course_id": course, "session": 0, "opened_by": first.role, "ending": "recorded", "ended_by": None,
        "turns": len(utterances), "words": sum(words), "day": 0.0, "topic": first.topic or None,
    })  # fmt: skip
    for turn, utterance in enumerate(utterances):
        tables["turns"].append({
            "course_id": course, "session": 0, "turn": turn, "role": utterance.role,
            "speaker": f"human {utterance.role}", "text": utterance.text, "words": words[turn],
            "finish_reason": "recorded", "model": "", "seed": None, "regeneration": None, "probe": None,
            "planted": None, "state": None,
        })  # fmt: skip
        tables["codings"].append({
            "course_id": course, "session": 0, "turn": turn, "start": 0, "end": len(utterance.text), "unit": "turn",
            "role": utterance.role, "codebook": codebook.name, "codebook_version": codebook.version,
            "code": CODE_OF[utterance.role], "value": utterance.code,
            "missing_reason": None if utterance.code else "no expert code in the file", "probability": None,
            "evidence_start": None, "evidence_end": None, "expected": None, "outside": None,
            "method": None, "coder": "expert", "coder_fingerprint": coder,
            "transcript": transcript,
        })  # fmt: skip
