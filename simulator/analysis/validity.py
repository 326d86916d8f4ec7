"""A coder against people's codes on sessions that it was not made from: figures task by task.

Any coder can be validated. Of a trained one the sessions that it has seen in training are left out and counted: by the
hash of their transcript, because half of their longer texts stand in the training set, or because they belong to a
group (a video, a post) that does. Units are compared only where both sides judged the same text: a coder that parts
turns otherwise than the data is refused. What the coder left missing is counted by reason and enters nothing else.
A coder that asks a model is asked the data's codes alone, by the requests of a whole coding, many sessions at once.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.analysis.validity_figures import Coded, figures, part_figures
from simulator.codebooks import Codebook, exploratory
from simulator.coding.base import Coder
from simulator.coding.datasets import AsksModel, asked_sessions
from simulator.coding.measured import READ, UNREAD, unread_sessions
from simulator.coding.people import people
from simulator.coding.rules import PATTERNS, RuleCoder
from simulator.coding.trained.coder import TrainedCoder
from simulator.coding.trained.examples import Examples, Task
from simulator.coding.trained.folds import fold_of_turns
from simulator.coding.trained.length import by_length, fit_length
from simulator.coding.trained.seen import seen_in_training
from simulator.coding.trained.turns import lay_out
from simulator.errors import UserError, nearest
from simulator.records.text import count_words

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOT_PROBED = "not probed"
"""What is said of a language model of which nobody has looked whether it knows the data by heart."""


def validate(
    coder: Coder, examples: Examples, resamples: int = 2000, answers: Path | None = None
) -> dict[str, dict[str, Any]]:
    """One dictionary per task that both the coder and the data have; see `docs/coders.md` for its keys.

    Args:
        answers: where the answers of a coder that asks a model are kept and found again; None keeps none.

    Raises:
        UserError: no task in common, other values, other units, no session that the coder has not seen, or a model that
            gives no answer.
    """
    seen, compared = np.zeros(len(examples.sessions), dtype=np.bool_), None
    if isinstance(coder, TrainedCoder):
        seen, compared = seen_in_training(coder.training, examples)
    if seen.all():
        raise UserError(
            f"{examples.source}: the coder was trained on all {len(seen)} sessions; validate it on others, "
            f"or on folds with `dyad bench coders`"
        )
    fresh = examples.subset(~seen)
    found = {}
    unread = unread_sessions("rules", coder.codebook, fresh.session_key, [session.id for session in fresh.sessions])
    for task, units, missing in _coded(coder, fresh, answers):
        found[task.name] = {
            **figures(units, fresh.group, resamples),
            "coder": coder.name,
            "coder_fingerprint": coder.fingerprint,
            "data": examples.source_hash,
            "sessions": len(fresh.sessions),
            "sessions_left_out": int(seen.sum()),
            "groups_compared": compared,
            "missing": missing,
            "rules_read": None if unread is None else _by_reading(units, np.array(unread), fresh.group, resamples),
            "contamination": NOT_PROBED if isinstance(coder, AsksModel) else None,
            "exploratory": exploratory(task.codebook, task.code),
            **people(task.codebook, task.code).to_dict(),
        }
    return found


def _by_reading(units: Coded, unread: npt.NDArray[np.bool_], cluster: str, resamples: int) -> dict[str, dict[str, Any]]:
    """The figures on sessions of which no text was read when the rules were written, and on the others."""
    kept = unread[units.sessions]
    return {part: part_figures(units, chosen, cluster, resamples) for part, chosen in ((UNREAD, kept), (READ, ~kept))}


def _coded(coder: Coder, examples: Examples, answers: Path | None) -> list[tuple[Task, Coded, dict[str, int]]]:
    """By task: the units that both sides judged, and what the coder left missing, by reason."""
    given = _judged(coder, examples, answers)
    others = {"rules": _judged(RuleCoder(coder.codebook), examples)} if _has_rules(coder) else {}
    groups, lengths = examples.groups(), [len(session.turns) for session in examples.sessions]
    sessions = np.repeat(np.arange(len(lengths)), lengths)
    strata = np.repeat(np.array([session.stratum or "" for session in examples.sessions], dtype=np.str_), lengths)
    found = []
    for task in examples.tasks:
        key = (task.role, task.code)
        if key not in given:
            continue
        said = given[key]
        meant = examples.values(task)
        _check_values(coder, examples, task, said)
        values = _places(task, said)
        both = (meant >= 0) & (values >= 0)
        if not both.any():
            raise UserError(f"{examples.source}: {task.code}: no unit has both people's code and the coder's")
        missing = Counter(str(entry[1] if entry else "not judged") for row, entry in enumerate(said)
                          if meant[row] >= 0 and values[row] < 0)  # fmt: skip
        baselines = {"length_only": _length_only(examples, task, both)}
        for name, judged in others.items():
            if key in judged:
                baselines[name] = _places(task, judged[key])[both]
        chances = _probabilities(coder, examples, task, said)[both]
        units = Coded(task, meant[both], values[both], chances, groups[both], sessions[both], strata[both], baselines)
        found.append((task, units, dict(missing)))
    if not found:
        known = sorted(f"{code} of the {role}" for role, code in given) or [
            one.id for one in getattr(coder, "codes", ())
        ]
        raise UserError(
            f"{examples.source}: no code in common with the coder; the file has "
            f"{', '.join(task.code for task in examples.tasks) or 'none'}, the coder {', '.join(known) or 'none'}"
        )
    return found


Said = list[tuple[str | None, str | None, float | None] | None]


def _judged(coder: Coder, examples: Examples, answers: Path | None = None) -> dict[tuple[str, str], Said]:
    """By role and code: value, reason and probability for every turn, sessions end to end; None where not judged.

    Raises:
        UserError: judgments of other stretches than whole turns, or a model that gives no answer.
    """
    sessions = [list(session.turns) for session in examples.sessions]
    if isinstance(coder, AsksModel):
        codes = {task.code for task in examples.tasks}
        coded = [judgments for _, judgments in asked_sessions(coder, sessions, answers, only=codes)]
    elif isinstance(coder, TrainedCoder):
        coded = coder.code_sessions(sessions)
    else:
        coded = [coder.code_session(turns) for turns in sessions]
    total = sum(len(turns) for turns in sessions)
    found: dict[tuple[str, str], Said] = {}
    start = 0
    for turns, judgments in zip(sessions, coded, strict=True):
        place = {turn.turn: index for index, turn in enumerate(turns)}
        for judgment in judgments:
            if judgment.turn is None:
                continue
            index = place[judgment.turn]
            if (judgment.start or 0, judgment.end) not in ((0, len(turns[index].text)), (0, None)):
                raise UserError(
                    f"{examples.source}: the coder judges parts of turns where people judged whole ones: the texts "
                    f"differ, so there is no agreement to state; give the coder units=turn"
                )
            said = found.setdefault((judgment.role, judgment.code), [None] * total)
            said[start + index] = (judgment.value, judgment.missing_reason, judgment.probability)
        start += len(turns)
    return found


def _places(task: Task, said: Said) -> Ints:
    """The value of every turn as a place in the task's values; -1 where there is none."""
    place = {value: index for index, value in enumerate(task.values)}
    return np.array([-1 if entry is None or entry[0] is None else place[entry[0]] for entry in said], np.int64)


