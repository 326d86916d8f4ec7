"""How well the guards find what their definitions mean: precision and recall on labelled turns.

The labelled turns are the project's own (tests/fixtures/guards.yaml). A build carries the figures, not the turns:
`guard_scores.json` beside this module is what `dyad bench guards --write` measured, and a test keeps it true.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from simulator.agents.prompting import FOLDER, load_prompt
from simulator.sessions.guards import GUARDS, Circumstances, look

MEASURED = Path(__file__).parent / "guard_scores.json"

PARTS = {"tuned": ("hits", "misses"), "check": ("check_hits", "check_misses")}
"""Keys of the labelled turns by part: the rules were written in view of `tuned` and not changed in view of `check`."""


class GuardScore(msgspec.Struct, frozen=True):
    """One guard on one part (`tuned`, `check`) of the labelled turns. Precision and recall are None where undefined."""

    guard: str
    part: str
    hits: int
    """Turns that the definition covers."""
    misses: int
    """Turns that it does not."""
    found: int
    """Hits at which the guard fired."""
    false_alarms: int
    """Misses at which it fired."""

    @property
    def precision(self) -> float | None:
        """Share of firings that were right."""
        fired = self.found + self.false_alarms
        return self.found / fired if fired else None

    @property
    def recall(self) -> float | None:
        """Share of hits that were found."""
        return self.found / self.hits if self.hits else None


class Labelled(msgspec.Struct, forbid_unknown_fields=True):
    """One labelled turn; the header of the file says what the fields mean."""

    role: str
    text: str
    before: list[tuple[str, str]] = []
    severity: int | None = None
    resistance: float = 0.0
    high_risk: bool = False
    prompt: str | None = None

    def circumstances(self) -> Circumstances:
        """What the guard may know beside the text."""
        own = 1 + sum(role == self.role for role, _ in self.before)
        return Circumstances(
            self.role, self.role == "client", self.before, own, self.severity, self.resistance, self.high_risk,
            (_instructions(self.prompt),) if self.prompt else (),
        )  # fmt: skip


def _instructions(name: str) -> str:
    return load_prompt(FOLDER / f"{name}.jinja", ("system",)).render("system")


def measure_guards(labelled: Mapping[str, Any]) -> list[GuardScore]:
    """Scores by guard and part.

    Args:
        labelled: guard -> `hits` and `misses` -> turns, as in tests/fixtures/guards.yaml.
    """
    scores = []
    for guard in GUARDS:
        turns = msgspec.convert(labelled[guard], dict[str, list[Labelled]])
        for part, (hits, misses) in PARTS.items():
            fired = {
                kind: sum(bool(look(turn.text, turn.circumstances(), [guard])) for turn in turns[kind])
                for kind in (hits, misses)
            }
            scores.append(GuardScore(guard, part, len(turns[hits]), len(turns[misses]), fired[hits], fired[misses]))
    return scores


def measured_guards() -> list[GuardScore]:
    """The figures that travel with this build."""
    return msgspec.json.decode(MEASURED.read_bytes(), type=list[GuardScore])


def score_table(scores: list[GuardScore]) -> list[dict[str, Any]]:
    """Rows for a report: guard, part, numbers of turns, precision and recall (None where undefined)."""
    return [msgspec.structs.asdict(score) | {"precision": score.precision, "recall": score.recall} for score in scores]
