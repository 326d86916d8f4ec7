"""Faults that are caused, not imagined: full disks, read-only ones, torn and overwritten journals."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.cli.status import run_status
from simulator.errors import DamageError, UserError
from simulator.records.journal_records import JOURNAL_FORMAT, Header
from simulator.store.journal import JournalWriter, read_file
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.killing import ForkServer, fork_server, histories_of, turns_in
from tests.mock_for_tests import Mock, mock_server
from tests.studies_for_tests import parquet_bytes, small
from tests.told import TALK, Told

TURNS = 20
STUDY = (
    "therapist=[companion,waitlist]", "personas.limit=3", "replicates=1", "coders=[]", "session=course",
    "session.course.sessions=2", f"session.max_turns={TURNS}", "+instruments.phq9.every_days=14",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with fork_server() as running:
        running.warm(STUDY, tmp_path_factory.mktemp("warm") / "run")
        yield running


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with mock_server(latency=0.002, latency_spread=1.0) as running:
        yield running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], capture_output=True, timeout=30
    )
    if done.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True, timeout=30)


def remount(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True, timeout=30)


def test_a_disk_that_is_full_again_and_again_costs_one_request_per_course(
    server: ForkServer, mock: Mock, small_disk: Path, tmp_path: Path
) -> None:
    overrides = [*TALK, *mock.overrides]
    assert server.run(overrides, tmp_path / "reference").finished
    mock.forget()
    told, out, room = Told(overrides), small_disk / "run", random.Random(5)
    size, stopped, turns = 64, 0, set(turns_in({}))
    while True:
        in_flight = {name for name, history in histories_of(out).items() if not history.ended}
        attempt = server.run(overrides, out, room.choice((1, 2, 3)))
        histories = histories_of(out)
        now = turns_in(histories)
        assert len(now) == len({turn[:3] for turn in now}) and turns <= set(now)
        turns = set(now)
        told.take_in(mock.new_requests(), in_flight, now)
        if attempt.finished:
            break
        assert attempt.status in (2, 3) and "No space left on device" in attempt.said[-1], attempt
        stopped += 1
        size += room.choice((16, 32, 64))
        remount(small_disk, f"size={size}k")
    assert stopped >= 3 and told.repeated
    assert parquet_bytes(out) == parquet_bytes(tmp_path / "reference")


def test_a_read_only_disk_is_one_line_and_loses_nothing(server: ForkServer, small_disk: Path, tmp_path: Path) -> None:
    remount(small_disk, "size=8m")
    out = small_disk / "run"
    assert server.run(STUDY, out).finished
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    remount(small_disk, "ro")
    for folder in (out, small_disk / "new"):
        attempt = server.run(STUDY, folder, workers=2)
        assert attempt.status == 2
        (line,) = attempt.said
        assert line.startswith("cannot write ") and "Read-only file system" in line
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    remount(small_disk, "rw")
    assert server.run(STUDY, out).finished
    remount(small_disk, "ro")
    shutil.copytree(out, tmp_path / "copy")
    assert server.run(STUDY, tmp_path / "copy").finished


Spoils = Callable[[bytes, int], bytes]
SPOILS: dict[str, Spoils] = {
    "cut": lambda data, place: data[:place],
    "zeros": lambda data, place: data[:place] + bytes(len(data) - place),
    "other JSON": lambda data, place: (
        data[:place] + b"".join(b'{"n": %d}\n' % n for n in range(1 + (len(data) - place) // 9))
    ),
}
"""What may happen to the end of a file when a machine goes down."""


@pytest.mark.parametrize("spoil", SPOILS)
def test_tails_that_were_spoiled_are_cut_reported_and_cost_nothing_else(
    server: ForkServer, tmp_path: Path, spoil: str
) -> None:
    draws = random.Random(spoil)
    assert server.run(STUDY, tmp_path / "whole").finished
    expected = parquet_bytes(tmp_path / "whole")
    seconds = server.run(STUDY, tmp_path / "timed").seconds
    number = spoiled = 0
    while spoiled < 20:
        number += 1
        assert number <= 40, f"only {spoiled} files were spoiled"
        out = tmp_path / f"run{number}"
        server.run(STUDY, out, draws.choice((1, 2)), kill_after=draws.uniform(0.3, 1.0) * seconds)
        for _ in range(2):  # so that spoiled files have later ones that stand on them
            places: dict[Path, int] = {}
            intact = histories_of(out)
            for path in sorted((out / "journal").glob("*.jsonl")):
                data = path.read_bytes()
                places[path] = draws.randint(0, len(data)) if draws.random() < 0.7 else len(data)
                path.write_bytes(SPOILS[spoil](data, places[path]))
            torn = {path for path, place in places.items() if read_file(path).tail}
            left = histories_of(out)
            for name, history in left.items():
                assert history.facts == intact[name].facts[: len(history.facts)]
            attempt = server.run(STUDY, out, draws.choice((1, 2)), kill_after=draws.uniform(0.5, 1.5) * seconds)
            if attempt.finished:
                assert {line.split(": ")[0] for line in attempt.said if "torn tail" in line} == set(map(str, torn))
            spoiled += len(torn)
        assert server.run(STUDY, out).finished
        assert parquet_bytes(out) == expected


def test_a_course_whose_ground_was_cut_goes_on_from_what_is_left(server: ForkServer, tmp_path: Path) -> None:
    """A later attempt stands on an earlier one; when that loses its tail, the course has neither gap nor seam."""
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert server.run(STUDY, whole).finished
    shutil.copytree(whole, out)
    path = max((out / "journal").glob("*.0.jsonl"), key=lambda path: path.stat().st_size)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) * 2 // 3]))
    assert server.run(STUDY, out).finished  # another attempt, which stands on what is left of the first
    path.write_bytes(b"".join(lines[: len(lines) // 3]))
    attempt = server.run(STUDY, out)
    assert attempt.finished and any("continued from cut ones were set aside" in line for line in attempt.said)
    assert parquet_bytes(out) == parquet_bytes(whole)


def test_a_journal_of_a_newer_version_is_one_line_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_study(small(out, "personas.limit=1"))
    path = next((out / "journal").glob("*.jsonl"))
    shard = int(path.name.partition(".")[0])
    newer = Header(JOURNAL_FORMAT + 1, json.loads((out / "run.json").read_text())["identity"], "code", shard, 9)
    JournalWriter(out / "journal" / f"{shard:04d}.9.jsonl", newer).close()
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="install a newer Dyad") as caught:
        run_study(small(out, "personas.limit=1"))
    assert "\n" not in str(caught.value)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_a_run_whose_personas_changed_is_one_line_and_left_alone(tmp_path: Path) -> None:
    personas, out = tmp_path / "mine", tmp_path / "run"
    personas.mkdir()
    source = Path(__file__).parent.parent / "personas" / "shipped"
    chosen = sorted(source.glob("*.yaml"))[:2]
    for file in chosen:
        shutil.copy(file, personas)
    mine = ("personas=file", f"personas.set={personas}", "replicates=1", "therapist=[mi_consistent]", "coders=[]")
    assert run_in_whole(out, *mine) == 2
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    changed = personas / chosen[0].name
    text = changed.read_text()
    changed.write_text(re.sub(r"age: \d+", "age: 77", text, count=1))
    with pytest.raises(UserError, match="holds another run") as caught:
        run_in_whole(out, *mine)
    assert "personas" in str(caught.value) and "\n" not in str(caught.value)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    changed.write_text(text)
    assert run_in_whole(out, *mine) == 0


def run_in_whole(out: Path, *overrides: str) -> int:
    """Run a study to its end; returns how many courses there were still to run."""
    return run_study(compose(*overrides, f"out={out}")).tally.ended


def test_good_lines_in_a_wrong_place_are_damage_and_no_torn_tail(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_study(small(out))
    expected = parquet_bytes(out)
    first, second = sorted((out / "journal").glob("*.jsonl"), key=lambda path: path.stat().st_size)[-2:]
    lines, others = (path.read_bytes().splitlines(keepends=True) for path in (first, second))
    first.write_bytes(b"".join([*lines[: len(lines) // 2], *others[-5:]]))
    before = first.read_bytes()
    with pytest.raises(DamageError, match="--repair"):
        run_study(small(out))
    assert first.read_bytes() == before
    (note,) = run_status(out, repair=True)["notes"]
    assert f"{sum(map(len, others[-5:]))} bytes cut" in note
    run_study(small(out))
    assert parquet_bytes(out) == expected