def _check_values(coder: Coder, examples: Examples, task: Task, said: Said) -> None:
    learnt = coder.learnt(task.role, task.code) if isinstance(coder, TrainedCoder) else None
    known = learnt.task.values if learnt else task.values
    other = sorted(set(task.values) - set(known))
    if other:
        raise UserError(
            f"{examples.source}: {task.code}: the coder does not know the value '{other[0]}'{nearest(other[0], known)}"
        )
    strange = sorted({entry[0] for entry in said if entry and entry[0] is not None} - set(task.values))
    if strange:
        raise UserError(
            f"{examples.source}: {task.code}: the coder says '{strange[0]}', which is no value there"
            f"{nearest(strange[0], task.values)}"
        )


def _probabilities(coder: Coder, examples: Examples, task: Task, said: Said) -> Array:
    """(turns, values) from a trained coder and of codes that have two values, (turns, 1) else; NaN where none is
    stated."""
    if not isinstance(coder, TrainedCoder):
        stated = np.array([np.nan if entry is None or entry[2] is None else entry[2] for entry in said], np.float64)
        if not _two_valued(coder, task):
            return stated[:, None]
        first = _places(task, said) == 0
        return np.stack([np.where(first, stated, 1 - stated), np.where(first, 1 - stated, stated)], axis=1)
    learnt = coder.learnt(task.role, task.code)
    found = np.full((len(said), len(task.values)), np.nan)
    if learnt is not None:
        prediction = coder.predict(lay_out(session.turns for session in examples.sessions))[learnt.task.name]
        order = [learnt.task.values.index(value) for value in task.values]
        found[prediction.rows] = prediction.probabilities[:, order]
    return found


def _two_valued(coder: Coder, task: Task) -> bool:
    """Whether a code has the task's two values and no other, so that the probability of one gives that of the other."""
    book = getattr(coder, "book", None)
    codes = {code.id: code for code in book.codes} if isinstance(book, Codebook) else {}
    return task.code in codes and set(codes[task.code].values) == set(task.values) and len(task.values) == 2


def _length_only(examples: Examples, task: Task, both: npt.NDArray[np.bool_]) -> Ints:
    """What the number of words alone says of each unit, learnt on the other folds of the same data."""
    values = examples.values(task)
    words = np.log1p([count_words(turn.text) for session in examples.sessions for turn in session.turns])
    try:
        folds = fold_of_turns(examples, 5)
    except UserError:
        return np.full(int(both.sum()), np.bincount(values[both]).argmax())
    found = np.zeros(len(values), np.int64)
    for fold in np.unique(folds):
        out = folds == fold
        learn = both & ~out
        if len(np.unique(values[learn])) < 2:
            found[out] = values[learn][0] if learn.any() else 0
            continue
        found[out] = by_length(fit_length(words[learn], values[learn], len(task.values)), words[out])
    return found[both]


def _has_rules(coder: Coder) -> bool:
    return not isinstance(coder, RuleCoder) and (PATTERNS / coder.codebook).is_dir()
