"""Which behaviour follows which: the AnnoMI codes of turns in order, from planted codes, experts or a coder.

A step joins a turn to the turn directly before it in the stored order, whatever the turns' lengths. Where a turn
carries several judgments (coders that code utterances), its last one counts as what came before, its first one as what
came after. Between turns of one role there is no step. Turns that deliver or answer a probe count as uncoded: what was
said there the study had fixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.analysis.sources import told_apart
from simulator.coding.people import RATER
from simulator.errors import UserError, nearest

if TYPE_CHECKING:
    import polars as pl

KEYS = ("course_id", "session", "turn")
PLANTED = "planted"
CODEBOOK = "annomi"
CODE_OF = {"client": "client_talk_type", "therapist": "main_therapist_behaviour"}
TALKS = ("change", "neutral", "sustain")
BEHAVIOURS = ("question", "reflection", "therapist_input", "other")
STATES = (*TALKS, *BEHAVIOURS)
"""Rows and columns of transition matrices."""


@dataclass(frozen=True, slots=True)
class CodedTurns:
    """Coded turns.

    Args:
        source: `planted`, `expert` or a coder's name.
        turns: course_id, session, turn, role, first, last: a turn's first and last value, null where it has none.
    """

    source: str
    turns: "pl.DataFrame"


def coded_turns(turns: "pl.DataFrame", codings: "pl.DataFrame | None", source: str | None = None) -> CodedTurns | None:
    """The behaviour codes of every turn, or None where there are none at all.

    Args:
        turns, codings: the tables of a dataset.
        source: `planted`, `expert` or a coder's name; by default the first of these three that there is.

    Raises:
        UserError: a named source coded nothing in this dataset.
    """
    import polars as pl

    codings = None if codings is None else told_apart(codings)
    available = _sources(turns, codings)
    if source is None:
        if not available:
            return None
        source = available[0]
    elif source not in available:
        raise UserError(f"no '{CODEBOOK}' codes by '{source}' in this run{nearest(source, available)}")
    if source == PLANTED or codings is None:
        values = _planted(turns)
    else:
        words = [pl.col(name).cast(pl.String) for name in ("codebook", "code", "value", "coder")]
        rows = codings.select(*KEYS, "start", *words).filter(
            (pl.col("coder") == source)
            & (pl.col("codebook") == CODEBOOK)
            & pl.col("code").is_in(list(CODE_OF.values()))
            & pl.col("value").is_not_null()
        )
        rows = rows.sort(*KEYS, "start")
        values = rows.group_by(*KEYS).agg(pl.first("value").alias("first"), pl.last("value").alias("last"))
    table = turns.select(*KEYS, "role", *(["probe"] if "probe" in turns.columns else [])).join(
        values, on=KEYS, how="left"
    )
    if "probe" in turns.columns:
        spoken = [pl.when(pl.col("probe").is_null()).then(pl.col(name)).alias(name) for name in ("first", "last")]
        table = table.with_columns(*spoken).drop("probe")
    return CodedTurns(source, table.sort(*KEYS))


def _sources(turns: "pl.DataFrame", codings: "pl.DataFrame | None") -> list[str]:
    import polars as pl

    found = [PLANTED] if "planted" in turns.columns and turns["planted"].null_count() < len(turns) else []
    if codings is not None and len(codings):
        ours = codings.filter(
            (pl.col("codebook").cast(pl.String) == CODEBOOK)
            & pl.col("code").cast(pl.String).is_in(list(CODE_OF.values()))
            & pl.col("value").is_not_null()
        )
        coders = sorted(name for name in ours["coder"].cast(pl.String).unique() if not name.startswith(RATER))
        found += sorted(coders, key=lambda name: (name != "expert", name))
    return found


def _planted(turns: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    kinds = turns.select("role", "planted").filter(pl.col("planted").is_not_null()).unique()
    path = {role: f"$['{CODEBOOK}']['{code}']" for role, code in CODE_OF.items()}
    value = pl.lit(None, pl.String)
    for role, where in path.items():
        value = pl.when(pl.col("role") == role).then(pl.col("planted").str.json_path_match(where)).otherwise(value)
    kinds = kinds.with_columns(value.alias("first")).with_columns(pl.col("first").alias("last"))
    return turns.select(*KEYS, "role", "planted").join(kinds, on=["role", "planted"]).drop("role", "planted")


def sustain_shares(coded: CodedTurns) -> "pl.DataFrame":
    """course_id, session, sustain_talk: the share of coded client turns (by their last code) that are sustain talk."""
    import polars as pl

    client = coded.turns.filter((pl.col("role") == "client") & pl.col("last").is_not_null())
    return client.group_by("course_id", "session").agg((pl.col("last") == "sustain").mean().alias("sustain_talk"))


def steps(coded: CodedTurns, before: str, after: str) -> "pl.DataFrame":
    """Steps from a turn of one role to the turn directly after it, of the other role.

    Returns:
        A row per step: course_id, session, before, after (values, null on an uncoded side).
    """
    import polars as pl

    same = pl.all_horizontal((pl.col(name) == pl.col(name).shift(1)) for name in KEYS[:2])
    wanted = same.fill_null(False) & (pl.col("role").shift(1) == before) & (pl.col("role") == after)
    joined = coded.turns.select(
        "course_id", "session", pl.col("last").shift(1).alias("before"), pl.col("first").alias("after"),
        wanted.alias("wanted"),
    )  # fmt: skip
    return joined.filter("wanted").drop("wanted")


def step_counts(found: "pl.DataFrame", rows: Sequence[str], columns: Sequence[str]) -> "pl.DataFrame":
    """How often each step happened, per session: course_id, session, row, column (indices), count.

    Steps with an uncoded side, and values outside `rows` and `columns`, are left out.
    """
    import polars as pl

    first = pl.DataFrame({"before": list(rows), "row": range(len(rows))})
    second = pl.DataFrame({"after": list(columns), "column": range(len(columns))})
    joined = found.join(first, on="before").join(second, on="after")
    return joined.group_by("course_id", "session", "row", "column").agg(pl.len().alias("count"))
