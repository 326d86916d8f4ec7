"""What a run used stands in the dataset and the report, and limits end it where the same command can go on."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from simulator.analysis.summary import summarise
from simulator.errors import UserError
from simulator.reporting.writing import report_run
from simulator.store.runs import open_run
from simulator.studies.composing import compose
from simulator.studies.config import StudyConfig
from simulator.studies.limits import used_before
from simulator.studies.running import run_study
from tests.mock_for_tests import Mock, mock_server
from tests.studies_for_tests import parquet_bytes

DYAD = [sys.executable, "-c", "from simulator.cli.main import main; main()"]
PRICE = "model.price={prompt: 2.0, cached: 0.5, completion: 10.0}"
TURNS = 6
ITEMS = 9 * 2  # of the PHQ-9, each asked in both orders of its options
CALLS = 4 * (TURNS + ITEMS)
pytestmark = pytest.mark.timeout(240)


def words(mock: Mock, out: Path, *overrides: str) -> list[str]:
    return [
        *mock.overrides, "client=[static]", "therapist=[lm_mi]", "personas.limit=4", "replicates=1",
        f"session.max_turns={TURNS}",
        "session.end_on_goodbye=false", "session.goodbye_loop=100", "instruments=[phq9]", "coders=[]",
        "limits.workers=1", "limits.concurrency=2", f"out={out}", *overrides,
    ]  # fmt: skip


def study(mock: Mock, out: Path, *overrides: str) -> StudyConfig:
    return compose(*words(mock, out, *overrides))


def test_tokens_cost_retries_and_latency_are_told_by_role_session_and_run(tmp_path: Path) -> None:
    with mock_server(faults={"500": 0.2}, cache_blocks=10_000) as mock:
        run_study(study(mock, tmp_path / "run", PRICE, "model.pool.backoff=0.001"))
        counters = mock.server.counters
    used = summarise(tmp_path / "run")["usage"]
    assert used["calls"] == counters.served == CALLS
    assert used["prompt_tokens"] == counters.prompt_tokens > 0
    assert used["completion_tokens"] == counters.completion_tokens > 0
    assert used["cached_tokens"] == counters.cached_tokens > 0
    assert used["retries"] == counters.faults["500"] > 5 and used["failed"] == 0
    paid = 2 * (counters.prompt_tokens - counters.cached_tokens) + 0.5 * counters.cached_tokens
    assert used["cost"] == pytest.approx((paid + 10 * counters.completion_tokens) / 1e6)
    assert [row["role"] for row in used["roles"]] == ["client", "therapist"]
    for figure in ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "retries", "seconds", "cost"):
        assert sum(row[figure] for row in used["roles"]) == pytest.approx(used[figure])
    assert used["sessions"]["calls"] == {"p10": TURNS + ITEMS, "p50": TURNS + ITEMS, "p90": TURNS + ITEMS}
    assert used["sessions"]["cost"]["p10"] > 0 and used["seconds_p99"] >= used["seconds_p50"] > 0
    (replica,) = used["replicas"]
    assert (replica["answers"], replica["faults"]) == (used["calls"], {"http_500": used["retries"]})
    page = report_run(tmp_path / "run").read_text()
    assert f"{used['prompt_tokens']:,}" in page and replica["replica"] in page


def test_a_run_without_models_has_no_usage_and_no_section_about_it(tmp_path: Path) -> None:
    run_study(compose("therapist=[companion]", "personas.limit=1", "coders=[]", f"out={tmp_path / 'run'}"))
    found = summarise(tmp_path / "run")
    assert found["usage"] is None and found["guards"] is None
    page = report_run(tmp_path / "run").read_text()
    assert 'id="usage"' not in page and 'id="guards"' not in page


@pytest.mark.parametrize(("limit", "more"), [("limits.tokens=3000", "limits.tokens=999999"), ("limits.cost=0.002", "")])
def test_a_limit_drains_the_run_and_a_higher_one_goes_on_to_the_same_tables(
    tmp_path: Path, limit: str, more: str
) -> None:
    with mock_server() as mock:
        whole = run_study(study(mock, tmp_path / "whole", PRICE))
        mock.forget()
        config = study(mock, tmp_path / "run", PRICE, limit)
        first = run_study(config)
        assert not first.finished and str(first.tally.stopped_by).startswith(f"{limit} is reached (")
        served = mock.server.counters.served
        assert 0 < served < CALLS
        again = run_study(config)
        assert str(again.tally.stopped_by).startswith(limit)
        assert mock.server.counters.served == served  # what was used before counts: nothing more is asked for
        last = run_study(study(mock, tmp_path / "run", PRICE, *([more] if more else [])))
        assert last.finished and last.run.identity == whole.run.identity
        assert mock.server.counters.served == CALLS
    assert parquet_bytes(tmp_path / "run") == parquet_bytes(tmp_path / "whole")


def test_what_is_over_a_limit_is_at_most_what_was_in_flight(tmp_path: Path) -> None:
    with mock_server() as mock:
        config = study(mock, tmp_path / "run", "limits.tokens=3000", "instruments=[]")
        run = run_study(config).run
        used = used_before(run.journal, int(run.meta["shards"]))
        longest = max(len(request.body) for request in mock.server.seen) // 4 + 400
    assert 3000 <= used.tokens < 3000 + config.limits.concurrency * longest


def test_hours_count_from_the_first_start(tmp_path: Path) -> None:
    with mock_server(latency=0.05) as mock:
        config = study(mock, tmp_path / "run", "limits.hours=0.00005")  # 0.18 s
        first = run_study(config)
        assert str(first.tally.stopped_by).startswith("limits.hours=5e-05 is reached (")
        served = mock.server.counters.served
        run_study(config)
        assert mock.server.counters.served == served
        assert run_study(study(mock, tmp_path / "run")).finished


def test_a_limit_of_several_workers_is_one_line_and_status_3(tmp_path: Path) -> None:
    with mock_server(latency=0.02) as mock:
        many = words(mock, tmp_path / "run", "limits.workers=2", "replicates=20", "limits.tokens=20000")
        done = subprocess.run(
            [*DYAD, "run", *many, "--quiet"], capture_output=True, text=True, timeout=120, check=False
        )  # fmt: skip
        tokens = mock.server.counters.prompt_tokens + mock.server.counters.completion_tokens
    assert done.returncode == 3, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "stopped" in line]
    assert "stopped: limits.tokens=20000 is reached (" in line
    assert line.endswith("the same command with a higher limit goes on from here")
    assert 20000 <= tokens < 80000


def test_a_limit_on_cost_without_a_price_is_refused(tmp_path: Path) -> None:
    with mock_server() as mock, pytest.raises(UserError, match=r"limits\.cost: no model has a price"):
        run_study(study(mock, tmp_path / "run", "limits.cost=1"))


def test_limits_are_no_part_of_a_runs_identity(tmp_path: Path) -> None:
    with mock_server() as mock:
        run_study(study(mock, tmp_path / "run", "personas.limit=1"))
        more = ("limits.tokens=999999", "limits.hours=9", PRICE, "limits.cost=9")
        assert run_study(study(mock, tmp_path / "run", "personas.limit=1", *more)).tally.skipped == 1


def test_the_report_counts_what_guards_found_by_condition(tmp_path: Path) -> None:
    therapists = "therapist=[lm_mi,lm_cbt]"
    tags = "model.reasoning_tags=[none,none]"  # so that the thoughts stay in the text
    leak = {"match": "", "answer": "<think>short</think> I am not sure about that at all."}
    with mock_server(rules=[leak]) as mock:
        run_study(study(mock, tmp_path / "run", therapists, tags, "instruments=[]", "personas.limit=2"))
    found = summarise(tmp_path / "run")["guards"]
    leaks = {row["group"]: row for row in found["rows"] if row["guard"] == "reasoning_leak"}
    assert leaks.keys() == {None, "lm_mi", "lm_cbt"}
    assert leaks["lm_mi"]["found"] == leaks["lm_mi"]["turns"] == 2 * TURNS
    assert leaks[None]["found"] == 4 * TURNS and leaks[None]["sessions"] == leaks[None]["sessions_looked_at"] == 4
    scores = {(score["guard"], score["part"]): score for score in found["scores"]}
    recall = scores["reasoning_leak", "check"]["recall"]
    page = report_run(tmp_path / "run").read_text()
    assert 'id="guards"' in page and f"<td>{recall:.2f}</td>" in page


def test_what_was_called_before_a_kill_is_kept_with_its_turn(tmp_path: Path) -> None:
    with mock_server() as mock:
        run = run_study(study(mock, tmp_path / "run", "personas.limit=1", "instruments=[]")).run
    lines = [
        json.loads(line)["record"] for file in run.journal.glob("*.jsonl") for line in file.read_text().splitlines()
    ]
    kinds = [record["kind"] for record in lines if record["kind"] in ("turn", "execution")]
    assert kinds == ["turn", "execution"] * TURNS + ["execution"]
    executions = pl.read_parquet(open_run(tmp_path / "run").dataset / "executions" / "*.parquet").filter(scope="call")
    assert executions["turn"].to_list() == list(range(TURNS))
