"""Which sessions of a data set a trained coder has seen in training.

Seen is a session whose transcript or id stands in the training set, or half of whose longer texts do, and every session
of a group (a video, a post, a person) that holds such a session or stands in the training set itself. Ids of groups are
compared only where both files mean the same by them: AnnoMI's two forms name videos in different ways, and a table
without a column `group` names none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.coding.trained.examples import CodedSession, Examples
from simulator.coding.trained.files import Training, id_hashes, text_hashes

_SEEN_SHARE = 0.5


class Seen(NamedTuple):
    """Which sessions (sessions,) were seen, and whether ids of groups could be compared."""

    sessions: npt.NDArray[np.bool_]
    groups_compared: bool


def seen_in_training(training: Training, examples: Examples) -> Seen:
    """What of a data set stands in a coder's training set."""
    compared = examples.group_key is not None and examples.group_key == training.group_key
    known_id = examples.session_key is not None and examples.session_key == training.session_key
    group_key, session_key = examples.group_key if compared else None, examples.session_key if known_id else None
    seen = [
        _text_seen(training, session)
        or not training.groups.isdisjoint(id_hashes(group_key, [session.group]))
        or not training.ids.isdisjoint(id_hashes(session_key, [session.id]))
        for session in examples.sessions
    ]
    groups = {session.group for session, known in zip(examples.sessions, seen, strict=True) if known}
    return Seen(np.array([session.group in groups for session in examples.sessions], np.bool_), compared)


def _text_seen(training: Training, session: CodedSession) -> bool:
    if session.fingerprint in training.sessions:
        return True
    hashes = text_hashes([turn.text for turn in session.turns])
    return len(hashes) > 2 and float(np.isin(hashes, training.texts).mean()) >= _SEEN_SHARE
