"""What leaves a run when it is passed on: no licensed wording, no transcript of people, no machine.

Left out are rows and texts, never whole columns, so that a release has the tables that the documentation describes
(`executions` apart, which holds hosts and clocks). Whether human transcripts may be passed on is decided by the licence
that the import was given, and only where it is one of a list; prose is not interpreted.
"""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from simulator.store.exporters.survey import RECORDED, Survey, replay_options

MAY_BE_PASSED_ON = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0",
    "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "CDLA-Permissive-1.0",
    "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "ISC", "MIT", "ODC-By-1.0", "ODbL-1.0", "PDDL-1.0", "Unlicense",
})  # fmt: skip
"""SPDX identifiers of licences that let anyone pass the material on under the same terms."""

OPEN_WORDINGS = ("paraphrase", "project", "published")
"""Wordings of questionnaires that are not a user's licensed one."""

SEED_STIMULUS = "recorded_"
"""Begins the names of stimuli that are turns of a recording (`source.seed_turns`)."""

NOT_RELEASED = ("executions",)
"""Tables that a release lacks."""


class Release:
    """The rules of one release of one run.

    Args:
        meta: the content of run.json: the licence that transcripts of people came with, the agents that replay.
        found: the survey of the run.
    """

    def __init__(self, meta: dict[str, Any], found: Survey) -> None:
        self.licence: str | None = meta.get("licence")
        self.keeps_human = self.licence in MAY_BE_PASSED_ON
        self._human = _values(() if self.keeps_human else found.human)
        self._replayed = _values(found.replayed)
        self._replay_roles = _values(replay_options(meta))

    def of(self, table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows and texts of a batch that may be passed on.

        Args:
            table: which table the rows belong to.
            batch: rows with all columns of the table.
        """
        if len(self._human) and "course_id" in batch.schema.names:
            batch = batch.filter(pc.invert(pc.is_in(batch["course_id"], value_set=self._human)))
        for column, withheld in self._withheld(table, batch).items():
            empty = pc.if_else(withheld, pa.scalar(None, batch[column].type), batch[column])
            batch = batch.set_column(batch.schema.get_field_index(column), batch.schema.field(column), empty)
        return batch

    def _withheld(self, table: str, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """By column, the rows whose text is not passed on."""
        if table == "turns":
            return dict.fromkeys(("text", "planted", "state"), pc.or_(self._is_source(batch), _is_seed(batch)))
        if table == "extractions":  # what was read out of a transcript, in its words
            in_words = pc.is_null(batch["number"])
            return {"value": in_words, "raw_text": pa.array([True] * batch.num_rows, pa.bool_())}
        if table == "events":
            return {"payload": self._is_replayed(batch)}
        if table == "notes":
            return {"text": self._is_replayed(batch)}
        if table == "administrations":
            licensed = pc.invert(pc.is_in(batch["wording"], value_set=_values(OPEN_WORDINGS)))
            return {"raw_text": pc.or_(licensed, self._is_replayed(batch))}
        if table == "personas":
            free = pc.is_in(batch["licence"], value_set=_values(MAY_BE_PASSED_ON))
            extracted = pc.equal(pc.fill_null(batch["provenance"], ""), "extracted")
            return dict.fromkeys(("name", "document"), pc.or_(pc.invert(free), extracted))
        if table == "failures":  # may name hosts, addresses and paths
            return {"message": pa.array([True] * batch.num_rows, pa.bool_())}
        return {}

    def _is_replayed(self, batch: pa.RecordBatch) -> pa.Array:
        return pc.is_in(batch["course_id"], value_set=self._replayed)

    def _is_source(self, batch: pa.RecordBatch) -> pa.Array:
        """Turns of simulating runs that were taken from a transcript."""
        spoken = pc.is_in(batch["role"], value_set=self._replay_roles)
        recorded = pc.is_in(batch["finish_reason"], value_set=_values(RECORDED))
        return pc.and_(self._is_replayed(batch), pc.or_(spoken, recorded))


def _is_seed(batch: pa.RecordBatch) -> pa.Array:
    """Turns of a recorded session that opened a simulated one."""
    seeded = pc.starts_with(pc.fill_null(batch["probe"], ""), SEED_STIMULUS)
    return pc.and_(seeded, pc.equal(pc.fill_null(batch["model"], ""), "stimulus"))


def _values(words: Iterable[str]) -> pa.Array:
    return pa.array(sorted(words), pa.string())
