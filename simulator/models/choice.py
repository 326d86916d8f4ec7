"""A choice among stated options, with the probability of each: one function for decisions, questionnaires and coders.

Options are sent as labels (letters) of which none begins another. One token is asked for, and the *unconstrained*
distribution of that first token is read: under a constraint, servers give log-probabilities after the mask, which
always sum to one and hide that the model meant to say something else.

1. *What begins an option.* A token, without white space in front, counts for a label when it is a beginning of the
   label, or when it begins with the label and what follows is neither letter nor digit (`A`, ` A`, `A.`). Case counts:
   `a` is a word, `A` a label. A token that could begin two labels counts for neither. An option's mass is the sum over
   all such tokens: one answer is spread over several spellings.
2. *What the server does not return.* An option of which no token was returned is given the mass of the least likely
   returned token (each of its own is less likely), but no more than an equal share of what was not returned; its upper
   bound is all of that. What then remains counts as outside.
3. *A forced answer is no answer.* Mass outside the options is stored. Where the tokens that were returned for the
   options hold less than a stated share together, the value is missing with that reason.
4. *Order.* Labels are given to options in an order that the seed decides, or masses are averaged over the given order
   and its reverse.
5. *Without log-probabilities*: the share of k free samples with its error, drawn at temperature 1 whatever the model's
   sampling is, or one request held to the labels, which is recorded as forced and has no probabilities.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

from simulator.errors import UserError
from simulator.models.messages import Completer, Completion, Message, Request
from simulator.models.replies import TokenDistribution
from simulator.records.seeds import Draws, turn_seed

Order = Literal["given", "shuffled", "averaged"]
Fallback = Literal["samples", "forced"]
Method = Literal["logprobs", "samples", "forced", "single"]
"""`single`: one free answer, where the server can neither give probabilities nor be held to a choice."""

LEAST_SHARE = 0.5
"""Share of the mass that the options must hold together."""
TOP_TOKENS = 20
"""Tokens asked for: vLLM's and OpenAI's largest number by default."""
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
PREFIX = "Answer:"
"""Begins the answer where the server continues a begun one."""

_SHORT: Mapping[str, Any] = {"max_tokens": 8}
_UNDISTORTED: Mapping[str, Any] = {
    "temperature": 1.0, "top_p": 1.0, "top_k": None, "min_p": None, "max_tokens": 1, "max_completion_tokens": None,
    "min_tokens": None, "stop": None, "stop_token_ids": None, "presence_penalty": None, "frequency_penalty": None,
    "repetition_penalty": None, "logit_bias": None, "ignore_eos": None,
}  # fmt: skip
_SAMPLED: Mapping[str, Any] = {**_UNDISTORTED, **_SHORT}
"""Free answers are drawn from the model's own distribution: under a temperature of 0 their share would say nothing."""
_OPENERS = " \t\n\r\"'([*_"


@dataclass(frozen=True, slots=True)
class Option:
    """Something that can be chosen: what is recorded, what is shown, and what it counts where it is a number."""

    value: str
    text: str
    score: float | None = None


@dataclass(slots=True)
class Choice:
    """What was chosen, and how surely.

    `mass` adds up to one with `outside`; `probabilities` are the same among the options alone. `value` is drawn from
    the probabilities by the seed (or is the forced answer); `most_probable` and `expected` are the other two ways to
    read them. All three are None where the choice is missing.
    """

    value: str | None
    method: Method
    most_probable: str | None = None
    expected: float | None = None
    """Mean score under the probabilities; None where an option has no score."""
    probabilities: dict[str, float] = field(default_factory=dict)
    mass: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    """Upper bounds of the mass of options of which the server returned no token."""
    errors: dict[str, float] = field(default_factory=dict)
    """Standard errors of the masses where they are shares of samples (standard deviation of the Jeffreys posterior)."""
    outside: float | None = None
    missing_reason: str | None = None
    raw_text: str | None = None
    """What the model said, all answers where there are several."""
    orders: list[tuple[str, ...]] = field(default_factory=list)
    """Values in the order in which they were labelled, one tuple per order asked."""

    @property
    def forced(self) -> bool:
        """The answer was held to the options, so that nothing is known of what lies outside."""
        return self.method == "forced"

    @property
    def probability(self) -> float | None:
        """Of the value among the options."""
        return self.probabilities.get(self.value) if self.value is not None else None


Layout = Callable[[str, Sequence[tuple[str, Option]]], str]
"""Writes a question from its text and its labelled options."""


def lettered(question: str, labelled: Sequence[tuple[str, Option]]) -> str:
    """A question with its options as lettered lines."""
    lines = [f"{label}. {option.text}" for label, option in labelled]
    return "\n".join([*([question, ""] if question else []), *lines, "", "Answer with one letter and nothing else."])


