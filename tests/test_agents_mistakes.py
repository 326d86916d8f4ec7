"""Whatever an agent raises or hands over, its own course fails with a name; the neighbours and the journal do not."""

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.agents.base import TurnMessage
from simulator.agents.between_sessions import Decision, Kept
from simulator.errors import SessionError
from simulator.records.encoding import decode_record, encode_record
from simulator.records.journal_records import Administration, Answer, Decided, Note, Noted, SavedState, Turn
from simulator.store import journal
from simulator.store.histories import read_shard
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.running import run_study
from tests.scripts_for_tests import Foreign, Reciter
from tests.studies_for_tests import parquet_bytes

HERE = __name__


class Says(Reciter):
    """Hands over turns with something in them that a turn does not hold."""

    def __init__(self, seat: Any, **changes: Any) -> None:
        super().__init__(seat)
        self.changes = changes

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        return (await super().respond(turn, seed)).model_copy(update=self.changes)


class NanState(Says):
    """A number that is none."""

    def __init__(self, seat: Any) -> None:
        super().__init__(seat, state={"mood": float("nan")})


class InfinitePlanted(Says):
    """The same, deep in what it planted."""

    def __init__(self, seat: Any) -> None:
        super().__init__(seat, planted={"book": {"codes": [{"p": float("inf")}]}})


class PlantedObject(Says):
    """What JSON does not know."""

    def __init__(self, seat: Any) -> None:
        super().__init__(seat, planted={"book": {"code": object()}})


class WordsForNumbers(Says):
    """What JSON knows, and the table's column does not."""

    def __init__(self, seat: Any) -> None:
        super().__init__(seat, state={"mood": "good"})


class HalfACharacter(Says):
    """Half of a surrogate pair."""

    def __init__(self, seat: Any) -> None:
        super().__init__(seat, content="hello \ud83d")


