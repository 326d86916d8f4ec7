"""Chat JSONL into the tables: what `dyad export RUN chat` writes, and the common forms of others.

The file is read twice: once to check every line and to note where each session stands, once to write the tables one
range of courses at a time, so that memory does not grow with the texts. An export imported and exported again is
the same file. Sessions without a course become courses of their own, named by what they contain, so that an id depends
neither on the other lines nor on their order.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from simulator.errors import UserError, nearest
from simulator.records.fingerprints import fingerprint
from simulator.records.text import count_words
from simulator.store.compaction import ranges_for
from simulator.store.importers.base import Row
from simulator.store.importers.chat_lines import COURSE_TEXTS, ChatLine, parse_line
from simulator.store.journal import shard_of

ORIGINS = ("human", "model", "scripted")
_COURSE_ID = re.compile(r"[0-9a-f]{32}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What only the user knows about a chat file.

    Args:
        origin: who speaks: people (`human`), a language model in at least one chair (`model`), Dyad's own scripted
            agents (`scripted`). There is no default.
        roles: roles of the cast by the file's words; what it does not name is read as the line or `chat_lines.ROLES`
            says.
        cluster: the metadata key whose value says what hangs together; a course by itself where there is none.
        stratum: the metadata key of a declared grouping.
        licence: under which terms the transcripts may be used, best an SPDX identifier.
    """

    origin: str
    roles: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    stratum: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if self.origin not in ORIGINS:
            raise UserError(f"origin '{self.origin}'{nearest(self.origin, ORIGINS)}")


class _Place(NamedTuple):
    course: str
    session: int
    offset: int
    line: int


@dataclass(slots=True)
class ChatImport:
    """A checked chat file.

    `source_hash` is the SHA-256 of its bytes; `left_out` counts messages that `roles` leaves out, `unclustered` courses
    that are clusters of their own.
    """

    path: Path
    options: ChatOptions
    source_hash: str = ""
    sessions: int = 0
    turns: int = 0
    left_out: int = 0
    unclustered: int = 0
    courses: dict[str, tuple[int, Row]] = field(default_factory=dict)
    places: list[_Place] = field(default_factory=list)

    @property
    def identity(self) -> str:
        """Fingerprint of the file's content and of every choice that changes a row."""
        options = self.options
        choices = [options.origin, dict(options.roles), options.cluster, options.stratum, options.licence]
        return fingerprint({"import": "chat", "source": self.source_hash, "options": choices})

    def parts(self) -> Iterator[dict[str, list[Row]]]:
        """Rows by table, one range of courses after another, sorted by course and session."""
        ranges = ranges_for(len(self.courses))
        by_range: list[list[_Place]] = [[] for _ in range(ranges)]
        for place in sorted(self.places):
            by_range[shard_of(place.course, ranges)].append(place)
        with self.path.open("rb") as file:
            for places in by_range:
                yield self._part(file, places)

    def _part(self, file: BinaryIO, places: list[_Place]) -> dict[str, list[Row]]:
        tables: dict[str, list[Row]] = {"courses": [], "sessions": [], "turns": [], "events": []}
        for place in places:
            file.seek(place.offset)
            line = parse_line(f"{self.path}, line {place.line}", file.readline(), self.options.roles)
            course = self.courses[place.course][1]
            if not tables["courses"] or tables["courses"][-1]["course_id"] != place.course:
                tables["courses"].append(course)
            _add_session(tables, place, line, self.options.origin)
        return tables


def read_chat(path: Path | str, options: ChatOptions) -> ChatImport:
    """Check a chat file.

    Raises:
        UserError: one line with file, line and what to do.
    """
    file = Path(path)
    found = ChatImport(file, options)
    digest = hashlib.sha256()
    twins: Counter[str] = Counter()
    sessions: dict[tuple[str, int], int] = {}
    next_session: Counter[str] = Counter()
    for number, offset, content in _lines(file, digest):
        where = f"{file}, line {number}"
        line = parse_line(where, content, options.roles)
        course = _course_id(line, twins)
        session = line.known.get("session", next_session[course])
        before = sessions.setdefault((course, session), number)
        if before != number:
            raise UserError(f"{where}: session {session} of its course stands in line {before} too")
        next_session[course] = max(next_session[course], session + 1)
        _take_course(found, where, number, course, line)
        found.places.append(_Place(course, session, offset, number))
        found.sessions += 1
        found.turns += len(line.messages)
        found.left_out += line.left_out
    if not found.places:
        raise UserError(f"{file}: no sessions; a session is one line of JSON")
    found.source_hash = digest.hexdigest()
    return found


