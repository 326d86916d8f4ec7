"""Recorded sessions from which clients are made (`source`): read for profiles, simulated from, or rated as they stand.

- `read`: agents read the recording and journal what they find in it (profile extraction); nothing is simulated.
- `simulate`: a session is held; the client's chair knows the recording and the profile that was read out of it.
- `rate`: the recording is the session: the chairs hear it as their own past, and fill in the instruments after it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulator.errors import UserError
from simulator.records.text import transcript_fingerprint
from simulator.store.reading import read_table
from simulator.studies.recordings import Recorded, Recording, Said, recorded_sessions

Use = Literal["read", "simulate", "rate"]


class SourceChoice(BaseModel):
    """Which recorded sessions clients are made from, and what is done with them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str | None = None
    """Folder of a run or an import; none: personas are used."""
    profiles: str | None = None
    """Folder of the run that read profiles out of these sessions (`use: read`), for clients that take one."""
    use: Use = "simulate"
    limit: Annotated[int, Field(ge=1)] | None = None
    """Only the first so many sessions, in the order of their course ids; with `strata`, so many of each stratum."""
    strata: bool = False
    """Whether `limit` counts within each stratum (AnnoMI: high and low quality; a run: its therapists)."""
    fewest_turns: Annotated[int, Field(ge=1)] = 4
    """Shorter sessions are left out, and so are those of courses that failed."""
    words: Annotated[int, Field(ge=0)] | None = None
    """Only the first so many words of each transcript are handed over (ClientCAST: 2,800 to read, 4,200 to rate; 0: the
    profile alone)."""
    seed_turns: Annotated[int, Field(ge=0)] = 0
    """So many first turns of the recording open the simulated session (ClientCAST: 2)."""
    turn_ratio: Annotated[float, Field(gt=0)] | None = None
    """The simulated session's length as a multiple of the recording's, in place of `session.max_turns` (ClientCAST:
    1 or 1.05)."""


def load_sources(choice: SourceChoice) -> list[Recording]:
    """The recordings of a study, each with what its seats are given under `source`.

    Raises:
        UserError: no such run, no tables, no session that fits, or one without a profile where profiles are named.
    """
    folder = Path(str(choice.run)).expanduser()
    profiles = _profiles(Path(choice.profiles).expanduser()) if choice.profiles else None
    recordings: list[Recording] = []
    counts: dict[str, int] = {}
    for found in recorded_sessions(folder):
        if len(found.turns) < choice.fewest_turns or found.course["status"] == "failed":  # cut off in the middle
            continue
        stratum = _stratum(found)
        counts[stratum if choice.strata else ""] = counts.get(stratum if choice.strata else "", 0) + 1
        if choice.limit is not None and counts[stratum if choice.strata else ""] > choice.limit:
            continue
        recordings.append(_recording(choice, found, stratum, profiles))
    if not recordings:
        raise UserError(f"source.run: no session of {folder} has {choice.fewest_turns} turns or more")
    return recordings


def _recording(choice: SourceChoice, found: Recorded, stratum: str, profiles: dict[str, Any] | None) -> Recording:
    turns = _first_words(found.turns, choice.words)
    said = tuple((turn.role, turn.text) for turn in turns)
    transcript = transcript_fingerprint((turn.role, turn.text) for turn in found.turns)
    memory: dict[str, Any] = {
        "use": choice.use, "source": found.name, "transcript": transcript, "turns": turns,
        "seed_turns": choice.seed_turns, "turn_ratio": choice.turn_ratio,
    }  # fmt: skip
    if profiles is not None:
        origin = str(found.course.get("source") or "")
        profile = profiles.get(transcript) or profiles.get(origin)
        if profile is None:
            raise UserError(
                f"source.profiles: {choice.profiles} holds no profile of session {found.name} of {choice.run}; "
                "read profiles out of these sessions first"
            )
        memory["profile"] = profile
    return Recording(
        found.name,
        found.cluster,
        said,
        found.persona,
        {"source": memory},
        None if choice.use == "simulate" else stratum,
    )


def _stratum(found: Recorded) -> str:
    return str(found.course["stratum"] or found.course["therapist"] or "")


def _first_words(turns: Sequence[Said], words: int | None) -> tuple[Said, ...]:
    """The turns up to a number of words; the turn in which it is reached is cut there."""
    if words is None:
        return tuple(turns)
    kept: list[Said] = []
    for turn in turns if words else ():
        own = turn.text.split()
        kept.append(turn if len(own) <= words else turn._replace(text=" ".join(own[:words])))
        words -= len(own)
        if words <= 0:
            break
    return tuple(kept)


def _profiles(folder: Path) -> dict[str, dict[str, Any]]:
    """Profiles by what they were read out of: the transcript's fingerprint, and `course:session`. Where a session was
    read several times, the first reading (replicate 0) is the profile."""
    found: dict[str, dict[str, Any]] = {}
    first = read_table(folder, "courses", ["course_id", "replicate"]).filter(replicate=0)
    for row in read_table(folder, "extractions").join(first, on="course_id").sort("course_id", "field").to_dicts():
        field = {key: row[key] for key in ("value", "number", "missing_reason")}
        for key in (row["transcript"], row["source"]):
            found.setdefault(key, {})[row["field"]] = field
    if not found:
        raise UserError(
            f"source.profiles: nothing was read out of sessions in {folder}; name a run with source.use=read"
        )
    return found