class HalfAnError(Reciter):
    """The same, in what it says of its own end."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        raise ValueError("no \ud83d")


class NobodyFor(Reciter):
    """Does not take every persona."""

    def __init__(self, seat: Any) -> None:
        super().__init__(seat)
        raise KeyError(seat.persona.id)


class LivesBadly(Reciter):
    """Loses a file of its own."""

    def live(self, days: float, happened: Sequence[str], seed: int) -> dict[str, float]:
        raise OSError(errno.ENOENT, "the agent's own file is gone")


class Decides(Reciter):
    """Decides in a way of its own."""

    def __init__(self, seat: Any, chances: list[float] | None = None, word: bool = False) -> None:
        super().__init__(seat)
        self.chances, self.word = chances, word

    async def decide(self, options: Sequence[str], seed: int) -> Any:
        return options[0] if self.word else Decision(options[0], self.chances)


class NanDecision(Reciter):
    """As likely as nothing."""

    async def decide(self, options: Sequence[str], seed: int) -> Decision:
        return Decision(options[0], [float("nan")] * len(options))


class KeepsNothing(Reciter):
    """Forgets to return what it keeps."""

    async def take_notes(self, seed: int) -> Kept:
        return None  # type: ignore[return-value]


class AnswersNothing(Reciter):
    """Forgets to return its answer."""

    async def answer_item(self, instrument: Any, item: Any, form: str, seed: int) -> Answer:
        return None  # type: ignore[return-value]


class AnswersNan(Reciter):
    """Answers by a number that is none."""

    async def answer_item(self, instrument: Any, item: Any, form: str, seed: int) -> Answer:
        return Answer(item.id, float("nan"))


class CancelsItself(Reciter):
    """Ends like a cancelled task, though nobody cancelled it."""

    async def respond(self, turn: int, seed: int) -> TurnMessage:
        raise asyncio.CancelledError


class SavesNothing(Foreign):
    """A stranger without a state to give."""

    async def save_state(self) -> dict[str, Any]:
        return None  # type: ignore[return-value]


MISTAKES = {
    "NanState": "not_finite", "InfinitePlanted": "not_finite", "PlantedObject": "not_storable",
    "WordsForNumbers": "not_storable", "HalfACharacter": "not_storable", "HalfAnError": "ValueError",
    "NobodyFor": "KeyError", "LivesBadly": "FileNotFoundError", "Decides, word: true": "bad_decision",
    "Decides, chances: [1.0]": "bad_decision", "Decides, chances: [2, -1, 0]": "bad_decision",
    "NanDecision": "not_finite", "KeepsNothing": "bad_notes", "AnswersNothing": "bad_answer",
    "AnswersNan": "not_finite", "CancelsItself": "CancelledError", "SavesNothing": "TypeError",
}  # fmt: skip


def study(out: Path, *overrides: str) -> StudyConfig:
    bad = [f"+client.bad{place}={{_target_: {HERE}.{one}}}" for place, one in enumerate(MISTAKES)]
    return compose(
        "client=[scripted]", *bad, "therapist=[mi_consistent]", "session=course", "session.course.sessions=2",
        "session.max_turns=4", "personas.limit=2", "replicates=1", "instruments=[phq9]", "coders=[]",
        "limits.failure_rate=1", "limits.concurrency=4", f"out={out}", *overrides,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "mistakes"
    result = run_study(study(out, "limits.workers=1"))
    assert result.tally.stopped_by is None
    assert (result.tally.ended, result.tally.failed) == (2, 2 * len(MISTAKES))
    return out


def test_every_mistake_is_a_failure_of_its_own_course_with_a_name(run: Path) -> None:
    courses = pl.read_parquet(run / "dataset/courses/*.parquet")
    failures = pl.read_parquet(run / "dataset/failures/*.parquet").join(courses, on="course_id")
    kinds = failures.group_by("client").agg(pl.col("kind").unique(), pl.col("boundary").unique())
    told = {client: (kind, boundary) for client, kind, boundary in kinds.iter_rows()}
    assert told == {f"bad{place}": ([kind], ["agent"]) for place, kind in enumerate(MISTAKES.values())}
    assert courses.filter(client="scripted")["status"].to_list() == ["ended", "ended"]


def test_the_failure_says_what_it_was(run: Path) -> None:
    messages = " | ".join(pl.read_parquet(run / "dataset/failures/*.parquet")["message"])
    for words in (
        "client: turn.state.mood is nan; only finite numbers are kept", "turn.planted.book.codes.0.p is inf",
        "client gave 1 probabilities for", "client decided by a str; return a Decision", "the agent's own file is gone",
        "client kept a NoneType; return a Kept", "by a NoneType; return an Answer",
    ):  # fmt: skip
        assert words in messages


def test_the_same_command_leaves_such_a_run_as_it_is_and_workers_do_not_matter(run: Path, tmp_path: Path) -> None:
    before = parquet_bytes(run)
    again = run_study(study(run, "limits.workers=1")).tally
    assert (again.skipped, again.failed_before, again.stopped_by) == (2 + 2 * len(MISTAKES), 2 * len(MISTAKES), None)
    assert parquet_bytes(run) == before
    run_study(study(tmp_path / "two", "limits.workers=2"))
    assert parquet_bytes(tmp_path / "two") == before


def test_the_journals_own_errors_still_drain_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = journal.os.write, [40]

    def full(file: int, data: bytes) -> int:
        if data.startswith(b'{"sum"'):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(journal.os, "write", full)
    tally = run_study(study(tmp_path / "full", "limits.workers=1")).tally
    assert tally.stopped_by is not None
    assert tally.stopped_by.startswith("the journal cannot be written (No space left on device)")
    monkeypatch.undo()
    assert run_study(study(tmp_path / "full", "limits.workers=1")).tally.stopped_by is None
    assert not any(read_shard(tmp_path / "full/journal", shard).torn for shard in range(8))


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (Turn("c", 0, 0, "client", "client", "hi", state={"x": float("nan")}), "not_finite"),
        (Noted("c", 0, "client", 1.0, [Note("note", "x", float("inf"))]), "not_finite"),
        (Noted("c", 0, "client", 1.0, ["a note"]), "not_storable"),  # type: ignore[list-item]
        (Decided("c", 0, 1.0, "client", "q", ["a"], "a", [float("nan")]), "not_finite"),
        (SavedState("c", 0, 0, "client", {"deep": [{"x": float("-inf")}]}), "not_finite"),
        (
            Administration("c", 0, "m", "i", "1", "official", "w", "client", [Answer("1", expected=float("nan"))]),
            "not_finite",
        ),
        (Turn("c", 0, 0, "client", "client", "hi", planted=["x"]), "not_storable"),  # type: ignore[arg-type]
        (Turn("c", 0, 0, "client", "client", "hi", planted={"x": "y"}), "not_storable"),  # type: ignore[dict-item]
        (Turn("c", 0, 0, "client", "client", 5), "not_storable"),  # type: ignore[arg-type]
        (Turn("c", 0, 0, "client", "client", "hi", seed=True), "not_storable"),
        (Turn("c", 0, 0, "client", "client", "hi", goodbye="yes"), "not_storable"),  # type: ignore[arg-type]
    ],
)
def test_no_record_is_written_that_could_not_be_read_or_would_say_something_else(record: Any, kind: str) -> None:
    with pytest.raises(SessionError) as caught:
        encode_record(record)
    assert (caught.value.boundary, caught.value.kind) == ("agent", kind)


def test_what_only_looks_like_a_number_that_is_none_is_kept() -> None:
    for record in (
        Turn("c", 0, 0, "client", "client", "null and NaN", planted={"book": {"code": None}}, state={"x": 1}),
        Turn("c", 0, 0, "client", "client", "hi", state={"x": 0.5}, goodbye=True),
    ):
        assert decode_record(encode_record(record)) == record