def _lines(file: Path, digest: "hashlib._Hash") -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and bytes of every line that is not blank; all bytes go into the digest."""
    if file.is_dir():
        raise UserError(f"{file}: a folder; name the JSONL file in it")
    try:
        with file.open("rb") as stream:
            offset = 0
            for number, line in enumerate(stream, start=1):
                digest.update(line)
                mark = len(_BYTE_ORDER_MARK) if number == 1 and line.startswith(_BYTE_ORDER_MARK) else 0
                if line[mark:].strip():
                    yield number, offset + mark, line[mark:]
                offset += len(line)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; name a chat JSONL file") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None


def _course_id(line: ChatLine, twins: Counter[str]) -> str:
    named = line.known.get("course")
    if named is not None:
        return named if _COURSE_ID.fullmatch(named) else fingerprint(["chat", named])
    content = fingerprint(["chat", line.messages, line.known, line.extra])
    twins[content] += 1
    return content if twins[content] == 1 else fingerprint(["chat", content, twins[content]])


def _take_course(found: ChatImport, where: str, number: int, course: str, line: ChatLine) -> None:
    """Note what a line says about its course; raises where another line of the course says something else."""
    options = found.options
    origin = line.known.get("origin", options.origin)
    if origin != options.origin:
        raise UserError(f"{where}: metadata 'origin' is '{origin}', --origin says '{options.origin}'")
    row = _course_row(where, course, line, options)
    first, known = found.courses.setdefault(course, (number, row))
    if first == number:
        found.unclustered += row["cluster"] == course
    for name in ("cluster", "stratum", *row):
        if name != "sessions" and row[name] != known[name]:
            raise UserError(f"{where}: {name} '{row[name]}', but '{known[name]}' in line {first} of the same course")
    known["sessions"] += _has_ended(line)


def _course_row(where: str, course: str, line: ChatLine, options: ChatOptions) -> Row:
    said = {name: line.known.get(name) for name in COURSE_TEXTS}
    cluster = _chosen(where, line, options.cluster, said["cluster"])
    stratum = _chosen(where, line, options.stratum, said["stratum"])
    condition = said["condition"] or (f"chat-{stratum}" if stratum else "chat")
    return {
        "course_id": course, "condition": condition, "client": line.known.get("client", "chat"),
        "therapist": line.known.get("therapist", condition), "persona_id": said["persona"],
        "replicate": line.known.get("replicate", 0), "pairing_key": said["pairing_key"] or course,
        "cluster": cluster or course, "stratum": stratum, "origin": options.origin, "source": None,
        "sessions": 0, "status": line.known.get("status", "ended"),
    }  # fmt: skip


def _chosen(where: str, line: ChatLine, key: str | None, otherwise: str | None) -> str | None:
    """The value of the metadata key that the user chose, or what the line's own column says."""
    if key is None:
        return otherwise
    metadata = line.known | line.extra
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        state = "no" if key not in metadata else "no text or whole number in"
        raise UserError(f"{where}: {state} metadata '{key}'{'' if key in metadata else nearest(key, metadata)}")
    return str(value)


def _has_ended(line: ChatLine) -> bool:
    """A line that says that its session has no ending has none; one that does not say is a whole session."""
    return "ending" not in line.known or line.known["ending"] is not None


def _add_session(tables: dict[str, list[Row]], place: _Place, line: ChatLine, origin: str) -> None:
    where = {"course_id": place.course, "session": place.session}
    words = [count_words(text) for _, text in line.messages]
    known = line.known
    if _has_ended(line):
        tables["sessions"].append(where | {
            "opened_by": known.get("opened_by") or line.messages[0][0], "ending": known.get("ending", "recorded"),
            "ended_by": known.get("ended_by"), "turns": len(words), "words": sum(words),
            "day": float(known.get("day") or 0.0), "topic": known.get("topic"),
        })  # fmt: skip
    for turn, (role, text) in enumerate(line.messages):
        tables["turns"].append(where | {
            "turn": turn, "role": role, "speaker": f"{origin} {role}", "text": text, "words": words[turn],
            "finish_reason": "recorded", "model": "",
        })  # fmt: skip
    if line.extra:
        tables["events"].append(where | {
            "turn": 0, "kind": "imported", "name": "metadata", "payload": _json(line.extra),
        })  # fmt: skip


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
