"""`dyad status` counts what the journal holds, whether or not its writers left counts beside it."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DamageError
from simulator.records.history import History
from simulator.records.journal_records import (
    JOURNAL_FORMAT,
    CourseEnded,
    Event,
    Execution,
    Failed,
    Header,
    Opened,
    Turn,
)
from simulator.store.counting import counts_path
from simulator.store.histories import read_shard
from simulator.store.journal import JournalWriter
from simulator.store.progress import Progress, progress_of

COURSES = tuple(f"{number:032x}" for number in range(3))


def write(folder: Path, attempt: int, records: Sequence[Any]) -> Path:
    path = folder / f"0000.{attempt}.jsonl"
    writer = JournalWriter(path, Header(JOURNAL_FORMAT, "identity", "code", 0, attempt, "here", 100 + attempt))
    for record in records:
        writer.append(record)
    writer.close()
    return path


def by_reading(journal: Path) -> tuple[dict[str, int], int, int]:
    """What `progress_of` has to say of a journal's only shard: states, turns, records set aside."""
    reading = read_shard(journal, 0)
    states: dict[str, int] = {}
    for history in reading.histories.values():
        state = "ended" if history.ended else "failed" if history.failure else "in_flight"
        states[state] = states.get(state, 0) + 1
    turns = sum(len(history.turns(0)) for history in reading.histories.values())
    return states, turns, reading.set_aside


def said(progress: Progress) -> tuple[dict[str, int], int, int]:
    return {state: count for state, count in progress.states.items() if count}, progress.turns, progress.set_aside


STEPS = st.lists(st.tuples(st.sampled_from(COURSES), st.sampled_from("ttttefd")), max_size=14)


@given(st.lists(st.tuples(STEPS, st.integers(0, 3)), min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_counts_say_what_reading_says(
    tmp_path_factory: pytest.TempPathFactory, attempts: list[tuple[list[tuple[str, str]], int]]
) -> None:
    journal = tmp_path_factory.mktemp("journal")
    held = {course: History(course) for course in COURSES}
    for attempt, (steps, late) in enumerate(attempts):
        records: list[Any] = []
        opened: set[str] = set()
        for course, step in steps:
            history = held[course]
            if history.ended:
                continue
            if course not in opened:  # `late`: what an older writer added after this one had read, or what was cut
                kept = max(0, len(history.standing) - (late if len(opened) == 1 else 0))
                records.append(Opened(course, kept))
                opened.add(course)
                del history.facts[kept:]
            fact: Any = {
                "t": Turn(course, 0, len(history.facts), "client", "client", "words"),
                "e": Event(course, 0, 0, "name", "stimulus"),
                "f": Failed(course, 0, 0, "model", "timeout", "no answer"),
                "d": CourseEnded(course, 1),
            }[step]
            records.append(fact)
            history.facts.append(fact)
        write(journal, attempt, records)
    expected = by_reading(journal)
    assert said(progress_of(journal, 1)) == expected
    for path in journal.glob("*.counts"):
        path.unlink()
    assert said(progress_of(journal, 1)) == expected


def test_what_was_written_after_the_counts_is_read(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "0000.0.jsonl", Header(JOURNAL_FORMAT, "identity", "code", 0, 0))
    writer.append(Opened(COURSES[0], 0))
    writer.append(Turn(COURSES[0], 0, 0, "client", "client", "one"))
    writer.sync()
    writer.append(Turn(COURSES[0], 0, 1, "client", "client", "two"))
    assert counts_path(writer.path).exists()
    assert progress_of(tmp_path, 1).turns == 2
    with writer.path.open("ab") as file:
        file.write(b'{"sum":"half a li')
    progress = progress_of(tmp_path, 1)
    assert progress.turns == 2
    assert "a tail of 17 bytes is incomplete" in progress.notes[0]
    writer.close()


def test_counts_do_not_hide_damage(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [Opened(COURSES[0], 0), *(Turn(COURSES[0], 0, n, "a", "a", "words") for n in range(5))])
    path.write_bytes(path.read_bytes().replace(b"words", b"wards", 1))
    with pytest.raises(DamageError):
        progress_of(tmp_path, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"size": "much"}', b'{"size": 99999999}'])
def test_spoiled_counts_are_not_believed(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, 0, [Opened(COURSES[0], 0), Turn(COURSES[0], 0, 0, "a", "a", "words")])
    counts_path(path).write_bytes(content)
    assert progress_of(tmp_path, 1).turns == 1


def test_a_copy_with_other_times_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [Opened(COURSES[0], 0), Turn(COURSES[0], 0, 0, "a", "a", "words")])
    os.utime(path, (1.0, 1.0))
    assert progress_of(tmp_path, 1).turns == 1


def test_rates_are_those_of_the_latest_stretch_of_work(tmp_path: Path) -> None:
    """A first attempt an hour ago does not dilute the rate; tokens are summed over both."""

    def call(tokens: int) -> Execution:
        return Execution(COURSES[0], 0, "call", 1.0, 0.5, prompt_tokens=10, completion_tokens=tokens, retries=1)

    first = write(tmp_path, 0, [Opened(COURSES[0], 0), Turn(COURSES[0], 0, 0, "a", "a", "words"), call(3)])
    second = write(tmp_path, 1, [Opened(COURSES[0], 1), call(4), CourseEnded(COURSES[0], 1)])
    now = time.time()
    for path, began, ended in ((first, now - 3600, now - 3590), (second, now - 10, now)):
        counts = json.loads(counts_path(path).read_text())
        os.utime(path, ns=(int(ended * 1e9), int(ended * 1e9)))
        counts_path(path).write_text(json.dumps({**counts, "began": began, "modified": path.stat().st_mtime_ns}))
    progress = progress_of(tmp_path, 1)
    assert progress.courses_per_second == pytest.approx(0.1, rel=1e-3)
    assert progress.tokens_per_second == pytest.approx(0.4, rel=1e-3)
    assert (progress.calls, progress.retries, progress.prompt_tokens, progress.completion_tokens) == (2, 2, 20, 7)
    assert progress.seconds_left(planned=3) == pytest.approx(20, rel=1e-3)
    assert progress.seconds_left(planned=1) == 0


def test_a_run_is_running_while_a_lease_is_held(tmp_path: Path) -> None:
    from simulator.store.leases import Lease

    lease = Lease(tmp_path, 0)
    assert progress_of(tmp_path, 1).running
    lease.release()
    assert not progress_of(tmp_path, 1).running
