"""What the tracker says of a run, what it remembers, and how it stays out of the study's way; W&B itself not needed."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from simulator.cli.run import in_group, run_one, sweep_name
from simulator.cli.track import changes
from simulator.errors import UserError
from simulator.records.journal_records import JOURNAL_FORMAT, CourseEnded, Event, Execution, Failed, Header, Turn
from simulator.reporting.writing import report_run
from simulator.store.journal import JournalWriter
from simulator.store.leases import Lease
from simulator.store.runs import FIGURES_FILE, RunFolder, create_run, open_run
from simulator.studies.identity import identity_components, identity_of
from simulator.studies.plan import make_plan
from simulator.studies.running import run_study
from simulator.tracking.about import config_of, git_state
from simulator.tracking.child import TrackerProcess
from simulator.tracking.dashboard import LAYOUT, specification
from simulator.tracking.finals import figures_of
from simulator.tracking.live import GROUPS, Look, look_at, row_of
from simulator.tracking.pictures import draw, plots_of
from simulator.tracking.settings import TrackingSettings, parse_tracking
from simulator.tracking.state import open_state
from simulator.tracking.tables import estimates_of, tables_of
from simulator.tracking.tracker import HeldError, settings_for, track
from tests.studies_for_tests import small
from tests.test_cli import TINY, dyad


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A small run with its report."""
    out = tmp_path_factory.mktemp("reported") / "run"
    run_study(small(out))
    report_run(out)
    return open_run(out)


