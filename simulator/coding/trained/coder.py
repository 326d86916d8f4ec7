"""A trained coder as one of the coders: `dyad code`, studies and validation use it like the rule-based one.

Every judgment carries a probability: that of the value given, calibrated on training sessions that were left out. Where
the value is a level that sentences were trained for, the sentence that speaks most for it is quoted as evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from simulator.coding.base import CodedTurn, Judgment
from simulator.coding.trained.files import code_version, load
from simulator.coding.trained.model import Prediction, TaskModel
from simulator.coding.trained.sentences import cut, score_sentences
from simulator.coding.trained.turns import Turns, lay_out
from simulator.coding.units import back_in_turns, check_units, in_utterances, units_fingerprint, whole_turns
from simulator.errors import UserError
from simulator.records.fingerprints import fingerprint

_DIGITS = 5
"""Of a probability; beyond, the size of the batch it was computed in shows."""


class TrainedCoder:
    """A coder that `dyad coders train` wrote.

    Args:
        folder: where it lies.
        units: `turn` codes turns whole, as in its training data; `utterance` codes the utterances in them.

    Raises:
        UserError: no coder there, or a file with a changed byte.
    """

    def __init__(self, folder: str | Path, units: str = "turn") -> None:
        self.units = check_units(units, "coders.trained.units")
        if not str(folder):
            raise UserError("coders.trained.folder: names no folder; give the one that `dyad coders train --out` wrote")
        self._model, self.description, self.training = load(Path(folder))
        self.name = f"trained-{self.description.data}"

    @property
    def tasks(self) -> list[TaskModel]:
        """What it learnt, task by task."""
        return self._model.tasks

    @property
    def codebook(self) -> str:
        """The codebook that all its tasks belong to."""
        return self.description.tasks[0].codebook

    @property
    def codebook_version(self) -> str:
        """The version of the codebook that it was trained with."""
        return self.description.tasks[0].codebook_version

    @cached_property
    def fingerprint(self) -> str:
        """Stands for the stored numbers and for the code that applies them."""
        return fingerprint([self.description.fingerprint, code_version(), *units_fingerprint(self.units)])

    def code_session(self, turns: Sequence[CodedTurn]) -> list[Judgment]:
        """One judgment per turn and code of the turn's role, in order."""
        return self.code_sessions([turns])[0]

    def code_sessions(self, sessions: Sequence[Sequence[CodedTurn]]) -> list[list[Judgment]]:
        """The judgments of many sessions at once, which is far quicker than one after another; nothing else differs."""
        if self.units == "utterance":
            parted = [in_utterances(session) for session in sessions]
            coded = self._code_turns([turns for turns, _ in parted])
            return [back_in_turns(found, places) for found, (_, places) in zip(coded, parted, strict=True)]
        return self._code_turns(sessions)

    def _code_turns(self, sessions: Sequence[Sequence[CodedTurn]]) -> list[list[Judgment]]:
        laid = lay_out(sessions)
        predictions = self._model.predict(laid)
        judged: list[list[Judgment]] = [[] for _ in laid.turns]
        for learnt in self._model.tasks:
            for row, judgment in _judgments(self, learnt, predictions[learnt.task.name], laid):
                judged[row].append(judgment)
        found: list[list[Judgment]] = []
        start = 0
        for session in sessions:
            found.append([judgment for row in judged[start : start + len(session)] for judgment in row])
            start += len(session)
        return found

    def predict(self, turns: Turns) -> dict[str, Prediction]:
        """Values and probabilities of every value, by task."""
        return self._model.predict(turns)

    def learnt(self, role: str, code: str) -> TaskModel | None:
        """What it learnt of a code of a role; None where nothing."""
        return next((each for each in self.tasks if (each.task.role, each.task.code) == (role, code)), None)

    def evidence(self, learnt: TaskModel, texts: Sequence[str], values: Sequence[int]) -> list[tuple[int, int] | None]:
        """The sentence of each text that speaks most for its value; None for the lowest value."""
        if learnt.first.sentences is None or not texts:
            return [None] * len(texts)
        sentences = cut(texts)
        reader = self._model.reader
        scores = score_sentences(reader.vocabularies[0].vectors(reader.tokens(sentences.texts)), learnt.first.sentences)
        found: list[tuple[int, int] | None] = []
        for index, value in enumerate(values):
            own = np.flatnonzero(sentences.owner == index)
            found.append(sentences.spans[own[scores[own, value - 1].argmax()]] if value else None)
        return found


def _judgments(
    coder: TrainedCoder, learnt: TaskModel, prediction: Prediction, turns: Turns
) -> list[tuple[int, Judgment]]:
    task = learnt.task
    rows, values = prediction.rows.tolist(), prediction.values.tolist()
    chosen = prediction.probabilities[np.arange(len(rows)), prediction.values].round(_DIGITS).tolist()
    quotes = coder.evidence(learnt, [turns.turns[row].text for row in rows], values)
    found = []
    for row, value, probability, quote in zip(rows, values, chosen, quotes, strict=True):
        turn = turns.turns[row]
        start, end = quote or (None, None)
        found.append((
            row,
            Judgment(
                turn.turn, task.role, task.code, task.values[value], 0, len(turn.text), whole_turns(task.unit), None,
                probability, start, end,
            ),
        ))  # fmt: skip
    return found
