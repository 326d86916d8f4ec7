"""Transcripts for the browser inside the report: chosen, packed and compressed.

Of a large run a sample is shown: equal numbers of sessions from every condition, chosen by a hash of their ids, so that
the same run always shows the same ones. How it was sampled is part of the data. Everything is carried as base64 of
gzip of JSON: no text of a transcript can end a script or start a tag, whatever it says.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.analysis.sources import told_apart
from simulator.records.seeds import key64
from simulator.reporting.wording import CODEBOOK_COLOURS, COLOURS, nice
from simulator.store.runs import RunFolder

if TYPE_CHECKING:
    import polars as pl

MAX_SESSIONS = 400
MAX_BYTES = 4_000_000
"""Of base64: with it the whole report stays below six megabytes."""

_PLANTED = "planted"
_KEY = ["course_id", "session"]


@dataclass
class Transcripts:
    """What the browser shows. `data` is packed as described in `load_transcripts`; `note` says what was sampled."""

    data: dict[str, Any]
    note: str
    shown: int
    total: int

    @cached_property
    def packed(self) -> str:
        """Base64 of gzip of the JSON; equal content gives equal text."""
        raw = json.dumps(self.data, ensure_ascii=False, separators=(",", ":")).encode()
        return base64.b64encode(gzip.compress(raw, 6, mtime=0)).decode()


def choose(sessions: Sequence[tuple[str, int, str]], limit: int) -> list[tuple[str, int, str]]:
    """At most `limit` of (course, session, condition), conditions alike, by a hash of the ids; in the order given."""
    if len(sessions) <= limit:
        return list(sessions)
    by_condition: dict[str, list[tuple[str, int, str]]] = {}
    for one in sorted(sessions, key=lambda one: key64(f"report sample {one[0]} {one[1]}")):
        by_condition.setdefault(one[2], []).append(one)
    queues = [by_condition[name] for name in sorted(by_condition)]
    chosen: set[tuple[str, int, str]] = set()
    for depth in range(max(map(len, queues))):
        for queue in queues:
            if depth < len(queue) and len(chosen) < limit:
                chosen.add(queue[depth])
    return [one for one in sessions if one in chosen]


def sampling_note(shown: int, total: int, conditions: int) -> str:
    """How the shown sessions were chosen, one sentence."""
    if shown == total:
        return f"All {total:,} sessions are here."
    return (
        f"{shown:,} of {total:,} sessions are here: equal numbers from each of {conditions} conditions, chosen by a "
        "hash of their ids (the same every time); the figures above are from all sessions, the dataset holds them all."
    )


def load_transcripts(run: RunFolder, group_by: str, limit: int = MAX_SESSIONS) -> Transcripts:
    """The sessions to browse, as few as needed for `MAX_BYTES`.

    The data: `roles`, `sources` (who coded, planted first), `codes` (label, codebook, code, value, colour class) and
    `sessions`; a session's `turns` are [role, text, [[source, code, evidence start, evidence end], ...], probe].
    """
    while True:
        transcripts = _load(run, group_by, limit)
        if len(transcripts.packed) <= MAX_BYTES or limit <= 20:
            return transcripts
        limit //= 2


def _load(run: RunFolder, group_by: str, limit: int) -> Transcripts:
    import polars as pl

    from simulator.analysis.summary import read_table

    courses, personas = read_table(run, "courses"), read_table(run, "personas", ["persona_id", "name"])
    sessions = read_table(run, "sessions")
    wanted = ["course_id", "condition", "persona_id", "replicate", "cluster", group_by]
    rows = sessions.join(courses.select(list(dict.fromkeys(wanted))), on="course_id")
    rows = rows.join(personas, on="persona_id", how="left")
    rows = rows.sort(group_by, "cluster", "replicate", *_KEY, nulls_last=True)
    every = [(row[0], row[1], row[2]) for row in rows.select(*_KEY, "condition").iter_rows()]
    chosen = choose(every, limit)
    keys = pl.DataFrame([one[:2] for one in chosen], schema={"course_id": pl.String, "session": pl.Int32}, orient="row")
    rows = rows.join(keys, on=_KEY, how="semi", maintain_order="left")
    packer = _Packer()
    packer.add_turns(_only(read_table(run, "turns", [*_KEY, "turn", "role", "text", "probe", "planted"]), keys))
    packer.add_codings(_only(told_apart(read_table(run, "codings")), keys))
    scored = _scores(_only(read_table(run, "scores"), keys))
    packed = [_session(row, group_by, packer, scored) for row in rows.iter_rows(named=True)]
    data = {"roles": packer.roles, "sources": packer.sources, "codes": packer.code_list(), "sessions": packed}
    note = sampling_note(len(chosen), len(every), len({one[2] for one in every}))
    return Transcripts(data, note, len(chosen), len(every))


def _only(table: "pl.DataFrame", keys: "pl.DataFrame") -> "pl.DataFrame":
    return table.join(keys, on=_KEY, how="semi")


def _scores(scores: "pl.DataFrame") -> dict[tuple[str, int], list[str]]:
    found: dict[tuple[str, int], list[str]] = {}
    columns = [*_KEY, "instrument", "scale", "respondent", "score", "flagged"]
    for course, session, instrument, scale, respondent, score, flagged in (
        scores.select(columns).sort(columns[:5]).iter_rows()
    ):
        name = instrument if scale in ("total", instrument) else f"{instrument} {scale}"
        who = "" if respondent == "client" else f" ({respondent})"
        text = f"{name}{who} {'missing' if score is None else format(score, '.3g')}{' ⚑' if flagged else ''}"
        found.setdefault((course, session), []).append(text.replace(" ", "\u00a0"))
    return found


def _session(
    row: Mapping[str, Any], group_by: str, packer: "_Packer", scored: Mapping[tuple[str, int], list[str]]
) -> dict[str, Any]:
    key = (row["course_id"], row["session"])
    persona = row["name"] or row["persona_id"] or row["cluster"]
    ending = nice(row["ending"]) + (f" by {row['ended_by']}" if row["ended_by"] else "")
    return {
        "id": row["course_id"][:12], "session": row["session"], "group": nice(row[group_by]), "persona": persona,
        "replicate": row["replicate"], "ending": ending, "topic": row["topic"] or "", "scores": scored.get(key, []),
        "turns": packer.turns.get(key, []),
    }  # fmt: skip


class _Packer:
    """Turns with their codes as small integers."""

    def __init__(self) -> None:
        self.roles: list[str] = []
        self.sources: list[str] = []
        self.turns: dict[tuple[str, int], list[list[Any]]] = {}
        self._place: dict[tuple[str, int, int], list[Any]] = {}
        self._codes: dict[tuple[str, str, str], int] = {}
        self._planted: dict[str, list[list[int]]] = {}
        self._decode = msgspec.json.Decoder(dict[str, dict[str, Any]]).decode

    def add_turns(self, turns: "pl.DataFrame") -> None:
        """Texts and planted codes."""
        if turns["planted"].null_count() < len(turns):
            self.sources.append(_PLANTED)
        columns = [*_KEY, "turn", "role", "text", "probe", "planted"]
        for course, session, turn, role, text, probe, planted in turns.select(columns).sort(columns[:3]).iter_rows():
            if role not in self.roles:
                self.roles.append(role)
            packed = [self.roles.index(role), text, list(self._planted_codes(planted))]
            if probe:
                packed.append(probe)
            self.turns.setdefault((course, session), []).append(packed)
            self._place[course, session, turn] = packed

    def _planted_codes(self, planted: str | None) -> list[list[int]]:
        if planted is None:
            return []
        if planted not in self._planted:
            from simulator.agents.base import PRIVATE_CHANNELS

            found: list[list[int]] = []
            for codebook, codes in self._decode(planted).items():
                if codebook in PRIVATE_CHANNELS:
                    continue
                if "present" in codes:
                    found += [[0, self._code(codebook, code, "present")] for code in codes["present"]]
                else:
                    found += [
                        [0, self._code(codebook, code, str(v))] for code, v in codes.items() if v not in (None, 0)
                    ]
            self._planted[planted] = found
        return self._planted[planted]

    def add_codings(self, codings: "pl.DataFrame") -> None:
        """Judgments of coders, with the evidence they quote; absent codes and level 0 are not shown."""
        import polars as pl

        words = [pl.col(name).cast(pl.String) for name in ("coder", "codebook", "code", "value")]
        rows = codings.select(*_KEY, "turn", *words, "evidence_start", "evidence_end")
        rows = rows.filter(pl.col("value").is_not_null() & ~pl.col("value").is_in(["0", "absent", "false", "no"]))
        for course, session, turn, coder, codebook, code, value, start, end in rows.sort(
            *_KEY, "turn", "coder"
        ).iter_rows():
            packed = self._place.get((course, session, turn))
            if packed is None:
                continue
            if coder not in self.sources:
                self.sources.append(coder)
            judged = [self.sources.index(coder), self._code(codebook, code, value)]
            packed[2].append(judged + ([start, end] if start is not None and end is not None else []))

    def _code(self, codebook: str, code: str, value: str) -> int:
        return self._codes.setdefault((codebook, code, value), len(self._codes))

    def code_list(self) -> list[list[str]]:
        """Every code seen: label, codebook, code, value, colour class."""
        return [
            [_label(code, value), codebook, code, value, COLOURS.get(value) or CODEBOOK_COLOURS.get(codebook, "purple")]
            for codebook, code, value in self._codes
        ]


def _label(code: str, value: str) -> str:
    if value in ("present", "1", "true", "yes") and value != "1":
        return nice(code)
    return f"{nice(code)} {value}" if value.isdigit() else nice(value)
