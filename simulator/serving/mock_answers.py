"""What the mock says: a pure function of a request, its bytes and the seed.

A question about labels has one distribution, whether it is asked under a constraint (masked and renormalised, as vLLM
does) or without one (then a refusal has its share too), because that distribution follows from the messages alone.
"""

import hashlib
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from simulator.serving.mock_options import MockOptions, Rule
from simulator.serving.mock_requests import TOKEN, Refused, constraint_of, count, pieces, question_of, seed_key
from simulator.serving.mock_schema import instance_of

END_TOKEN = "<|end|>"
MASKED = -9999.0
"""vLLM's log-probability of a token that a constraint forbids."""

_OPENINGS = (
    "I think about that", "It stays with me", "There is more to it", "I notice it mostly", "That part is hard",
    "Some days it is easier", "I would like to understand it", "It comes up", "We can look at it",
    "I try to name it", "It has been this way", "Something shifts", "I hear that", "It helps a little",
    "That matters", "I keep returning to it",
)  # fmt: skip
_ENDINGS = (
    "when the house is quiet.", "after a long day at work.", "and then I lose the thread.", "more than I expected.",
    "when my sister asks about it.", "at the end of the week.", "before I fall asleep.", "and I am not sure why.",
    "since the move last spring.", "when plans change.", "with people I trust.", "even on better days.",
    "once the morning is over.", "and that surprises me.", "as if it were new.", "whenever there is time.",
)  # fmt: skip
_LABEL_LINE = re.compile(r"^[\s*\-(]*([\w+\-]{1,32})\s*[):.=]\s", re.MULTILINE)
_JUNK = (
    "\n\n", "The", "Sure", "As a", "Well", "**", "My a", "Base", "Here", "It i", "None", "Rati", "Okay", "Hmm,", "Let ",
    "This", "Bein", "Give", "Answ", "Ther", "```",
)  # fmt: skip


@dataclass(slots=True)
class Answer:
    """One choice of a completion."""

    text: str
    finish_reason: str
    tokens: int
    logprobs: list[dict[str, Any]] | None = None
    reasoning: str | None = None


