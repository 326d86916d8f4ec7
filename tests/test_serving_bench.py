"""`dyad bench`: where it runs, and that the floor of `dyad bench http` sends what Dyad sends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import simulator
from benchmarks.http_layer import mock, summary
from benchmarks.http_template import record
from benchmarks.vllm_layer import summary as vllm_summary
from simulator.cli import bench
from simulator.errors import UserError
from simulator.serving.commands import free_ports
from tests.mock_for_tests import mock_server

ROOT = Path(__file__).parent.parent


def test_an_unknown_benchmark_is_one_line() -> None:
    with pytest.raises(UserError, match=r"no benchmark 'htpp' \(did you mean 'http'\?\)"):
        bench.main(["htpp"])


def test_outside_a_clone_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(simulator, "__file__", str(tmp_path / "simulator" / "__init__.py"))
    with pytest.raises(UserError, match="run it in a clone of the repository"):
        bench.main(["http"])


def test_every_benchmark_that_is_listed_is_there() -> None:
    for module, text in bench.BENCHMARKS.values():
        assert (ROOT / "benchmarks" / f"{module}.py").is_file()
        assert text


def test_the_floor_sends_dyads_requests_byte_for_byte(tmp_path: Path) -> None:
    import urllib.request

    port = free_ports("127.0.0.1", 1)[0]
    template = tmp_path / "template.json"
    template.write_text(json.dumps(record(port, 4, 5)))
    with mock(port, 0.05) as url:
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "floor.py"), url, str(template), str(tmp_path / "floor.jsonl")],
            capture_output=True, text=True, check=True,
            timeout=300,
        )  # fmt: skip
        with urllib.request.urlopen(f"{url.removesuffix('/v1')}/mock/counters", timeout=30) as response:
            counters = json.load(response)
    assert json.loads(done.stdout)["turns"] == counters["served"] == 20
    assert counters["peak_in_flight"] == 4
    lines = [json.loads(line) for line in (tmp_path / "floor.jsonl").read_text().splitlines()]
    seeds = {seed for plan in json.loads(template.read_text())["sessions"] for seed in plan["seeds"]}
    assert {line["seed"] for line in lines} == seeds
    assert len(seeds) == 20


def test_the_arm_of_dyad_on_vllm_tells_its_working_set_and_its_span(tmp_path: Path) -> None:
    with mock_server(models=["tiny"], cache_blocks=10_000, latency=0.05) as server:
        url = server.server.base_url
        words = [str(tmp_path / "run"), "4", "6", "24", "affinity", url]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.vllm_ours", *words],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        bodies = [json.loads(request.body) for request in server.server.seen]
    found = json.loads(done.stdout)
    assert (found["turns"], found["failures"]) == (24, {})
    assert 6 * 0.05 <= found["wall_s"] < 60
    assert {(body["max_tokens"], body["ignore_eos"], body["model"]) for body in bodies} == {(24, True, "tiny")}
    longest = max(len(json.dumps(body["messages"])) // 4 for body in bodies)
    assert longest < found["working_set"] < 8 * longest


def test_round_robin_takes_replicas_in_turn_and_affinity_does_not(tmp_path: Path) -> None:
    def served(spread: str) -> list[int]:
        with mock_server(models=["tiny"]) as one, mock_server(models=["tiny"]) as two:
            words = [str(tmp_path / spread), "6", "6", "8", spread, one.server.base_url, two.server.base_url]
            subprocess.run(
                [sys.executable, "-m", "benchmarks.vllm_ours", *words], cwd=ROOT, check=True, timeout=120,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            return [each.server.counters.served for each in (one, two)]

    assert served("round_robin") == [18, 18]
    assert all(count % 6 == 0 for count in served("affinity"))  # whole sessions


def test_the_figures_of_vllm_are_medians_and_the_ratio_is_taken_round_by_round() -> None:
    class Options:
        sessions, turns, rounds, blocks = 24, 16, 3, 352

    def arm(speed: float, hits: float = 0.5) -> dict[str, float]:
        return {"tokens_per_s": speed, "cpu_ms": 1.0, "hit_rate": hits, "working_set": 1000}

    floors, one = [arm(100), arm(200), arm(400)], [arm(90, 0.7), arm(190, 0.7), arm(500, 0.7)]
    found = vllm_summary(floors, one, {"affinity": arm(1, 0.68), "round_robin": arm(1, 0.4)}, Options)
    assert (found["tokens_per_s"], found["floor_tokens_per_s"]) == (190, 200)
    assert found["ratio_to_floor"] == 0.95 and found["ratio_range"] == [0.9, 1.25]
    assert found["prefix_hit_rate"] == 0.68 and found["prefix_hit_rate_one_replica"] == 0.7
    assert found["prefix_hit_rate_round_robin"] == 0.4


def test_the_summary_takes_medians_and_the_ratio_round_by_round() -> None:
    class Options:
        sessions, turns, rounds = 10, 2, 3

    def arm(cpu: float, rss: float) -> dict[str, float]:
        return {
            "cpu_ms": cpu,
            "rss_kib": rss,
            "tables_cpu_ms": 0.1,
            "requests": 20,
            "bytes_in": 80_000,
            "peak_in_flight": 10,
        }

    result = summary([arm(1, 10), arm(2, 10), arm(4, 30)], [arm(2, 100), arm(3, 300), arm(12, 500)], Options)
    assert result["cpu_ms_per_turn"] == 3
    assert result["floor_cpu_ms_per_turn"] == 2
    assert (result["ratio_to_floor"], result["ratio_range"]) == (2, [1.5, 3])
    assert result["rss_kib_per_session"] == 30
    assert result["bytes_per_request"] == 4000
