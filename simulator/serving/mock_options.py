"""What a mock server can be told: the model it plays, how slow it is, what it answers and how it fails."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from simulator.errors import UserError, nearest

Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FaultRates(_Options):
    """The share of attempts that meet each fault; the shares sum to at most 1.

    A fault meets one *attempt*: whether the n-th arrival of a request fails is drawn from the seed, the replica's name,
    the request's bytes and n, so that retries get through and a second run meets the same faults.
    """

    http_429: Rate = Field(0.0, alias="429")
    """Too many requests, with the header `Retry-After`."""
    http_500: Rate = Field(0.0, alias="500")
    """An internal error."""
    hang: Rate = 0.0
    """No answer for `hang_seconds`; then the connection is closed."""
    reset: Rate = 0.0
    """The connection is reset without a byte of an answer."""
    truncated: Rate = 0.0
    """Half of the answer, then the connection is closed although `Content-Length` promised more."""
    garbled: Rate = 0.0
    """Half of the answer as a complete body, which is no valid JSON."""
    wrong_model: Rate = 0.0
    """A good answer that says it comes from another model."""

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = sum(self.by_name().values())
        if total > 1 + 1e-9:
            raise ValueError(f"faults: the rates sum to {total:g}, more than 1")
        return self

    def by_name(self) -> dict[str, float]:
        """Rates by the fault's name."""
        return {field.alias or name: float(getattr(self, name)) for name, field in type(self).model_fields.items()}


class Rule(_Options):
    """A planted answer. The first rule whose `match` is found in the last user message counts."""

    match: str
    """A regular expression, searched in the last user message (or where `within` says)."""
    within: Literal["last", "system", "any"] = "last"
    """`last`: the last user message; `system`: all system messages; `any`: all messages."""
    answer: str | None = None
    """What is said."""
    answers: list[str] | None = None
    """Several answers; the request decides which one."""
    distribution: dict[str, Annotated[float, Field(ge=0)]] | None = None
    """Weights of the labels that this question can be answered with."""
    refusal: Rate | None = None
    """As in the options, for this question."""
    unconstrained: bool = False
    """Give the planted answer even where the request asked for a choice or a schema that it does not meet."""
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    """Answer with this HTTP status instead; `answer` is then the error's message."""
    latency: Seconds | None = None
    """As in the options, for this request."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        given = [name for name in ("answer", "answers", "distribution") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"match {self.match!r}: give one of {' and '.join(given)}")
        if not given and self.status is None and self.latency is None and self.refusal is None:
            raise ValueError(f"match {self.match!r}: give 'answer', 'answers', 'distribution', 'status' or 'latency'")
        return self

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str) -> str:
        import re

        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression ({error})") from None
        return value


class MockOptions(_Options):
    """All settings of a mock server; each can stand in a YAML file (`dyad serve mock --options FILE`)."""

    models: Annotated[list[str], Field(min_length=1)] = ["mock"]
    """Names that are served; a request for another one gets 404. LoRA adapters are names like any other."""
    seed: int = 0
    """Decides answers and faults."""
    replica: str = ""
    """Sets the faults of one server apart from another's; answers are the same on every replica."""
    max_model_len: Annotated[int, Field(ge=1)] = 32_768
    """Tokens of prompt and answer together; a longer prompt gets vLLM's error 400."""
    api_key: str | None = None
    """Requests must carry it as a bearer token; others get 401."""

    latency: Seconds = 0.0
    """Seconds before the answer begins."""
    latency_spread: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The latency of a request lies between (1 - spread) and (1 + spread) times `latency`, decided by its bytes."""
    token_rate: Seconds = 0.0
    """Tokens of the answer per second; 0: all at once."""
    prefill_rate: Seconds = 0.0
    """Tokens of the prompt per second, cached ones free; 0: all at once."""
    max_in_flight: Annotated[int, Field(ge=1)] | None = None
    """More requests at once than this get 429."""

    answer_tokens: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (20, 60)
    """Shortest and longest unplanted answer; a token is four characters."""
    never_twice: bool = False
    """No request is answered twice alike: as servers do that promise no determinism."""
    rules: list[Rule] = []
    """Planted answers."""
    refusal: Rate = 0.01
    """Probability of `refusal_text` where labels are asked for without a constraint; under one it is masked."""
    refusal_text: str = "I cannot rate this."
    """What a refusal says."""
    label_spread: Annotated[float, Field(ge=0)] = 1.5
    """Standard deviation of the log-weights that labels get where no rule states them; 0: all alike."""
    broken_schema: Rate = 0.0
    """Share of constrained requests whose answer breaks the constraint, decided by the request's bytes."""
    reasoning: Literal["none", "field", "tags"] = "none"
    """Whether answers come with reasoning: in a field of its own, or left in the text between think tags."""

    cache_blocks: Annotated[int, Field(ge=0)] = 0
    """Size of the simulated prefix cache, least recently used first out; 0: no cache."""
    block_tokens: Annotated[int, Field(ge=1)] = 16
    """Tokens per block; only whole blocks are cached."""

    faults: FaultRates = FaultRates()
    """Faults and their rates."""
    fault_attempts: Annotated[int, Field(ge=0)] | None = None
    """Only so many first attempts of a request can meet a fault; by default all can."""
    hang_seconds: Seconds = 3600.0
    """How long a hanging request hangs."""
    retry_after: Seconds = 0.0
    """The header `Retry-After` of 429, in seconds."""
    log_requests: bool = False
    """Keep a log of requests (their hashes) at `/mock/log`; in a test also the bodies."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.answer_tokens[0] > self.answer_tokens[1]:
            raise ValueError(f"answer_tokens: {list(self.answer_tokens)} runs backwards")
        return self

    @property
    def counts_attempts(self) -> bool:
        """Whether the server must remember which requests it has seen."""
        return self.log_requests or any(self.faults.by_name().values())


def parse_options(content: Mapping[str, Any], where: str = "mock options") -> MockOptions:
    """Check settings.

    Raises:
        UserError: the first mistake, in one line.
    """
    try:
        return MockOptions.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            key = str(problem["loc"][-1])
            known = {"faults": list(FaultRates().by_name()), "rules": list(Rule.model_fields)}
            choices = known.get(str(problem["loc"][0]), list(MockOptions.model_fields))
            raise UserError(f"{where}: unknown key '{place}'{nearest(key, choices)}") from None
        message = str(problem["msg"]).removeprefix("Value error, ")
        raise UserError(f"{where}: {place + ': ' if place else ''}{message}") from None


def read_options(path: Path) -> MockOptions:
    """Settings from a YAML file.

    Raises:
        UserError: no such file, no YAML, or a wrong setting.
    """
    import yaml

    from simulator.resources import read_yaml

    try:
        content = read_yaml(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a YAML file of mock options") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: no YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a mapping of mock options is expected")
    return parse_options(content, str(path))
