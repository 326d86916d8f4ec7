"""The journal keeps what was appended, tells torn tails from damage, and never stitches two attempts."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DamageError, UnreadableError, UserError
from simulator.records.journal_records import CourseEnded, Header, Opened, Turn
from simulator.store import journal
from simulator.store.histories import read_shard
from simulator.store.journal import JournalError, JournalWriter, cut_tail, read_file, shard_of
from simulator.store.leases import Lease

COURSE = "ab" * 16


def header(attempt: int = 0, format: int = 1) -> Header:
    return Header(format, "identity", "code", 0, attempt)


def turn(index: int, text: str = "words") -> Turn:
    return Turn(COURSE, 0, index, "client", "client", text)


def write(folder: Path, attempt: int, records: list[object]) -> Path:
    path = folder / f"0000.{attempt}.jsonl"
    writer = JournalWriter(path, header(attempt))
    for record in records:
        writer.append(record)  # type: ignore[arg-type]
    writer.close()
    return path


@given(st.lists(st.text(max_size=40), max_size=12))
@settings(max_examples=40, deadline=None)
def test_what_is_appended_is_read_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("journal")
    records = [turn(index, text) for index, text in enumerate(texts)]
    reading = read_file(write(folder, 0, list(records)))
    assert reading.records == records
    assert reading.header == header()
    assert reading.tail == b""


def test_every_line_is_json_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [turn(0, 'a "quoted"\nline'), turn(1)])
    assert [json.loads(line)["record"]["kind"] for line in path.read_text().splitlines()] == ["journal", "turn", "turn"]


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "0000.0.jsonl"
    code = (
        "import os, sys; from pathlib import Path; from tests.test_journal import header, turn;"
        "from simulator.store.journal import JournalWriter;"
        "w = JournalWriter(Path(sys.argv[1]), header()); w.append(turn(0)); w.append(turn(1)); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent.parent, check=False, timeout=300
    )
    assert done.returncode == -9
    assert [record.turn for record in read_file(path).records] == [0, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_tail_is_cut_kept_aside_and_costs_one_record(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, 0, [turn(0), turn(1), turn(2)])
    os.truncate(path, path.stat().st_size - cut)
    reading = read_file(path)
    assert [record.turn for record in reading.records] == [0, 1]  # type: ignore[union-attr]
    aside = cut_tail(reading)
    assert aside is not None
    assert aside.read_bytes() == reading.tail
    assert read_file(path).tail == b""


@pytest.mark.parametrize("tail", [b"\0" * 300, b'{"a": 1}\n{"b": 2}\n', b"\xff\xfe\n"])
def test_a_tail_of_anything_else_is_torn_too(tmp_path: Path, tail: bytes) -> None:
    path = write(tmp_path, 0, [turn(0), turn(1)])
    with path.open("ab") as file:
        file.write(tail)
    assert len(read_file(path).records) == 2


def overwrite_line(path: Path, number: int, content: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = content
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("content", [b'{"a": 1}\n', b"\0\0\0\n", b""])
def test_a_bad_line_with_good_ones_after_it_is_damage(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, 0, [turn(0), turn(1), turn(2), turn(3)])
    overwrite_line(path, 2, content)
    before = path.read_bytes()
    with pytest.raises(DamageError, match=r"line 3 .* --repair"):
        read_file(path)
    assert path.read_bytes() == before
    assert [record.turn for record in read_file(path, repair=True).records] == [0]  # type: ignore[union-attr]


def test_a_changed_record_with_its_old_sum_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [turn(0), turn(1, "yes"), turn(2)])
    path.write_bytes(path.read_bytes().replace(b'"yes"', b'"no!"'))
    with pytest.raises(DamageError):
        read_file(path)


def test_two_lines_swapped_are_damage(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [turn(0), turn(1), turn(2), turn(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(DamageError):
        read_file(path)


@pytest.mark.parametrize("behind", [[], [turn(2), turn(3)]])
def test_a_line_that_its_writer_finished_is_never_cut_though_nobody_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: list[Turn]
) -> None:
    """As writers did once that did not look at what agents handed over."""
    nan = turn(1)
    nan.state = {"mood": float("nan")}
    monkeypatch.setattr(journal, "encode_record", msgspec.json.encode)
    path = write(tmp_path, 0, [turn(0), nan, *behind])
    monkeypatch.undo()
    before = path.read_bytes()
    for repair in (False, True):
        with pytest.raises(UnreadableError, match=r"line 3 stands as it was written .* no repair cuts it") as caught:
            read_shard(tmp_path, 0, repair=repair)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.suffix != ".counts"] == [path.name]


def test_nothing_is_written_behind_a_line_that_could_not_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0000.0.jsonl"
    writer = JournalWriter(path, header())
    write_part = journal.os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 60:
            raise OSError(errno.EIO, "broken")
        return write_part(file, data[:50])

    def refuse(file: int, size: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(journal.os, "write", half)
    monkeypatch.setattr(journal.os, "ftruncate", refuse)
    with pytest.raises(JournalError):
        writer.append(turn(0))
    monkeypatch.undo()
    with pytest.raises(JournalError):
        writer.append(turn(0))
    writer.close()
    reading = read_file(path)
    assert (len(reading.records), reading.tail != b"") == (0, True)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "0000.0.jsonl"
    JournalWriter(path, header(format=99)).close()
    with pytest.raises(UserError, match="install a newer Dyad"):
        read_file(path)


def test_a_file_has_one_writer_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path, 0, [turn(0)])
    with pytest.raises(UserError, match="another process writes"):
        JournalWriter(path, header())


def test_only_the_later_attempt_counts_from_where_it_took_over(tmp_path: Path) -> None:
    write(tmp_path, 0, [Opened(COURSE, 0), turn(0, "a"), turn(1, "b"), turn(2, "late addition of the old writer")])
    write(tmp_path, 1, [Opened(COURSE, 2), turn(2, "c"), CourseEnded(COURSE, 1)])
    reading = read_shard(tmp_path, 0)
    assert [fact.text for fact in reading.histories[COURSE].turns(0)] == ["a", "b", "c"]
    assert reading.set_aside == 1
    assert reading.histories[COURSE].ended


def test_shards_are_ranges_of_ids() -> None:
    assert shard_of("00" * 16, 8) == 0
    assert shard_of("ff" * 16, 8) == 7
    assert [shard_of(f"{byte:02x}" + "0" * 30, 4) for byte in (0, 63, 64, 128, 192)] == [0, 0, 1, 2, 3]


def test_a_live_lease_refuses_and_a_dead_one_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    journal = tmp_path / "journal"
    code = (
        "import sys, time; from pathlib import Path; from simulator.store.leases import Lease;"
        "Lease(Path(sys.argv[1]), 0); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(journal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {holder.pid}"):
        Lease(journal, 0)
    holder.kill()
    holder.wait(60)
    lease = Lease(journal, 0)
    lease.release()
    assert list(journal.glob("*.lease*")) == []


def test_a_lease_of_another_host_lives_as_long_as_it_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal" / "0.lease"
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "elsewhere", "boot": "x", "process": 1, "started": "1"}))
    with pytest.raises(UserError, match="elsewhere"):
        Lease(path.parent, 0)
    os.utime(path, (time.time() - 3600, time.time() - 3600))
    Lease(path.parent, 0).release()
