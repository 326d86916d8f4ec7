"""What a mock server has seen and served, as figures, JSON and Prometheus text."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class SeenRequest:
    """One arrival of a request, as the log keeps it."""

    digest: str
    """Hash of its bytes and the seed."""
    attempt: int
    """How often it was seen before."""
    fault: str | None
    """The fault it met."""
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class MockCounters:
    """Requests to `/v1/chat/completions` only."""

    requests: int = 0
    """Arrivals."""
    served: int = 0
    """Good answers."""
    refused: int = 0
    """Answered with an error that the request itself brought about."""
    abandoned: int = 0
    """The client went away first."""
    repeated: int = 0
    """Arrivals of a request that was seen before; counted where faults or the log are on."""
    in_flight: int = 0
    peak_in_flight: int = 0
    bytes_in: int = 0
    checksum: int = 0
    """Exclusive or of the requests' hashes: the same for the same requests in any order."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Faults by name; `overload` is 429 because of `max_in_flight`, `unhealthy` 503 because it was told to be so."""
    finish_reasons: Counter[str] = field(default_factory=Counter)

    def reset(self) -> None:
        """Begin anew; what is in flight stays counted as such."""
        fresh = MockCounters(in_flight=self.in_flight, peak_in_flight=self.in_flight)
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


def prometheus(counters: MockCounters, model: str, cache_queries: int, cache_hits: int) -> str:
    """The figures under vLLM's names (`vllm:` as in its version 1 engine), as Prometheus text."""
    labels = f'engine="0",model_name="{model}"'
    lines = [
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{{{labels}}} {counters.in_flight}",
        "# TYPE vllm:num_requests_waiting gauge",
        f"vllm:num_requests_waiting{{{labels}}} 0",
    ]
    for name, value in (
        ("prefix_cache_queries", cache_queries),
        ("prefix_cache_hits", cache_hits),
        ("prompt_tokens", counters.prompt_tokens),
        ("generation_tokens", counters.completion_tokens),
    ):
        lines += [f"# TYPE vllm:{name} counter", f"vllm:{name}_total{{{labels}}} {value}"]
    lines.append("# TYPE vllm:request_success counter")
    for reason in ("stop", "length"):
        found = counters.finish_reasons[reason]
        lines.append(
            f'vllm:request_success_total{{engine="0",finished_reason="{reason}",model_name="{model}"}} {found}'
        )
    return "\n".join(lines) + "\n"