@pytest.fixture(scope="module")
def figures(reported: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((reported.path / FIGURES_FILE).read_text())
    return content


def journal_of(folder: Path) -> RunFolder:
    """A run of four courses: one ended, one failed, one in flight; six turns, at three of which a guard fired."""
    run = create_run(folder, {"identity": "ab" * 16, "shards": 1, "design": {"courses": 4}})
    run.journal.mkdir()
    header = Header(JOURNAL_FORMAT, "identity", "code", 0, 0, "here", os.getpid())
    writer = JournalWriter(run.journal / "0000.0.jsonl", header)
    one, two, three = (f"{number:032x}" for number in range(3))
    for course in (one, two, three):
        for turn in range(2):
            if turn or course == one:
                writer.append(Event(course, 0, turn, "goodbye_loop" if turn else "prompt_echo", "guard", "client", {}))
            writer.append(Turn(course, 0, turn, "client", "x", "Hm."))
            call = Execution(course, 0, "call", time.time(), 1.0, turn=turn, prompt_tokens=40, cached_tokens=30,
                             completion_tokens=5, retries=1)  # fmt: skip
            writer.append(call)
    writer.append(Event(two, 0, 2, "stimulus", "stimulus", "client", {}))
    writer.append(CourseEnded(one, 1))
    writer.append(Failed(two, 0, 2, "model", "timeout", "no answer"))
    writer.close()
    return run


def test_a_row_counts_courses_tokens_failures_and_guards(tmp_path: Path) -> None:
    row = row_of(look_at(journal_of(tmp_path / "run")), None)
    expected = {
        "courses": 1, "live/planned": 4, "live/failed": 1, "live/in_flight": 1, "live/turns": 6, "tokens/prompt": 240,
        "tokens/cached": 180, "tokens/completion": 30, "tokens/cache_hit_share": 0.75, "calls/made": 6,
        "calls/retries": 6, "failures/model/timeout": 1, "guards/prompt_echo": 1 / 6, "guards/goodbye_loop": 3 / 6,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert {name.partition("/")[0] for name in row} <= {"courses", *GROUPS}


def test_rates_are_those_since_the_look_before(tmp_path: Path) -> None:
    now = look_at(journal_of(tmp_path / "run"))
    before = Look(type(now.progress)(turns_made=2, completion_tokens=10), now.at - 10.0, 4)
    row = row_of(now, before)
    assert row["live/turns_per_second"] == pytest.approx(0.4)
    assert row["live/courses_per_minute"] == pytest.approx(6.0)
    assert row["tokens/completion_per_second"] == pytest.approx(2.0)


def test_status_tells_how_often_guards_fired(tmp_path: Path) -> None:
    journal_of(tmp_path / "run")
    assert json.loads(dyad("status", "run", "--json", cwd=tmp_path).stdout)["guards"] == {
        "goodbye_loop": 3,
        "prompt_echo": 1,
    }


def test_tables_are_bounded_and_say_what_they_left_out(figures: dict[str, Any]) -> None:
    whole = tables_of(figures, 10**6)
    bounded = tables_of(figures, 7)
    assert {"behaviours", "contrasts", "scores", "endings"} <= set(whole)
    for name, table in whole.items():
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.left_out == 0
        assert bounded[name].rows == table.rows[:7]
        assert bounded[name].left_out == max(0, len(table.rows) - 7)
    intervals = [dict(zip(whole["behaviours"].columns, row, strict=True)) for row in whole["behaviours"].rows]
    assert all(row["method"] and row["clusters"] <= 3 for row in intervals)
    assert {row["measure"] for row in intervals} >= {"shares", "per_turn"}


def test_estimates_of_the_summary_are_those_of_the_report_and_bounded(figures: dict[str, Any]) -> None:
    found = estimates_of(figures, 10**6)
    row = figures["behaviours"][0]["rows"][0]
    interval = next(iter(row["shares"].values()))
    what = " ".join(row[key] for key in ("codebook", "role", "code", "behaviour"))
    name = f"estimates/{figures['behaviours'][0]['coder']}/{row['group']}/{what}"
    assert (found[name], found[f"{name}.low"], found[f"{name}.high"]) == tuple(
        interval[end] for end in ("estimate", "low", "high")
    )
    assert any(name.startswith("estimates/PHQ-9 total (client)/companion/") for name in found)
    intervals = [next(iter(score["means"].values())) for score in figures["scores"]]
    intervals += [next(iter(r["shares"].values())) for part in figures["behaviours"] for r in part["rows"]]
    assert sum(value is not None for i in intervals for value in (i["estimate"], i["low"], i["high"])) == len(found)
    few = estimates_of(figures, 2)
    assert len([name for name in few if not name.endswith((".low", ".high"))]) == 2


def test_pictures_are_pngs_of_groups_with_their_intervals(figures: dict[str, Any]) -> None:
    from PIL import Image

    plots = plots_of(figures, 100)
    assert len({plot.name for plot in plots}) == len(plots)
    assert any("rules" in plot.title or "planted" in plot.title for plot in plots)
    assert any("PHQ-9" in plot.title for plot in plots)
    assert len(plots_of(figures, 3)) == 3
    picture = Image.open(io.BytesIO(draw(plots[0], "scripted")))
    assert picture.format == "PNG"
    assert len(picture.getcolors(100_000) or []) > 4


def test_figures_older_than_the_tables_are_not_told(reported: RunFolder, tmp_path: Path) -> None:
    assert figures_of(reported) is not None
    table = next(reported.dataset.glob("turns/*.parquet"))
    before = table.stat()
    try:
        later = (reported.path / FIGURES_FILE).stat().st_mtime_ns + 10**9
        os.utime(table, ns=(later, later))
        assert figures_of(reported) is None
    finally:
        os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_wandb_runs_id_is_made_once_and_belongs_to_one_folder(tmp_path: Path) -> None:
    first = create_run(tmp_path / "first", {"identity": "ab" * 16})
    os.utime(first.path / "run.json", ns=(1, 1))
    second = create_run(tmp_path / "second", {"identity": "ab" * 16})
    state = open_state(first)
    assert state.run_id.startswith("abababab-")
    assert open_state(second).run_id != state.run_id
    state.step = 7
    state.save()
    first.path.rename(tmp_path / "elsewhere")
    os.utime(tmp_path / "elsewhere" / "run.json", ns=(2, 2))
    again = open_state(open_run(tmp_path / "elsewhere"))
    assert (again.run_id, again.step) == (state.run_id, 7)


def test_a_state_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", {"identity": "ab" * 16})
    open_state(run).path.write_text('{"steps": 3}')
    with pytest.raises(UserError, match=r"tracker\.json cannot be read .* to track the run anew"):
        open_state(run)


MISTAKES = [
    ({"prject": "x"}, "tracking.prject: unknown key (did you mean 'project'?)"),
    ({"mode": "on"}, "tracking.mode: input should be 'offline' or 'online', got 'on'"),
    ({"rows": -1}, "tracking.rows: "),
    ({"api_key": "secret"}, "tracking.api_key: unknown key"),
]


@pytest.mark.parametrize(("content", "message"), MISTAKES, ids=[next(iter(content)) for content, _ in MISTAKES])
def test_a_mistake_in_the_settings_is_one_line(content: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_tracking({"kind": "wandb", **content})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_mistakes_on_the_command_line_are_one_line_and_make_nothing(tmp_path: Path) -> None:
    done = dyad("run", *TINY, "tracking=wandb", "tracking.every=0", cwd=tmp_path, code=2)
    assert "tracking.every: input should be greater than 0" in done.stderr
    assert "no option 'wandbb' (did you mean 'wandb'?)" in dyad("run", "tracking=wandbb", cwd=tmp_path, code=2).stderr
    assert "is no setting; write key=value" in dyad("track", "nowhere", "online", cwd=tmp_path, code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_settings_by_hand_are_yaml_and_those_of_before_hold(tmp_path: Path) -> None:
    assert changes(["mode=online", "tags=[a, b]", "tracking.every=2"]) == {
        "mode": "online", "tags": ["a", "b"], "every": 2,
    }  # fmt: skip
    configured = {"kind": "wandb", "project": "ward", "group": "winter"}
    run = create_run(tmp_path / "run", {"identity": "ab" * 16, "config": {"tracking": configured}})
    assert settings_for(run.path, {"rows": 5}) == TrackingSettings(kind="wandb", project="ward", group="winter", rows=5)
    state = open_state(run)
    state.settings = {"kind": "wandb", "project": "other"}
    state.save()
    assert settings_for(run.path, {}).project == "other"


def test_tracking_is_no_part_of_a_runs_identity(tmp_path: Path) -> None:
    one, two = (
        identity_of(identity_components(make_plan(small(tmp_path, *more)))) for more in ((), ("tracking=wandb",))
    )
    assert one == two


def test_the_runs_of_a_sweep_share_a_group_however_they_are_sent() -> None:
    content = {"experiment": "probes", "out": None, "tracking": {"kind": "wandb", "group": None}}
    words = ["-m", "experiment=probes", "seed=1,2", "tracking=wandb"]
    name = sweep_name(content, words)
    assert name == sweep_name(content, [*words, "cluster=slurm", "cluster.tasks=4", "limits.workers=1"])
    assert name != sweep_name(content, ["-m", "experiment=probes", "seed=1,2,3", "tracking=wandb"])
    assert name.startswith("probes-")
    assert sweep_name({**content, "out": "runs/winter"}, words) == "winter"
    grouped, overrides = in_group(content, name)
    assert (grouped["tracking"]["group"], overrides) == (name, [f"tracking.group='{name}'"])
    named = {**content, "tracking": {"kind": "wandb", "group": "mine"}}
    assert in_group(named, name) == (named, [])
    untracked = {**content, "tracking": {"kind": "none"}}
    assert in_group(untracked, name) == (untracked, [])


def test_parts_of_a_run_never_write_wandb(tmp_path: Path) -> None:
    config = small(tmp_path / "run").model_dump(mode="json", exclude={"models"})
    for shards in ("0/2", "1/2", "none"):
        run_one({**config, "shards": shards, "tracking": {"kind": "wandb"}}, quiet=True, sweeping=False)
    assert not (tmp_path / "run" / "wandb").exists()


def test_a_submitted_run_is_tracked_by_one_job_of_its_own(tmp_path: Path) -> None:
    overrides = ["cluster=slurm", "tracking=wandb", "tracking.tags=[a,b]", "out=runs/winter"]
    shown = dyad("submit", *TINY, *overrides, "-m", "seed=1,2", "--dry-run", cwd=tmp_path).stdout
    track = (
        "follow dyad track runs/winter/reference_dyad-{} 'tracking.tags=[a,b]' 'tracking.group='\"'\"'winter'\"'\"''"
    )
    lines = [line for line in shown.splitlines() if "dyad track " in line]
    assert len(lines) == 2
    for line in lines:
        name = line.split("reference_dyad-")[1][:8]
        assert line == track.format(name)
    assert not [line for line in shown.splitlines() if "dyad run" in line and "tracking" in line]
    assert shown.count("# track\n$ sbatch --parsable ") == 2
    assert "track.sbatch" not in dyad("submit", *TINY, "cluster=slurm", "--dry-run", cwd=tmp_path).stdout
    words = shlex.split(lines[0])[4:]
    assert changes(words) == {"tags": ["a", "b"], "group": "winter"}


def test_a_second_tracker_of_a_run_is_refused(tmp_path: Path) -> None:
    run = journal_of(tmp_path / "run")
    open_state(run)
    lease = Lease(run.path / "wandb", "tracker")
    try:
        with pytest.raises(HeldError, match=r"the tracker of .*run is being written by process"):
            track(run.path, TrackingSettings(kind="wandb"), lambda seconds: "stop", pytest.fail)
    finally:
        lease.release()
    assert [path.name for path in (run.path / "wandb").iterdir()] == ["tracker.json"]


class Forgetful:
    """A W&B that fails the first time it is to finish."""

    told: ClassVar[list[dict[str, Any]]] = []
    finished = 0

    def __init__(self, run: RunFolder, settings: Any, state: Any, config: Any, late: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **more: None

    def summarise(self, figure: dict[str, Any]) -> None:
        self.told.append(figure)

    def finish(self) -> None:
        Forgetful.finished += 1
        if Forgetful.finished == 1:
            raise ConnectionError("the line broke")


def test_figures_that_did_not_arrive_are_told_by_the_next_tracker_and_only_by_it(
    reported: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(reported.path, run)
    monkeypatch.setattr("simulator.tracking.tracker.WandbRun", Forgetful)
    settings = TrackingSettings(kind="wandb")
    with pytest.raises(ConnectionError):
        track(run, settings, lambda seconds: "over", pytest.fail)
    assert track(run, settings, lambda seconds: "over", pytest.fail)
    assert sum("counts/courses" in figure for figure in Forgetful.told) == 2
    assert not track(run, settings, lambda seconds: "over", pytest.fail)


def test_a_tracker_that_dies_is_one_line_to_its_parent(tmp_path: Path) -> None:
    said: list[str] = []
    with TrackerProcess(TrackingSettings(kind="wandb"), said.append) as tracker:
        tracker.start(journal_of(tmp_path / "run").path)
        assert tracker._process is not None
        tracker._process.send_signal(signal.SIGKILL)
    assert said == [
        f"warning: W&B tracking: the tracker was ended by SIGKILL; the study is not affected; "
        f"`dyad track {tmp_path / 'run'}` goes on with it"
    ]


def test_a_tracker_without_wandb_says_so_in_one_line(tmp_path: Path) -> None:
    run = journal_of(tmp_path / "run")
    program = "import sys; sys.modules['wandb'] = None; from simulator.tracking.child import main; main(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", program, str(run.path)], input='{"kind": "wandb"}\n"stop"\n', capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 9
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "W&B cannot be imported" in done.stderr


def test_config_says_what_ran_and_takes_no_variable_that_it_was_not_told_to(
    reported: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_JOB_PASSWORD", "planted")
    (reported.path / "slurm").mkdir(exist_ok=True)
    (reported.path / "slurm" / "jobs.json").write_text('[{"name": "simulate", "id": "12", "attempt": 0}]')
    config = config_of(reported)
    assert config["identity"] == reported.identity
    assert config["slurm"] == {"job_id": "4711", "jobs": {"simulate.0": "12"}}
    assert config["design"]["courses"] == 12
    assert "planted" not in json.dumps(config)


def test_the_state_of_the_code_is_its_commit_and_how_many_files_differ(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q", "-b", "trunk"], ["add", "file"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], check=True, timeout=60)
    state = git_state(tmp_path)
    assert state is not None
    assert (state["branch"], state["changed_files"], len(state["commit"])) == ("trunk", 0, 40)
    (tmp_path / "file").write_text("two")
    assert (git_state(tmp_path) or {})["changed_files"] == 1


def test_the_dashboard_shows_what_the_tracker_logs(tmp_path: Path) -> None:
    look = look_at(journal_of(tmp_path / "run"))
    row = row_of(look, Look(look.progress, look.at - 1.0, 4))
    lines = [plan for plans in LAYOUT.values() for plan in plans if plan.kind in ("line", "number")]
    named = [metric for plan in lines for metric in plan.metrics]
    assert named
    assert set(named) <= set(row)


def test_the_dashboards_specification_is_made_offline() -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed")
    spec = specification("Dyad", "lab", "ward")
    sections = spec["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == list(LAYOUT)
    kinds = {section["name"]: [panel["viewType"] for panel in section["panels"]] for section in sections}
    assert kinds["Progress"] == ["Scalar Chart", "Run History Line Plot", "Run History Line Plot",
                                 "Run History Line Plot"]  # fmt: skip
    lines = [panel["config"] for panel in sections[0]["panels"] if panel["viewType"] == "Run History Line Plot"]
    assert {line["xAxis"] for line in lines} == {"courses"}
    assert "live/turns_per_second" in json.dumps(lines)
    assert "Group" in json.dumps(spec)


def test_without_its_library_the_dashboard_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(UserError, match=r"pip install 'dyad\[dashboard\]'"):
        specification("Dyad", None, "ward")
