"""Agents on models: prompts that hold for every persona, requests laid out for caching, state that is journalled."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from autogen_agentchat.messages import TextMessage

import simulator.studies.scheduler as scheduler
from simulator.agents.base import STIMULUS, Seat, TurnMessage
from simulator.agents.clients.base import PersonaClient
from simulator.agents.clients.cognitive_model import CognitiveModelClient
from simulator.agents.clients.evolving import MEANINGS, EvolvingClient
from simulator.agents.clients.stage_of_change import DWELL, MARGIN, StageOfChangeClient, moved
from simulator.agents.clients.static import StaticClient
from simulator.agents.model_agent import NOTE
from simulator.agents.prompting import FOLDER, load_prompt, shipped
from simulator.agents.questionnaires import ask_item, steps_of
from simulator.agents.therapists.policy import PolicyTherapist
from simulator.errors import UserError
from simulator.instruments.loading import load_instrument
from simulator.models.choice import Choice
from simulator.models.handle import CallLog, SeatedModelClient
from simulator.models.messages import Message
from simulator.personas.loading import load_persona_set
from simulator.personas.schema import Persona
from simulator.resources import resource_root
from simulator.studies.composing import compose
from simulator.studies.running import run_study
from tests import models_for_tests
from tests.models_for_tests import ASKED, Answering

PERSONAS = load_persona_set(resource_root("personas") / "shipped")
CLIENTS: dict[str, Any] = {
    "static": StaticClient,
    "cognitive_model": CognitiveModelClient,
    "stage_of_change": StageOfChangeClient,
    "evolving": EvolvingClient,
}
FROM_PROFILES = {"clientcast"}
"""Methods that play a profile read out of a recording and no persona (tests/test_source.py)."""
MODEL = "+model={_target_: tests.models_for_tests.Answering}"


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    ASKED.clear()


def seated(kind: Any, persona: Persona | None = None, **arguments: Any) -> Any:
    role, other = ("client", "therapist") if persona is not None else ("therapist", "client")
    seat = Seat(role, (other,), "c" * 32, "pair", persona=persona)
    handle = SeatedModelClient(Answering(), seat.seed, role, CallLog())
    return kind(seat, model_client=handle, **arguments)


def talk(agent: Any, *heard: str) -> list[TurnMessage]:
    """The agent's answers to each of the other's turns."""

    async def all_turns() -> list[TurnMessage]:
        said = []
        for text in heard:
            other = agent.seat.partner_roles[0]
            answer = await agent.on_messages([TextMessage(content=text, source=other)], None)
            said.append(answer.chat_message)
        return said

    return asyncio.run(all_turns())


def test_every_shipped_client_prompt_has_an_agent_and_a_configuration() -> None:
    configured = {path.stem for path in (resource_root("conf") / "client").glob("*.yaml")}
    assert set(shipped("client")) == {*CLIENTS, *FROM_PROFILES} <= configured
    therapists = {path.stem.removeprefix("lm_") for path in (resource_root("conf") / "therapist").glob("lm_*.yaml")}
    assert therapists == set(shipped("therapist"))


@pytest.mark.parametrize("kind", CLIENTS)
def test_every_client_prompt_renders_for_every_persona(kind: str) -> None:
    for persona in PERSONAS:
        client = seated(CLIENTS[kind], persona)
        talk(client, "And how was that for you?")
        for messages, _ in ASKED:
            text = "\n".join(str(message.content) for message in messages)
            assert persona.identity.name.split()[0] in text
            assert not any(sign in text for sign in ("{{", "{%", "None", "Undefined", "\n\n\n"))
        ASKED.clear()


@pytest.mark.parametrize("policy", shipped("therapist"))
def test_every_policy_renders_says_what_it_follows_and_never_sees_the_persona(policy: str) -> None:
    header = (FOLDER / "therapist" / f"{policy}.jinja").read_text().split("-#}")[0]
    assert "Follows:" in header
    talk(seated(PolicyTherapist, policy=policy), "I don't know where to start.")
    lead, said, reminder = (str(message.content) for message in ASKED[0][0])
    assert said == "I don't know where to start."
    assert "You are the therapist, and not the client" in reminder
    assert not any(sign in lead for sign in ("{{", "Follows", "None"))


def test_an_undefined_variable_is_an_error_and_so_is_a_missing_block(tmp_path: Path) -> None:
    own = tmp_path / "own.jinja"
    own.write_text("{% block system %}{{ nobody }}{% endblock %}{% block persona %}{% endblock %}")
    with pytest.raises(UserError, match="block 'reminder' is missing"):
        seated(StaticClient, PERSONAS[0], prompt=str(own))
    other = tmp_path / "other.jinja"
    other.write_text(own.read_text() + "{% block reminder %}x{% endblock %}")
    with pytest.raises(UserError, match=r"other\.jinja: block 'system': 'nobody' is undefined"):
        seated(StaticClient, PERSONAS[0], prompt=str(other))
    with pytest.raises(UserError, match=r"no shipped prompt 'statik' \(did you mean 'static'\?\)"):
        seated(StaticClient, PERSONAS[0], prompt="statik")


def test_the_prompt_quotes_the_personas_own_words() -> None:
    for persona in PERSONAS:
        lead = seated(StaticClient, persona).conversation[0].text
        model, problem = persona.cognitive_model, persona.problem
        for words in (*problem.facts, *problem.sensitive, *model.automatic_thoughts, *model.core_beliefs):
            assert f'"{words}"' in lead
        for words in (*persona.speech.habits, *persona.speech.fillers):
            assert f'"{words}"' in lead


def test_requests_share_their_beginning_and_end_with_the_reminder() -> None:
    client = seated(StaticClient, PERSONAS[0])
    talk(client, "Hello.", "What happened then?")
    first, second = ([str(message.content) for message in messages] for messages, _ in ASKED)
    assert second[: len(first) - 1] == first[:-1]
    assert first[-1] == second[-1] != ""
    other = seated(StaticClient, PERSONAS[1]).conversation[0].text
    assert other[:1400] == first[0][:1400]  # what is shared by all personas stands first


def test_a_labelled_or_quoted_answer_is_said_without_label_and_quotes() -> None:
    client = seated(StaticClient, PERSONAS[0])
    assert client._spoken('Marisol: "I guess so."') == "I guess so."
    assert client._spoken("**Client:** No.") == "No."
    assert client._spoken("marisol : no: never.") == "no: never."
    assert client._spoken("One thing: no.") == "One thing: no."
    assert client._spoken('"No", he said, "no".') == '"No", he said, "no".'


def test_what_is_told_to_a_chair_alone_reaches_its_model_as_a_note() -> None:
    client = seated(StaticClient, PERSONAS[0])
    asyncio.run(client.on_messages([TextMessage(content="mention the bus", source=STIMULUS)], None))
    assert f"{NOTE}mention the bus" in [message.content for message in ASKED[0][0]]


@pytest.mark.parametrize("kind", CLIENTS)
def test_hearing_the_journal_again_rebuilds_an_agent(kind: str) -> None:
    heard = ["Hello.", "And then?", "What would you want instead?", "Tell me."]
    whole = talk(seated(CLIENTS[kind], PERSONAS[1]), *heard)
    again = seated(CLIENTS[kind], PERSONAS[1])
    told: list[Any] = []
    for text, answer in zip(heard[:3], whole[:3], strict=True):
        told += [TextMessage(content=text, source="therapist"), answer]
    again.recall(told)
    (last,) = talk(again, heard[3])
    assert (last.content, last.seed, last.state) == (whole[3].content, whole[3].seed, whole[3].state)


@pytest.mark.parametrize("kind", ["cognitive_model", "stage_of_change", "evolving"])
def test_state_is_journalled_on_0_to_1_and_moves(kind: str) -> None:
    said = talk(seated(CLIENTS[kind], PERSONAS[2]), *["Go on."] * 12)
    states = [turn.state for turn in said]
    assert all(state is not None and all(0 <= value <= 1 for value in state.values()) for state in states)
    assert len({str(state) for state in states}) > 1


def test_the_active_thought_stands_in_the_reminder_and_in_the_state() -> None:
    client = seated(CognitiveModelClient, PERSONAS[0])
    said = talk(client, *["Go on."] * 8)
    turns = [messages for messages, _ in ASKED if "letter" not in str(messages[-1].content)]
    for answer, messages in zip(said, turns, strict=True):
        active = [name for name, value in (answer.state or {}).items() if value]
        assert len(active) == 1
        reminder = str(messages[-1].content)
        if active == ["no_thought"]:
            assert "no old thought" in reminder
        else:
            number = int(active[0].removeprefix("thought_"))
            assert f'"{PERSONAS[0].cognitive_model.automatic_thoughts[number - 1]}"' in reminder


def test_pushing_makes_resistant_clients_fall_back_and_good_turns_move_them_slowly() -> None:
    readiness, stage = 0.5, 2
    for _ in range(30):
        readiness, stage = moved(readiness, stage, -2, DWELL, 0.9)
    assert (readiness, stage) == (0.0, 0)
    assert moved(0.5, 2, -1, DWELL, 0.9)[0] < moved(0.5, 2, -1, DWELL, 0.1)[0]
    assert moved(0.5, 2, 1, DWELL, 0.9)[0] < moved(0.5, 2, 1, DWELL, 0.1)[0]
    assert moved(0.6 + MARGIN, 2, 1, 0, 0.5)[1] == 2  # too soon after the last move
    assert moved(0.6 + MARGIN, 2, 1, DWELL, 0.5)[1] == 3
    assert moved(0.79, 1, 2, DWELL, 0.0)[1] == 2  # one stage at a time


def test_the_evolving_state_moves_by_bounded_steps() -> None:
    client = seated(EvolvingClient, PERSONAS[3])
    states = [turn.state or {} for turn in talk(client, *["Go on."] * 10)]
    for before, after in pairwise(states):
        assert all(abs(before[name] - after[name]) <= client.step / 10 + 1e-9 for name in MEANINGS)


@pytest.mark.parametrize("kind", CLIENTS)
def test_saying_a_turn_again_takes_another_seed_and_leaves_one_turn_behind(kind: str) -> None:
    client = seated(CLIENTS[kind], PERSONAS[0])
    (first,) = talk(client, "Hello.")
    asked = len(ASKED)
    second = asyncio.run(client.again(1))
    assert (second.regeneration, second.turn) == (1, first.turn)
    assert second.seed == client.seat.seed(first.turn, "turn", 1) != first.seed
    assert second.state == first.state
    assert len(ASKED) == asked + 1  # what was decided before the turn is not decided again
    assert [message.text for message in client.conversation[1:]] == ["Hello.", second.content]


@pytest.mark.parametrize(("name", "form"), [("WAI-SR", "official"), ("PHQ-9", "official"), ("SEQ", "official")])
def test_questionnaires_are_answered_in_character_within_their_scales(name: str, form: str) -> None:
    instrument, client = load_instrument(name), seated(StaticClient, PERSONAS[0])
    for item in instrument.items_of(form):
        answer = asyncio.run(client.answer_item(instrument, item, form, 5))
        assert answer.value is not None and instrument.options_of(item, form).accepts(answer.value)
        assert answer.probability is not None
    assert PERSONAS[0].identity.name in str(ASKED[-1][0][-1].content)


def test_an_expected_value_stands_beside_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {"1": 0.5, "2": 0.0, "3": 0.0, "4": 0.0, "5": 0.5}

    async def chosen(*_: Any, **__: Any) -> Choice:
        return Choice("5", "logprobs", "1", 3.0, shares)

    monkeypatch.setattr("simulator.agents.questionnaires.choose", chosen)
    instrument = load_instrument("WAI-SR")
    item = instrument.items[0]
    assert [option.value for option in steps_of(instrument, item, "official")] == ["1", "2", "3", "4", "5"]
    client = seated(StaticClient, PERSONAS[0])
    answer = asyncio.run(ask_item(client.model, [Message("user", "x")], "M", instrument, item, "official", 1))
    assert (answer.value, answer.expected, answer.probability) == (5.0, 3.0, 0.5)


def study(out: Path, *more: str) -> Any:
    return compose(
        "client=[evolving]", "therapist=[lm_mi]", MODEL, "personas.limit=2", "replicates=1", "instruments=[]",
        "session.max_turns=9", "limits.workers=1", f"out={out}", *more,
    )  # fmt: skip


def turns_of(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path / "dataset/turns/*.parquet")


def test_a_study_of_models_in_both_chairs_runs_and_labels_itself(tmp_path: Path) -> None:
    result = run_study(study(tmp_path / "run"))
    assert result.tally.ended == 2
    assert result.run.meta["origin"] == "model"
    clients = turns_of(tmp_path / "run").filter(role="client")
    assert clients["state"].null_count() == 0
    calls = pl.read_parquet(tmp_path / "run/dataset/executions/*.parquet").filter(scope="call")
    assert set(calls["purpose"]) >= {"turn", "state"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stop", [2, 7])
def test_an_interrupted_study_ends_like_an_uninterrupted_one(
    tmp_path: Path, client: str, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(study(tmp_path / "whole", f"client=[{client}]"))
    asked, calls = scheduler.Drain.asked, iter(range(10_000))
    monkeypatch.setattr(scheduler.Drain, "asked", lambda self: next(calls) > stop or asked(self))
    assert run_study(study(tmp_path / "parts", f"client=[{client}]")).tally.ended < 2
    monkeypatch.undo()
    run_study(study(tmp_path / "parts", f"client=[{client}]"))
    assert turns_of(tmp_path / "parts").equals(turns_of(tmp_path / "whole"))


def test_answers_that_break_the_schema_three_times_are_a_typed_failure(tmp_path: Path) -> None:
    model = "+model={_target_: tests.models_for_tests.Answering, breaks: true}"
    result = run_study(study(tmp_path / "run", model))
    assert (result.tally.ended, result.tally.failed) == (0, 2)
    failures = pl.read_parquet(tmp_path / "run/dataset/failures/*.parquet")
    assert set(failures.select("boundary", "kind").rows()) == {("model", "bad_schema")}
    seeds = [given["seed"] for messages, given in ASKED if "JSON" in str(messages[-1].content)]
    assert len(seeds) == len(set(seeds)) == 6


def test_a_chairs_own_model_stands_in_for_the_studys(tmp_path: Path) -> None:
    own = "+therapist.lm_mi.model={_target_: tests.models_for_tests.Quiet}"
    run_study(study(tmp_path / "run", own))
    turns = turns_of(tmp_path / "run")
    assert set(turns.filter(role="therapist")["text"]) == {"Mm."}
    assert "Mm." not in set(turns.filter(role="client")["text"])


def test_a_chair_without_a_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"client.static: no model is configured; add model=endpoint"):
        run_study(compose("client=[static]", "therapist=[cbt]", f"out={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists()


def test_prompts_count_by_their_content_and_models_by_what_can_change_an_answer(tmp_path: Path) -> None:
    from simulator.studies.identity import identity_components, identity_of
    from simulator.studies.plan import make_plan

    def identity(*more: str) -> str:
        server = "+model={name: tiny, url: 'http://localhost:1/v1'}"
        return identity_of(
            identity_components(make_plan(compose("client=[static]", "therapist=[lm_mi]", server, *more)))
        )

    same = identity()
    assert identity("model.url=http://elsewhere:2/v1", "+model.pool={attempts: 2}") == same
    assert identity("+model.sampling={temperature: 0.3}") != same
    assert identity("+therapist.lm_mi.model={name: adapter}") != same
    prompts = []
    for name in ("a", "b", "c"):
        path = tmp_path / f"{name}.jinja"
        path.write_text(
            "{% block system %}x{% endblock %}{% block reminder %}y" + "!" * (name == "c") + "{% endblock %}"
        )
        prompts.append(identity(f"therapist.lm_mi.policy={path}"))
    assert prompts[0] == prompts[1] != prompts[2]


def test_therapists_prompts_are_read_once_and_personas_are_not_needed() -> None:
    assert load_prompt(FOLDER / "therapist" / "mi.jinja", ("system",)) is load_prompt(
        FOLDER / "therapist" / "mi.jinja", ("system",)
    )
    with pytest.raises(UserError, match="needs a persona"):
        PersonaClient(Seat("client", ("therapist",), "c", "c"), models_for_tests.Answering(), "static")  # type: ignore[arg-type]


def test_a_course_of_several_sessions_is_remembered_in_words_and_in_state(tmp_path: Path) -> None:
    more = ("session=course", "session.course.sessions=3", "session.max_turns=6")
    result = run_study(study(tmp_path / "run", *more))
    assert (result.tally.failed, result.tally.ended) == (0, 2)
    leads = {str(messages[0].content) for messages, _ in ASKED}
    assert any("The two have not talked before." in lead for lead in leads)
    later = [lead for lead in leads if "This is not the first talk" in lead]
    assert later and all("remembers, oldest first:" in lead for lead in later)
    assert {given["seed"] for messages, given in ASKED if "What does" in str(messages[-1].content)}
    turns = turns_of(tmp_path / "run").filter(role="client").sort("course_id", "session", "turn")
    for (_, session), group in turns.group_by("course_id", "session", maintain_order=True):
        if session:
            assert group["state"][0] is not None


def test_the_documented_prompt_of_ones_own_works(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "agents.md").read_text()
    own = tmp_path / "exceptions.jinja"
    own.write_text(page.split("```jinja\n")[1].split("```")[0])
    talk(seated(PolicyTherapist, policy=str(own)), "Hello.")
    assert "Ask for exceptions" in str(ASKED[0][0][0].content)
    assert all(f"`{name}`" in page for name in (*shipped("client"), *(f"lm_{name}" for name in shipped("therapist"))))