def answer_for(options: MockOptions, body: Mapping[str, Any], digest: bytes, rule: Rule | None, room: int) -> Answer:
    """The answer to a request.

    Args:
        options: the mock's settings.
        body: the parsed request.
        digest: at least 32 bytes that depend on the request's bytes and the seed.
        rule: the rule that the request met.
        room: how many tokens the context leaves for the answer.

    Raises:
        Refused: the request cannot be answered.
    """
    constraint = constraint_of(body)
    wants_logprobs = bool(body.get("logprobs"))
    distribution = _distribution(options, body, rule, constraint, wants_logprobs)
    if distribution is not None:
        text = _draw(distribution, digest, body.get("temperature"))
    elif constraint is not None:
        text = _schema_instance(constraint[1], digest)
    else:
        text = _planted(rule, digest) or _filler(options, digest)
    if constraint is not None:
        planted = _planted(rule, digest)
        if rule is not None and planted is not None and (rule.unconstrained or _meets(planted, constraint)):
            text, distribution = planted, None
        elif options.broken_schema and digest[31] + 256 * digest[30] < options.broken_schema * 65536:
            text, distribution = (options.refusal_text if constraint[0] == "choice" else text[: len(text) // 2]), None
    reasoning = _filler(options, digest[::-1]) if options.reasoning != "none" else None
    if options.reasoning == "tags":
        text, reasoning = f"<think>\n{reasoning}\n</think>\n\n{text}", None
    text, finish_reason = _cut(text, body, room)
    tokens = count(text) + (finish_reason == "stop") + (count(reasoning) if reasoning else 0)
    logprobs = None
    if wants_logprobs:
        logprobs = _logprobs(text, finish_reason, distribution, int(body.get("top_logprobs") or 0), constraint, digest)
    return Answer(text, finish_reason, tokens, logprobs, reasoning)


def _planted(rule: Rule | None, digest: bytes) -> str | None:
    if rule is None:
        return None
    if rule.answers:
        return rule.answers[int.from_bytes(digest[16:20], "little") % len(rule.answers)]
    return rule.answer


def _meets(planted: str, constraint: tuple[str, Any]) -> bool:
    if constraint[0] == "choice":
        return planted in constraint[1]
    try:
        orjson.loads(planted)
    except orjson.JSONDecodeError:
        return False
    return True


def _schema_instance(schema: Mapping[str, Any], digest: bytes) -> str:
    try:
        return orjson.dumps(instance_of(schema, int.from_bytes(digest[:8], "little"))).decode()
    except ValueError as error:
        raise Refused(400, f"the mock cannot answer this schema: {error}") from None


def _filler(options: MockOptions, digest: bytes) -> str:
    low, high = options.answer_tokens
    wanted = TOKEN * (low + int.from_bytes(digest[:2], "little") * (high - low + 1) // 65536)
    sentences, length, place = [], 0, 2
    while length < wanted:
        if place >= len(digest):
            digest, place = hashlib.blake2b(digest, digest_size=32).digest(), 0
        sentence = f"{_OPENINGS[digest[place] & 15]} {_ENDINGS[digest[place] >> 4]}"
        sentences.append(sentence)
        length += len(sentence) + 1
        place += 1
    return " ".join(sentences)


def _cut(text: str, body: Mapping[str, Any], room: int) -> tuple[str, str]:
    stops = body.get("stop") or ()
    for stop in (stops,) if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    asked = body.get("max_completion_tokens") or body.get("max_tokens") or room
    limit = min(int(asked), room)
    if count(text) > limit:
        return text[: TOKEN * limit], "length"
    return text, "stop"


def _distribution(
    options: MockOptions,
    body: Mapping[str, Any],
    rule: Rule | None,
    constraint: tuple[str, Any] | None,
    wants_logprobs: bool,
) -> dict[str, float] | None:
    """Probabilities of whole answers, or None where the request is no question about labels."""
    planted = rule.distribution if rule is not None else None
    messages = body["messages"]
    if constraint is not None:
        if constraint[0] != "choice":
            return None
        labels = constraint[1]
    elif planted:
        labels = list(planted)
    elif wants_logprobs and (rule is None or _planted(rule, b"\0" * 32) is None):
        labels = list(dict.fromkeys(_LABEL_LINE.findall(question_of(messages))))
        if len(labels) < 2:
            return None
    else:
        return None
    weights = [planted.get(label, 0.0) for label in labels] if planted else _weights(options, messages, labels)
    total = sum(weights)
    if total <= 0:
        weights, total = [1.0] * len(labels), float(len(labels))
    refusal = options.refusal if rule is None or rule.refusal is None else rule.refusal
    kept = 1.0 if constraint is not None else 1.0 - refusal
    distribution = {label: kept * weight / total for label, weight in zip(labels, weights, strict=True)}
    if constraint is None and refusal > 0:
        distribution[options.refusal_text] = distribution.get(options.refusal_text, 0.0) + refusal
    return distribution


def _weights(options: MockOptions, messages: Any, labels: Sequence[str]) -> list[float]:
    """Log-normal weights that the messages and each label decide, whatever other labels there are."""
    key = hashlib.blake2b(orjson.dumps(messages), digest_size=16, key=seed_key(options.seed)).hexdigest()
    return [math.exp(options.label_spread * random.Random(f"{key}:{label}").gauss(0, 1)) for label in labels]


def _draw(distribution: Mapping[str, float], digest: bytes, temperature: Any) -> str:
    if temperature is not None and float(temperature) <= 0:
        return max(distribution, key=lambda label: distribution[label])
    power = 1.0 if temperature is None else 1.0 / float(temperature)
    weights = [probability**power for probability in distribution.values()]
    place = int.from_bytes(digest[8:16], "little") / 2**64 * sum(weights)
    for label, weight in zip(distribution, weights, strict=True):
        place -= weight
        if place < 0:
            return label
    return max(distribution, key=lambda label: distribution[label])


def _logprobs(
    text: str,
    finish_reason: str,
    distribution: Mapping[str, float] | None,
    top: int,
    constraint: tuple[str, Any] | None,
    digest: bytes,
) -> list[dict[str, Any]]:
    """One entry for each token of the answer, the end-of-turn token included, as vLLM returns them."""
    spelled = [*pieces(text), *([END_TOKEN] if finish_reason == "stop" else [])]
    if distribution is None:
        draw = random.Random(digest)
        return [_entry(token, {token: -draw.expovariate(1.0)}, top, False) for token in spelled]
    alive = {(*pieces(label), END_TOKEN): probability for label, probability in distribution.items() if probability > 0}
    entries = []
    for place, token in enumerate(spelled):
        mass: dict[str, float] = {}
        for label, probability in alive.items():
            mass[label[place]] = mass.get(label[place], 0.0) + probability
        total = sum(mass.values())
        entries.append(
            _entry(token, {one: math.log(part / total) for one, part in mass.items()}, top, constraint is not None)
        )
        alive = {label: probability for label, probability in alive.items() if label[place] == token}
    return entries


def _entry(token: str, known: Mapping[str, float], top: int, masked: bool) -> dict[str, Any]:
    ranked = sorted(known.items(), key=lambda pair: -pair[1])[:top]
    if len(ranked) < top:
        floor = min(min(known.values()), -9.0)
        junk = (one for one in _JUNK if one not in known)
        ranked += [(one, MASKED if masked else floor - 0.25 * n) for n, one in enumerate(junk, 1)][: top - len(ranked)]
    return {**_token(token, known[token]), "top_logprobs": [_token(one, value) for one, value in ranked]}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