async def choose(
    client: Completer,
    messages: Sequence[Message],
    options: Sequence[Option],
    *,
    seed: int,
    question: str = "",
    purpose: str = "choice",
    order: Order = "shuffled",
    least_share: float = LEAST_SHARE,
    fallback: Fallback = "samples",
    samples: int = 10,
    logprobs: bool = True,
    prefix: str = PREFIX,
    labels: Sequence[str] = LETTERS,
    layout: Layout = lettered,
    affinity: str = "",
) -> Choice:
    """Ask a model to choose.

    Args:
        client: who is asked.
        messages: what comes before the question; the same messages for many questions share a prefix.
        options: at least two, with values of their own.
        seed: decides the order, the value that is drawn, and goes to the server.
        question: asked in one last user message, above the options.
        purpose: in the accounting.
        order: of the labels: as given, shuffled by the seed, or averaged over the given order and its reverse.
        least_share: below this share of the mass the choice is missing.
        fallback: without log-probabilities: free samples, or one answer, forced where the server can be held to it.
        samples: how many.
        logprobs: whether to read them where the server gives them.
        prefix: begins the answer where the server continues begun ones.
        labels: as many as there are options, or more.
        layout: writes the question from its text and the labelled options.
        affinity: see `Request`.

    Raises:
        SessionError: the model gives no answer at all.
        UserError: labels do not tell the options apart.
    """
    named = _checked(labels, options)
    asking = _Asking(
        client, messages, question, named, _orders(options, order, seed), prefix, layout, purpose, affinity
    )
    turns = range(len(asking.orders))
    if logprobs and client.gives_logprobs:
        answers = await asyncio.gather(*(asking.ask(n, seed, _UNDISTORTED, top_logprobs=TOP_TOKENS) for n in turns))
        read = [_first_token(answer, named) for answer in answers]
        masses = [one for one in read if one is not None]
        if len(masses) == len(answers):
            return _weighed(asking, masses, seed, least_share, _texts(answers))
    if fallback == "forced":
        return _single(asking, await asking.ask(0, seed, _SHORT, held=client.takes_choice))
    draws = [(n % len(asking.orders), turn_seed(seed, n, "choice", "sample")) for n in range(samples)]
    answers = await asyncio.gather(*(asking.ask(n, draw, _SAMPLED) for n, draw in draws))
    return _counted(asking, [n for n, _ in draws], answers, seed, least_share)


@dataclass(slots=True)
class _Asking:
    client: Completer
    messages: Sequence[Message]
    question: str
    labels: Sequence[str]
    orders: list[list[Option]]
    prefix: str
    layout: Layout
    purpose: str
    affinity: str

    async def ask(
        self, order: int, seed: int, sampling: Mapping[str, Any], top_logprobs: int = 0, held: bool = False
    ) -> Completion:
        text = self.layout(self.question, list(zip(self.labels, self.orders[order], strict=True)))
        request = Request(
            [*self.messages, Message("user", text)],
            seed=seed,
            affinity=self.affinity,
            purpose=self.purpose,
            sampling=sampling,
            prefix=self.prefix if self.client.takes_prefix else "",
            choice=list(self.labels) if held else None,
            top_logprobs=top_logprobs,
        )
        return await self.client.complete(request)

    @property
    def values(self) -> list[tuple[str, ...]]:
        return [tuple(option.value for option in order) for order in self.orders]


@dataclass(slots=True)
class _Masses:
    """Mass by label of which tokens were returned, of everything that was not returned, and of the least likely
    token."""

    seen: dict[str, float]
    unseen: float
    least: float

    def mass(self, labels: Sequence[str]) -> dict[str, float]:
        share = min(self.least, self.unseen / (1 + sum(label not in self.seen for label in labels)))
        return {label: self.seen.get(label, share) for label in labels}


def _checked(labels: Sequence[str], options: Sequence[Option]) -> Sequence[str]:
    named = list(labels[: len(options)])
    if not 2 <= len(options) == len(named) == len({option.value for option in options}):
        raise UserError(
            f"choice: {len(options)} options with {len(labels)} labels; give 2 or more, with distinct values"
        )
    for one in named:
        for other in named:
            if one is not other and other.startswith(one):
                raise UserError(f"choice: label '{one}' begins label '{other}'; use letters")
    return named


def _orders(options: Sequence[Option], order: Order, seed: int) -> list[list[Option]]:
    if order == "given":
        return [list(options)]
    if order == "averaged":
        return [list(options), list(reversed(options))]
    return [[options[place] for place in shuffled_places(len(options), seed)]]


def shuffled_places(options: int, seed: int) -> list[int]:
    """Which option gets the first label, the second and so on, where the order is shuffled by this seed."""
    draws, left = Draws(turn_seed(seed, 0, "choice", "order")), list(range(options))
    return [left.pop(draws.below(len(left))) for _ in range(options)]


