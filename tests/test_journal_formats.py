"""Journals that older versions of Dyad wrote are read as they were meant. The files are theirs, not made by today's."""

from collections import Counter
from pathlib import Path

import pytest

from simulator.records.journal_records import JOURNAL_FORMAT
from simulator.store.histories import read_shard

FORMATS = Path(__file__).parent / "fixtures" / "journals"
FACTS = {
    1: {"Administration": 3, "Turn": 4, "SessionEnded": 1, "CourseEnded": 1},
    2: {"Turn": 8, "SessionEnded": 2, "Noted": 4, "Lived": 3, "Decided": 5, "CourseEnded": 1},
    3: {"Administration": 3, "Turn": 2, "SessionEnded": 1, "CourseEnded": 1},
    4: {"Event": 1, "Turn": 2, "SessionEnded": 1, "Answered": 4, "Administration": 1, "CourseEnded": 1},
}


def test_there_is_a_journal_of_every_format() -> None:
    assert sorted(FACTS) == list(range(1, JOURNAL_FORMAT + 1))


@pytest.mark.parametrize("version", sorted(FACTS))
def test_a_journal_of_a_known_format_is_read_whole(version: int) -> None:
    reading = read_shard(FORMATS / f"format_{version}", 0)
    assert (reading.torn, reading.set_aside, reading.without_ground) == ([], 0, 0)
    assert {header.format for header, _ in reading.executions} == {version}
    (history,) = reading.histories.values()
    assert history.ended
    assert Counter(type(fact).__name__ for fact in history.facts) == FACTS[version]
