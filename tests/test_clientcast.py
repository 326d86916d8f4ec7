"""A study of simulated clients in stages: from stand-ins for recorded sessions to its report."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from simulator.analysis.clientcast import frames
from simulator.analysis.clientcast.frames import aspect_items
from simulator.analysis.clientcast.study import figures
from simulator.cli.main import main
from simulator.errors import UserError
from simulator.reporting.clientcast_sections import views
from simulator.reporting.report import rendered
from simulator.studies.composing import composed
from simulator.studies.stages import left_out, stage_overrides, stages_of

STAGES = ["source", "profiles", "simulated", "rated", "rated_source", "reread", "baseline"]
SMALL = ("experiment=clientcast", "personas.limit=8", "therapist=[mi_consistent,advice_giving,silent,hostile]")


def dyad(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / f"dataset/{name}/*.parquet")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clientcast") / "study"
    assert dyad("run", *SMALL, "limits.workers=1", f"out={out}", "--quiet") == 0
    return out


@pytest.fixture(scope="module")
def found(study: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((study / "figures.json").read_text())
    return figures


def test_every_stage_is_a_run_and_all_of_it_is_labelled_scripted(study: Path, found: dict[str, Any]) -> None:
    assert list(json.loads((study / "stages.json").read_text())["stages"]) == STAGES
    for name in STAGES:
        assert json.loads((study / name / "run.json").read_text())["origin"] == "scripted"
    assert found["scripted"] and found["source"] == "scripted"
    assert {row["verdict"] for row in found["comparison"]} == {"cannot be claimed"}
    report = (study / "report.html").read_text()
    assert "no language model took part" in report and "reproduced" not in report.replace("reproduces nothing", "")


def test_the_five_questionnaires_have_their_108_items(study: Path, found: dict[str, Any]) -> None:
    assert found["design"]["items"] == {"CECS": 52, "HAQ-II": 19, "SEQ": 21, "SRS": 4, "WAI-SR": 12}
    assert found["design"]["item_count"] == 108
    assert [len(items) for items in aspect_items().values()] == [28, 70, 10]
    asked = table(study / "rated", "administrations").filter(pl.col("instrument").is_in(list(found["design"]["items"])))
    courses = table(study / "simulated", "courses").height
    assert asked.height == courses * 2 * 108


def test_the_same_command_does_nothing_again(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.studies_for_tests import parquet_bytes

    before = {name: parquet_bytes(study / name) for name in STAGES}
    journals = {path: path.stat().st_size for path in study.glob("*/journal/*.jsonl")}
    assert dyad("run", *SMALL, "limits.workers=1", f"out={study}", "--quiet", "report=false") == 0
    assert {name: parquet_bytes(study / name) for name in STAGES} == before
    assert {path: path.stat().st_size for path in study.glob("*/journal/*.jsonl")} == journals
    assert dyad("report", str(study), "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["design"]["item_count"] == 108


def test_negative_controls_come_last_and_apart(found: dict[str, Any]) -> None:
    part = found["therapists"]
    assert part["controls"] == ["silent", "hostile"]
    for row in part["separation"]:
        if row["instrument"] in ("CECS", "HAQ-II", "WAI-SR"):
            assert row["controls_last"] and row["pairs_apart"] == row["pairs"] == 4


def test_a_study_in_which_nobody_answers_is_reported_all_the_same(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("raw", "sampled", "most probable", "expected")
    whole = frames.keyed_answers
    monkeypatch.setattr(
        frames,
        "keyed_answers",
        lambda *stage: whole(*stage).with_columns(pl.lit(None, pl.Float64).alias(k) for k in kinds),
    )
    found = figures(study)
    assert "nothing to measure" in rendered("clientcast.html", **views(json.loads(json.dumps(found, allow_nan=False))))
    assert found["design"]["missing_answers"] == found["design"]["answers"] > 0
    assert found["generalizability"] == [] and found["known_groups"]["reason"]


def content(*overrides: str) -> Any:
    return composed("experiment=clientcast", *overrides)


def composed_stage(name: str, *own: str) -> Any:
    whole = content(*own)
    table = stages_of(whole)
    folders = {stage: Path("below") / stage for stage in table}
    overrides = stage_overrides(whole, table[name], ["experiment=clientcast", *own], folders, folders[name])
    return composed(*overrides)


def test_a_model_takes_every_part_that_a_model_can_take() -> None:
    model = ("model=endpoint", "model.url=http://127.0.0.1:1/v1", "model.name=m", "out=elsewhere")
    assert list(composed_stage("source", *model)["client"]) == ["scripted"]
    assert set(composed_stage("profiles", *model)["client"]) == {"extraction"}
    simulated = composed_stage("simulated", *model)
    assert set(simulated["client"]) == {"clientcast"} and "lm_mi" in simulated["therapist"]
    assert {"silent", "off_topic", "parroting", "hostile"} < set(simulated["therapist"])
    assert simulated["source"]["run"] == "below/source" and simulated["source"]["profiles"] == "below/profiles"
    assert set(composed_stage("rated", *model)["therapist"]) == {"recorded"}
    assert simulated["out"] == "below/simulated"


def test_what_the_user_chooses_counts_where_a_stage_leaves_it_open() -> None:
    own = ("therapist=[cbt,silent]", "source.run=humans", "source.limit=3", "instruments=[wai_sr]", "seed=4")
    assert set(composed_stage("simulated", *own)["therapist"]) == {"cbt", "silent"}
    assert set(composed_stage("profiles", *own)["therapist"]) == {"recorded"}
    assert composed_stage("profiles", *own)["source"]["limit"] == 3
    assert composed_stage("rated", *own)["source"]["limit"] is None
    assert set(composed_stage("rated", *own)["instruments"]) == {"wai_sr"}
    assert not composed_stage("profiles", *own).get("instruments")
    assert composed_stage("reread", *own)["seed"] == 4
    whole = content(*own)
    assert left_out(whole, stages_of(whole)["source"]) == "humans"
    assert left_out(whole, stages_of(whole)["profiles"]) is None


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"names no stage before it.*source"):
        stages_of({"stages": {"source": {}, "b": {"set": {"source": {"run": "@sorce"}}}}})
    with pytest.raises(UserError, match=r"stages\.a\.grups"):
        stages_of({"stages": {"a": {"grups": {}}}})
    assert dyad("run", *SMALL, f"source.run={tmp_path / 'nothing'}", f"out={tmp_path / 'a'}", "--quiet") == 2
    assert "does not exist" in capsys.readouterr().err
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    assert dyad("run", *SMALL, f"out={tmp_path / 'b'}", "--quiet") == 2
    assert "not empty" in capsys.readouterr().err
    assert dyad("report", str(tmp_path / "a")) == 2
    assert "goes on from there" in capsys.readouterr().err
    assert dyad("submit", *SMALL, "cluster=slurm", "--dry-run") == 2
    assert "study in stages" in capsys.readouterr().err


@pytest.mark.parametrize("control", ["silent", "off_topic", "parroting", "hostile"])
def test_a_negative_control_speaks_to_anybody_and_ends_what_the_client_ends(control: str) -> None:
    import asyncio

    from autogen_core import CancellationToken

    from simulator.agents.base import Seat, TurnMessage
    from simulator.agents.scripted.controls import ControlTherapist, controls

    agent = ControlTherapist(Seat("therapist", ("client",), "c", "c"), control)

    def hears(text: str | None, **more: Any) -> TurnMessage:
        heard = [] if text is None else [TurnMessage(content=text, source="client", role="client", **more)]
        answer = asyncio.run(agent.on_messages(heard, CancellationToken())).chat_message
        assert isinstance(answer, TurnMessage)
        return answer

    assert hears(None).content in controls()[control]["opening"]
    said = hears("My {days} are long.")
    expected = ["My {days} are long."] if control == "parroting" else controls()[control]["lines"]
    assert said.content in expected and not said.goodbye
    assert hears("Goodbye then.", goodbye=True).goodbye
    with pytest.raises(UserError, match="no negative control 'silence'"):
        ControlTherapist(Seat("therapist", ("client",), "c", "c"), "silence")
