"""A choice is read from the unconstrained first token; what lies outside the options is kept and can void it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import UserError
from simulator.models.choice import Choice, Option, begins, choose
from simulator.models.messages import Message
from tests.model_server import Server, client_of, completion, distribution, serving

CONTEXT = [Message("system", "You answer."), Message("user", "Context.")]
YES_NO = [Option("yes", "Yes, it is", 1.0), Option("no", "No, it is not", 0.0)]
SCALE = [Option(str(n), f"{n} days", float(n)) for n in range(4)]


def ask(
    answer: dict[str, Any] | Callable[[Any, dict[str, Any]], Any],
    options: list[Option] = YES_NO,
    config: dict[str, Any] | None = None,
    **arguments: Any,
) -> tuple[Choice, list[dict[str, Any]]]:
    async def main() -> tuple[Choice, list[dict[str, Any]]]:
        server = Server()
        server.always = answer
        async with serving(server):
            client = client_of(server, **(config or {}))
            try:
                choice = await choose(client, CONTEXT, options, **{"seed": 1, "order": "given", **arguments})
            finally:
                await client.close()
        return choice, server.bodies

    return asyncio.run(main())


def first_token(**probabilities: float) -> dict[str, Any]:
    return completion(next(iter(probabilities)), choice=distribution(**probabilities))


def test_an_option_s_probability_is_the_sum_over_all_tokens_that_begin_it() -> None:
    answer = first_token(**{"yes": 0.24, "ye": 0.23, "y": 0.14, "No": 0.2, "no": 0.1, " no": 0.05, "\n": 0.04})
    choice, _ = ask(answer, labels=["yes", "no"])
    assert choice.mass == pytest.approx({"yes": 0.61, "no": 0.15})
    assert choice.outside == pytest.approx(0.24)
    assert choice.probabilities == pytest.approx({"yes": 0.61 / 0.76, "no": 0.15 / 0.76})
    assert choice.most_probable == "yes" and choice.expected == pytest.approx(0.61 / 0.76)
    assert choice.method == "logprobs" and not choice.forced and choice.missing_reason is None


def test_a_model_that_thinks_first_is_asked_with_room_for_it_and_read_behind_its_thoughts() -> None:
    said = completion("<think>Neither A nor B is far off.</think> B")
    choice, bodies = ask(said, config={"thinking_tokens": 100, "sampling": {"top_k": 20}}, samples=4)
    assert choice.method == "samples" and choice.probabilities["no"] == 1.0
    assert {body["max_tokens"] for body in bodies} == {108} and {body["top_k"] for body in bodies} == {-1}
    assert not any("top_logprobs" in body for body in bodies)
    assert ask(said, config={"thinking_tokens": 100}, fallback="forced")[0].value == "no"


@pytest.mark.parametrize(
    ("label", "beginning", "not_beginning"),
    [
        ("A", ["A", " A", "\nA", "A.", "A)", "A "], ["a", "An", "A1", "(A", "", " "]),
        ("yes", ["y", "ye", "yes", " yes", "yes,"], ["yesterday", "Y", "es"]),
    ],
)
def test_which_tokens_begin_a_label(label: str, beginning: list[str], not_beginning: list[str]) -> None:
    assert [token for token in beginning if not begins(token, label)] == []
    assert [token for token in not_beginning if begins(token, label)] == []


def test_one_token_is_asked_for_without_constraint_and_without_distortion() -> None:
    sampling = {"temperature": 0.2, "top_p": 0.5, "stop": ["A"], "logit_bias": {"1": 5.0}, "max_tokens": 300}
    _, bodies = ask(first_token(A=0.9, B=0.1), config={"sampling": sampling, "answer_prefix": True})
    (body,) = bodies
    assert (body["max_tokens"], body["temperature"], body["top_p"]) == (1, 1.0, 1.0)
    assert body["logprobs"] is True and body["top_logprobs"] == 20 and body["seed"] == 1
    assert not {"stop", "logit_bias", "structured_outputs"} & set(body)
    assert body["messages"][:2] == [
        {"role": "system", "content": "You answer."},
        {"role": "user", "content": "Context."},
    ]
    assert body["messages"][2]["content"].startswith("A. Yes, it is\nB. No, it is not\n")
    assert body["messages"][3] == {"role": "assistant", "content": "Answer:"}


def test_mass_outside_the_options_is_kept_and_makes_the_choice_missing_above_a_threshold() -> None:
    answer = first_token(I=0.7, A=0.2, B=0.1)
    choice, _ = ask(answer)
    assert choice.value is choice.most_probable is choice.expected is None and choice.probabilities == {}
    assert choice.mass == pytest.approx({"yes": 0.2, "no": 0.1}) and choice.outside == pytest.approx(0.7)
    assert choice.missing_reason == "the options hold 0.30 of the probability, less than 0.5"
    assert choice.raw_text == "I"
    lenient, _ = ask(answer, least_share=0.25)
    assert lenient.value is not None and lenient.missing_reason is None and lenient.outside == pytest.approx(0.7)


def test_options_that_are_not_returned_are_bounded_and_not_zero() -> None:
    choice, _ = ask(first_token(A=0.6, B=0.3, x=0.04), options=SCALE)
    assert choice.bounds == pytest.approx({"2": 0.06, "3": 0.06})
    assert choice.mass == pytest.approx({"0": 0.6, "1": 0.3, "2": 0.02, "3": 0.02})
    assert choice.outside == pytest.approx(0.06)
    assert choice.expected == pytest.approx((0.3 + 0.04 + 0.06) / 0.94)


def test_what_is_not_returned_makes_no_answer() -> None:
    """A flat distribution over the whole vocabulary, of which the server returns a few tokens, is no answer."""
    choice, _ = ask(first_token(the=0.0005, a=0.0004, of=0.0003), options=SCALE)
    assert choice.value is None and choice.missing_reason is not None and (choice.outside or 0) > 0.998
    assert choice.mass == pytest.approx(dict.fromkeys("0123", 0.0003))
    assert choice.bounds == pytest.approx(dict.fromkeys("0123", 0.9988))


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=6), st.integers(0, 2**53 - 1))
def test_masses_and_outside_add_up_to_one(weights: list[float], seed: int) -> None:
    import msgspec

    from simulator.models.choice import _Asking, _first_token, _orders, _weighed, lettered
    from simulator.models.messages import Completion
    from simulator.models.replies import read_reply

    total = sum(weights) * 1.2
    tokens = dict(zip(["A", " A", "B", "the", "C", "\n"], (weight / total for weight in weights), strict=False))
    reply = read_reply(msgspec.json.encode(first_token(**tokens)))
    assert reply.choices[0].logprobs is not None
    answer = Completion("A", "stop", "m", tokens=reply.choices[0].logprobs.content)
    masses = _first_token(answer, ["A", "B", "C"])
    assert masses is not None
    orders = _orders(SCALE[:3], "shuffled", seed)
    asking = _Asking(None, [], "", ["A", "B", "C"], orders, "", lettered, "", "")  # type: ignore[arg-type]
    choice = _weighed(asking, [masses], seed, 0.0, "")
    assert sum(choice.mass.values()) + (choice.outside or 0.0) == pytest.approx(1.0)
    assert all(0 <= mass <= 1 for mass in choice.mass.values())


def test_the_order_of_labels_is_shuffled_by_the_seed_and_undone_when_read() -> None:
    def likes_the_second_day(request: Any, body: dict[str, Any]) -> Any:
        from aiohttp import web

        line = next(line for line in body["messages"][-1]["content"].splitlines() if line.endswith("2 days"))
        return web.json_response(first_token(**{line[0]: 0.9, "the": 0.1}))

    orders = set()
    for seed in range(12):
        choice, _ = ask(likes_the_second_day, options=SCALE, seed=seed, order="shuffled")
        assert choice.most_probable == "2" and choice.mass["2"] == pytest.approx(0.9)
        orders.update(choice.orders)
    assert len(orders) > 6
    again, _ = ask(likes_the_second_day, options=SCALE, seed=3, order="shuffled")
    assert again.orders == ask(likes_the_second_day, options=SCALE, seed=3, order="shuffled")[0].orders


def test_averaging_over_both_orders_cancels_a_liking_for_a_label() -> None:
    choice, bodies = ask(first_token(A=0.8, B=0.2), order="averaged")
    assert len(bodies) == 2
    assert choice.mass == pytest.approx({"yes": 0.5, "no": 0.5})
    assert choice.orders == [("yes", "no"), ("no", "yes")]


def test_the_value_is_drawn_by_the_seed_in_proportion_to_the_probabilities() -> None:
    drawn = [ask(first_token(A=0.7, B=0.3), seed=seed)[0].value for seed in range(60)]
    assert 28 <= drawn.count("yes") <= 53
    choice, _ = ask(first_token(A=0.7, B=0.3), seed=5)
    assert choice.probability == pytest.approx(0.7 if choice.value == "yes" else 0.3)


def test_without_log_probabilities_undistorted_samples_are_counted_with_their_error() -> None:
    texts = iter(["A", "A.", " B", "(A) yes", "a", "Answer", "A", "", "B: no", "A"])

    def sample(request: Any, body: dict[str, Any]) -> Any:
        from aiohttp import web

        assert "logprobs" not in body
        return web.json_response(completion(next(texts)))

    choice, bodies = ask(sample, config={"logprobs": False, "sampling": {"temperature": 0.0, "top_p": 0.5}})
    assert choice.method == "samples"
    assert choice.mass == {"yes": 0.5, "no": 0.2} and choice.outside == pytest.approx(0.3)
    assert choice.errors["yes"] == pytest.approx(0.144, abs=0.01) and choice.errors["no"] > 0
    assert len({body["seed"] for body in bodies}) == 10
    assert {(body["temperature"], body["top_p"], body["max_tokens"]) for body in bodies} == {(1.0, 1.0, 8)}


def test_a_server_that_leaves_log_probabilities_out_is_sampled_instead() -> None:
    choice, bodies = ask(completion("A"), samples=3)
    assert choice.method == "samples" and choice.mass == {"yes": 1.0, "no": 0.0} and len(bodies) == 4
    assert 0 < choice.errors["no"] < 0.3


def test_a_forced_answer_is_recorded_as_forced_and_has_no_probabilities() -> None:
    choice, bodies = ask(completion("B"), config={"logprobs": False}, fallback="forced")
    assert bodies[0]["structured_outputs"] == {"choice": ["A", "B"]}
    assert choice.forced and choice.value == "no" and choice.probabilities == {} and choice.outside is None
    unforced, bodies = ask(completion("Hm"), config={"logprobs": False, "structured_choice": False}, fallback="forced")
    assert "structured_outputs" not in bodies[0]
    assert unforced.value is None and unforced.missing_reason == "the answer is none of the options"
    assert not unforced.forced


@pytest.mark.parametrize(
    ("options", "labels"),
    [(YES_NO, ["1", "10"]), (YES_NO[:1], ["A", "B"]), (YES_NO, ["A"]), ([YES_NO[0], YES_NO[0]], ["A", "B"])],
)
def test_labels_that_do_not_tell_options_apart_are_refused(options: list[Option], labels: list[str]) -> None:
    with pytest.raises(UserError, match="choice: "):
        ask(first_token(A=1.0), options=options, labels=labels)
