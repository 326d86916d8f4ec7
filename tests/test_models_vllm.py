"""The client and whole studies against real vLLM on the CPU, with a tiny model of random weights.

Two replicas, started once by `dyad serve`, serve all tests of this file; the last one kills one of them. Skipped where
there is no vLLM.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.vllm_servers import DYAD, ON_CPU, ROOT, Vllm, served
from simulator.analysis.summary import summarise
from simulator.codebooks import list_codebooks, load_codebook
from simulator.coding.base import CodedTurn
from simulator.coding.llm.coder import LLMCoder
from simulator.models.choice import Option, choose
from simulator.models.faults import ModelError
from simulator.models.messages import Completion, Message, Request
from simulator.models.openai import OpenAIServerClient
from simulator.reporting.writing import report_run
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests.killing import histories_of, turns_in
from tests.tiny_model import TEMPLATES

LENGTH = 32_768
"""Tokens of the model's context: a codebook has to fit."""
PYTHON = os.environ.get("DYAD_VLLM_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="DYAD_VLLM_PYTHON is not set (.ci/vllm-env prints one)")


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    """Two replicas of the tiny model."""
    # under a grammar that allows any white space a random model writes little else
    grammar = "structured_outputs_config: {backend: xgrammar, disable_any_whitespace: true}"
    served_as = f"trust_request_chat_template: true, max_num_batched_tokens: {LENGTH}, {grammar}"
    words = [*ON_CPU, f"serving.args={{{served_as}}}"]
    with served(str(PYTHON), tmp_path_factory.mktemp("vllm"), None, words, 2, LENGTH) as serving:
        yield serving


@pytest.fixture(scope="module")
def url(vllm: Vllm) -> str:
    """The address of one of them."""
    return str(vllm.entries[0]["url"])


def run(url: str, play: Callable[[OpenAIServerClient], Awaitable[Any]], **config: Any) -> Any:
    config = {"name": "tiny", "sampling": {"max_tokens": 8}, "answer_prefix": True, **config}

    async def main() -> Any:
        client = OpenAIServerClient(url=url, **config)
        try:
            return await play(client)
        finally:
            await client.close()

    return asyncio.run(main())


CONVERSATIONS = {
    "therapist first": ["user", "assistant", "user"],
    "client first": ["assistant", "user", "assistant", "user"],
    "own opening": [],
    "two in a row": ["user", "user"],
}
REFUSED = {
    "free": set(),
    "no_system": set(CONVERSATIONS),
    "alternating": {"client first", "two in a row"},
    "user_first": {"client first", "own opening"},
    "strict": set(CONVERSATIONS),
}
"""Conversations that each template refuses as they are."""
WORKING = {
    "free": {"system": "keep", "opener": None},
    "no_system": {"system": "fold"},
    "alternating": {"system": "first", "alternate": True},
    "user_first": {"system": "keep"},
    "strict": {"system": "fold", "alternate": True},
}


@pytest.mark.parametrize("order", CONVERSATIONS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_kind_of_template_takes_every_conversation_through_its_role_mapping(
    url: str, template: str, order: str
) -> None:
    said = [Message(role, f"turn {n}") for n, role in enumerate(CONVERSATIONS[order])]  # type: ignore[arg-type]
    messages = [Message("system", "You are a client."), *said, Message("system", "Stay who you are.")]
    config: dict[str, Any] = {"extra_body": {"chat_template": TEMPLATES[template]}, "roles": WORKING[template]}

    async def play(client: OpenAIServerClient) -> Completion:
        return await client.complete(Request(messages, seed=1))

    assert run(url, play, **config).completion_tokens > 0
    config["roles"] = {"system": "keep", "opener": None}
    if order in REFUSED[template]:
        with pytest.raises(ModelError) as caught:
            run(url, play, **config)
        assert caught.value.kind == "bad_request"
    else:
        assert run(url, play, **config).completion_tokens > 0


def test_a_seed_decides_the_answer(url: str) -> None:
    async def play(client: OpenAIServerClient) -> list[str]:
        hello = [Message("user", "Hello?")]
        return [(await client.complete(Request(hello, seed=seed))).text for seed in (2**53 - 1, 2**53 - 1, 3)]

    first, again, other = run(url, play, sampling={"temperature": 1.0, "max_tokens": 16})
    assert first == again != other


def test_usage_tells_what_the_prefix_cache_held(url: str) -> None:
    async def play(client: OpenAIServerClient) -> Completion:
        history = [Message("system", "A long beginning. " * 60), Message("user", "Hello?")]
        await client.complete(Request(history))
        return await client.complete(Request([*history, Message("user", "And?")]))

    answer = run(url, play)
    assert answer.cached_tokens and 0.5 * answer.prompt_tokens < answer.cached_tokens <= answer.prompt_tokens
    assert answer.model == "tiny" and answer.finish_reason == "length"


def test_choices_and_schemas_hold_the_answer(url: str) -> None:
    async def play(client: OpenAIServerClient) -> tuple[Completion, Completion]:
        hello = [Message("user", "Hello?")]
        chosen = await client.complete(Request(hello, choice=["banana", "apple"], seed=1))
        number = {"n": {"enum": [1, 2]}}
        schema = {"type": "object", "properties": number, "required": ["n"], "additionalProperties": False}
        shaped = await client.complete(Request(hello, schema=schema, seed=1, sampling={"max_tokens": 64}))
        return chosen, shaped

    chosen, shaped = run(url, play)
    assert chosen.text in ("banana", "apple")
    assert json.loads(shaped.text) in ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("prefix", ["", "Answer:"])
def test_a_random_model_does_not_answer_and_its_choice_is_missing(url: str, prefix: str) -> None:
    options = [Option("a", "One", 0), Option("b", "Two", 1), Option("c", "Three", 2)]

    async def play(client: OpenAIServerClient) -> Any:
        read = await choose(client, [Message("user", "Context.")], options, seed=1, prefix=prefix)
        eager = await choose(client, [Message("user", "Context.")], options, seed=1, prefix=prefix, least_share=0.0)
        return read, eager

    read, eager = run(url, play)
    assert read.value is None and "the options hold 0.0" in read.missing_reason and read.outside > 0.9
    assert sum(eager.mass.values()) + eager.outside == pytest.approx(1.0)
    assert eager.value in "abc" and sum(eager.probabilities.values()) == pytest.approx(1.0)


def test_a_forced_choice_and_samples(url: str) -> None:
    options = [Option("a", "One"), Option("b", "Two")]

    async def play(client: OpenAIServerClient) -> Any:
        forced = await choose(client, [Message("user", "C.")], options, seed=1, fallback="forced")
        sampled = await choose(client, [Message("user", "C.")], options, seed=1, samples=3)
        return forced, sampled

    forced, sampled = run(url, play, logprobs=False)
    assert forced.forced and forced.value in ("a", "b")
    assert sampled.method == "samples" and len(sampled.errors) == 2


def test_what_vllm_refuses_is_typed(url: str) -> None:
    async def overflow(client: OpenAIServerClient) -> None:
        await client.complete(Request([Message("user", "Hello? " * LENGTH)]))

    async def hello(client: OpenAIServerClient) -> None:
        await client.complete(Request([Message("user", "Hello?")]))

    for play, config, kind in [
        (overflow, {}, "context_overflow"),
        (hello, {"sampling": {"max_tokens": 2 * LENGTH}}, "context_overflow"),
        (hello, {"name": "tinny"}, "wrong_model"),
    ]:
        with pytest.raises(ModelError) as caught:
            run(url, play, **config)  # type: ignore[arg-type]
        assert (caught.value.kind, caught.value.retries) == (kind, 0), str(caught.value)


def test_the_model_is_found_before_anything_is_asked(url: str) -> None:
    async def play(client: OpenAIServerClient) -> int:
        await client.check()
        return client.remaining_tokens([])

    assert run(url, play) == LENGTH


SESSIONS, TURNS = 50, 12


@pytest.mark.parametrize("name", list_codebooks())
def test_every_codebook_runs_through_the_coder_on_a_model(url: str, name: str) -> None:
    book = load_codebook(name)
    coder = LLMCoder(
        {"_target_": "simulator.models.openai.OpenAIServerClient", "url": url, "name": "tiny"},
        codebook=name,
        least_share=0.0,
    )
    said = {"client": "I told my wife I would stop. I have not.", "therapist": "You would like to keep your word."}
    turns = [CodedTurn("c" * 32, 0, n, role, said[role]) for n, role in enumerate(("client", "therapist", "client"))]
    judged = coder.code_session(turns)
    found = [judgment for judgment in judged if not judgment.code.startswith("live.")]
    ungated = {c.id for c in book.codes if c.read_from == "text" and not c.gated and {*c.roles} <= {*said}}
    if book.flow is None:
        assert ungated <= {judgment.code for judgment in found}
    assert judged  # where every code is gated, at least whether it is live
    for judgment in found:  # noise has values too: what is shown is that every code can be asked and read
        assert judgment.value in book.code(judgment.code).values or judgment.missing_reason
        assert judgment.outside is None or 0 <= judgment.outside <= 1


COURSES = [
    "client=[static,evolving]", "therapist=[lm_companion,lm_boundary_keeping]", "personas.limit=5", "replicates=1",
    "instruments=[]", "coders=[]", "session=course", "session.course.sessions=4", "session.max_turns=4",
    "session.course.memory.characters=600", "model=endpoint", "model.name=tiny", "model.structured_choice=true",
    "model.answer_prefix=true", "model.sampling.max_tokens=128", "model.sampling.temperature=1.0",
    "limits.workers=1",
]  # fmt: skip
KILLED_AT = (25, 60)
"""Notes after whose writing a run is killed: a session of some course is just over then."""
RUN_AND_KILL = """
import os, sys
from simulator.records.journal_records import Noted
from simulator.store.journal import JournalWriter
from simulator.studies.composing import compose
from simulator.studies.running import run_study
left, append = int(sys.argv[1]), JournalWriter.append
def counted(writer, record):
    global left
    append(writer, record)
    left -= isinstance(record, Noted)
    if left == 0:
        os.kill(os.getpid(), 9)
JournalWriter.append = counted
run_study(compose(*sys.argv[2:]))
"""


def test_courses_with_notes_and_decisions_by_models_go_on_after_kills_between_sessions(
    vllm: Vllm, tmp_path: Path
) -> None:
    """20 courses of 4 sessions; the base rates of decisions by persona stand in the report."""
    out = tmp_path / "run"
    overrides = [*COURSES, f"model.endpoints={vllm.file}", f"out={out}"]
    turns = set(turns_in({}))
    for notes in KILLED_AT:
        command = [sys.executable, "-c", RUN_AND_KILL, str(notes), *overrides]
        assert subprocess.run(command, cwd=ROOT, timeout=300, check=False).returncode == -signal.SIGKILL
        now = turns_in(histories_of(out))
        assert turns < set(now) and len(now) == len({turn[:3] for turn in now})
        turns = set(now)
    tally = run_study(compose(*overrides)).tally
    assert (tally.ended + tally.skipped, tally.failures) == (20, {})

    tables = {
        name: pl.read_parquet(out / f"dataset/{name}/*.parquet")
        for name in ("courses", "sessions", "turns", "notes", "decisions")
    }
    assert turns <= set(tables["turns"].select("course_id", "session", "turn", "text").iter_rows())
    assert tables["courses"]["status"].unique().to_list() == ["ended"]
    noted = tables["notes"].filter(pl.col("kind") != "event").select("course_id", "session", "role").unique()
    assert noted.height == 2 * tables["sessions"].height and tables["sessions"]["session"].max() > 0
    decisions = tables["decisions"]
    assert decisions.filter(pl.col("question") == "outside").height == 20 * 4
    assert decisions.select("course_id", "day", "question").is_unique().all()

    rates = summarise(out)["courses"]["personas"]
    assert {row["persona_id"] for row in rates} == set(tables["courses"]["persona_id"])
    assert sum(row["taken"] for row in rates) == decisions.height
    assert "Decisions by persona" in report_run(out).read_text()


def test_a_study_survives_the_kill_of_a_replica_and_its_report_names_it(vllm: Vllm, tmp_path: Path) -> None:
    """50 sessions of 12 turns, a questionnaire each, a coder, a report; `kill -9` of one of two replicas on the way."""
    run_folder = tmp_path / "run"
    words = [
        "run", "model=endpoint", f"model.endpoints={vllm.file}", "model.name=tiny", "model.sampling.max_tokens=24",
        "model.sampling.ignore_eos=true", "client=[static]", "therapist=[lm_supportive]", "personas.limit=25",
        "replicates=2", f"session.max_turns={TURNS}", "session.end_on_goodbye=false", "session.goodbye_loop=1000",
        "instruments=[phq9]", "coders=[rules]", "limits.workers=1", f"out={run_folder}", "--json",
    ]  # fmt: skip
    study = subprocess.Popen(
        [*DYAD, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )

    def turns_so_far() -> int:
        files = (run_folder / "journal").glob("*.jsonl")
        return sum(file.read_bytes().count(b'"kind":"turn"') for file in files)

    try:
        vllm.until(lambda: study.poll() is not None or turns_so_far() >= SESSIONS * TURNS // 3, 240)
        kept, killed = vllm.entries
        os.kill(killed["pid"], signal.SIGKILL)
        before = turns_so_far()
        out, said = study.communicate(timeout=300)
    finally:
        study.kill()
    assert study.returncode == 0, said
    assert SESSIONS * TURNS // 3 <= before < SESSIONS * TURNS  # it was in the middle
    result = json.loads(out)
    assert (result["ended"], result["failed"], result["stopped_by"]) == (SESSIONS, 0, None)

    sessions, turns, scores, codings = (
        pl.read_parquet(run_folder / "dataset" / table / "*.parquet")
        for table in ("sessions", "turns", "scores", "codings")
    )
    assert len(sessions) == SESSIONS and set(sessions["ending"]) <= {"turn_limit", "guard", "context"}
    told = turns.group_by("course_id", "session").agg(pl.col("turn")).join(sessions, on=["course_id", "session"])
    assert len(told) == SESSIONS
    for numbers, length in told.select("turn", "turns").iter_rows():
        assert numbers == list(range(length))  # none lost, none doubled
    assert turns_so_far() == len(turns) == sessions["turns"].sum()
    assert sessions.filter(ending="turn_limit")["turns"].unique().to_list() == [TURNS]
    assert scores["course_id"].n_unique() == SESSIONS and len(codings)

    replicas = {row["replica"]: row for row in summarise(run_folder)["usage"]["replicas"]}
    assert replicas[killed["url"]]["ejections"] >= 1 and replicas[kept["url"]]["ejections"] == 0
    assert replicas[killed["url"]]["answers"] > 0 and replicas[kept["url"]]["answers"] > 0
    page = (run_folder / "report.html").read_text()
    assert f"The replica {killed['url']} was left out" in page
    vllm.until(lambda: [entry["url"] for entry in vllm.entries] == [kept["url"]], 30)