def begins(token: str, label: str) -> bool:
    """Whether a token begins an answer with this label (rule 1 of the module)."""
    said = token.lstrip()
    if not said:
        return False
    return label.startswith(said) or (said.startswith(label) and not said[len(label)].isalnum())


def _first_token(answer: Completion, labels: Sequence[str]) -> _Masses | None:
    """What the distribution of the first token gives each label; None where the server sent none."""
    if not answer.tokens:
        return None
    first: TokenDistribution = answer.tokens[0]
    returned = {(one.token, one.logprob) for one in first.top_logprobs} | {(first.token, first.logprob)}
    total = math.fsum(math.exp(logprob) for _, logprob in returned)
    seen: dict[str, float] = {}
    for token, logprob in sorted(returned):
        begun = [label for label in labels if begins(token, label)]
        if len(begun) == 1:
            seen[begun[0]] = seen.get(begun[0], 0.0) + math.exp(logprob) / max(1.0, total)
    least = min(math.exp(logprob) for _, logprob in returned)
    return _Masses(seen, max(0.0, 1.0 - total), least)


def _weighed(asking: _Asking, masses: list[_Masses], seed: int, least_share: float, text: str) -> Choice:
    mass = dict.fromkeys((option.value for option in asking.orders[0]), 0.0)
    bounds: dict[str, float] = {}
    for order, one in zip(asking.orders, masses, strict=True):
        by_label = one.mass(asking.labels)
        for label, option in zip(asking.labels, order, strict=True):
            mass[option.value] += by_label[label] / len(masses)
            if label not in one.seen:
                bounds[option.value] = max(bounds.get(option.value, 0.0), one.unseen)
    choice = Choice(None, "logprobs", mass=mass, bounds=bounds, raw_text=text, orders=asking.values)
    held = math.fsum(mass for one in masses for mass in one.seen.values()) / len(masses)
    return _concluded(choice, held, asking.orders[0], seed, least_share)


def _counted(
    asking: _Asking, order_of: Sequence[int], answers: Sequence[Completion], seed: int, least_share: float
) -> Choice:
    counts = dict.fromkeys((option.value for option in asking.orders[0]), 0)
    for n, answer in zip(order_of, answers, strict=True):
        value = _spoken(answer.text, asking.labels, asking.orders[n])
        if value is not None:
            counts[value] += 1
    drawn = len(answers)
    choice = Choice(None, "samples", raw_text=_texts(answers), orders=asking.values)
    choice.mass = {value: count / drawn for value, count in counts.items()}
    choice.errors = {value: _jeffreys(count, drawn) for value, count in counts.items()}
    return _concluded(choice, sum(counts.values()) / drawn, asking.orders[0], seed, least_share)


def _single(asking: _Asking, answer: Completion) -> Choice:
    value = _spoken(answer.text, asking.labels, asking.orders[0])
    reason = None if value is not None else "the answer is none of the options"
    return Choice(
        value,
        "forced" if asking.client.takes_choice else "single",
        most_probable=value,
        missing_reason=reason,
        raw_text=answer.text,
        orders=asking.values,
    )


def _concluded(choice: Choice, held: float, options: Sequence[Option], seed: int, least_share: float) -> Choice:
    """Fill in what follows from the masses, of which the options surely hold `held`."""
    total = math.fsum(choice.mass.values())
    choice.outside = max(0.0, 1.0 - total)
    if held < least_share or total <= 0.0:
        choice.missing_reason = f"the options hold {held:.2f} of the probability, less than {least_share:g}"
        return choice
    choice.probabilities = {value: mass / total for value, mass in choice.mass.items()}
    values = list(choice.probabilities)
    cumulative = list(accumulate(choice.probabilities.values()))
    choice.value = Draws(turn_seed(seed, 0, "choice", "value")).weighted(values, cumulative)
    choice.most_probable = max(values, key=choice.probabilities.__getitem__)
    scores = [option.score for option in options]
    if None not in scores:
        choice.expected = math.fsum(choice.probabilities[o.value] * o.score for o in options if o.score is not None)
    return choice


def _spoken(text: str, labels: Sequence[str], order: Sequence[Option]) -> str | None:
    """The option whose label a whole answer begins with, punctuation in front aside."""
    said = text.lstrip(_OPENERS)
    for label, option in zip(labels, order, strict=True):
        if said.startswith(label) and not said[len(label) : len(label) + 1].isalnum():
            return option.value
    return None


def _jeffreys(count: int, drawn: int) -> float:
    """Standard deviation of a share's posterior under Jeffreys' prior, which is not zero where nothing was counted."""
    a, b = count + 0.5, drawn - count + 0.5
    return math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1.0)))


def _texts(answers: Sequence[Completion]) -> str:
    return " | ".join(answer.text for answer in answers)
