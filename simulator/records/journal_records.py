"""The events of a course, as they stand in a journal: one typed record per line.

Records are facts, in the order in which they happened. `course`, `session` and `turn` say where; sessions and turns
count from 0. Clocks, hosts and retries stand in `Execution` alone, so that every other record of two runs of one
identity on deterministic models is the same.
"""

from typing import Any, Literal

import msgspec

JOURNAL_FORMAT = 4
"""Version of the journal's format; a reader refuses newer ones and knows the older ones. Format 2 added the records of
courses of several sessions (`Noted`, `Lived`, `Decided`), format 3 what is read out of recorded sessions (`Extracted`),
format 4 single answers of a model to an instrument (`Answered`); an older format has none of them and is otherwise the
same."""


class Header(msgspec.Struct, tag="journal", tag_field="kind", omit_defaults=False):
    """First line of every journal file: which run, which shard, which attempt at it."""

    format: int
    identity: str
    code_version: str
    shard: int
    attempt: int
    host: str = ""
    process: int = 0


class Opened(msgspec.Struct, tag="course", tag_field="kind"):
    """This attempt takes up a course. The first `kept` records of it in earlier attempts stand; later ones do not."""

    course: str
    kept: int


class Turn(msgspec.Struct, tag="turn", tag_field="kind", omit_defaults=True):
    """One speaker's contribution. `planted` and `state` come from the speaker; `probe` names the stimulus at work."""

    course: str
    session: int
    turn: int
    role: str
    speaker: str
    text: str
    finish_reason: str = "stop"
    model: str = ""
    seed: int = 0
    regeneration: int = 0
    probe: str | None = None
    goodbye: bool | None = None
    planted: dict[str, dict[str, Any]] | None = None
    state: dict[str, float] | None = None


class Event(msgspec.Struct, tag="event", tag_field="kind", omit_defaults=True):
    """Something that happened beside the turns: a stimulus, a guard, a decision. `payload` holds its particulars."""

    course: str
    session: int
    turn: int
    name: str
    event: str
    role: str | None = None
    payload: dict[str, Any] | None = None


class Answer(msgspec.Struct, omit_defaults=True):
    """The answer to one item: the raw value before keying, or None and the reason.

    A choice's `value` is drawn from the probabilities; `most_probable` and `expected` are the other two readings, and
    `outside` is the mass that no option holds.
    """

    item: str
    value: float | None = None
    missing_reason: str | None = None
    expected: float | None = None
    probability: float | None = None
    raw_text: str | None = None
    seed: int = 0
    most_probable: float | None = None
    outside: float | None = None


class Administration(msgspec.Struct, tag="administration", tag_field="kind", omit_defaults=True):
    """One filling-in of an instrument by `respondent` at `moment`; `day` is the simulated day of the course."""

    course: str
    session: int
    moment: str
    instrument: str
    version: str
    form: str
    wording: str
    respondent: str
    answers: list[Answer]
    day: float = 0.0
    adapted: bool = False


class SessionEnded(msgspec.Struct, tag="session_end", tag_field="kind", omit_defaults=True):
    """A session came to its typed end."""

    course: str
    session: int
    opened_by: str
    ending: str
    turns: int
    ended_by: str | None = None
    day: float = 0.0


class CourseEnded(msgspec.Struct, tag="course_end", tag_field="kind"):
    """All sessions of the course are over."""

    course: str
    sessions: int


class Note(msgspec.Struct, omit_defaults=True):
    """Something to be remembered. `kind` is one of `agents.between_sessions.NOTE_KINDS`; `weight` above 0 says how
    firmly it is held (see `sessions.memory`)."""

    kind: str
    text: str
    weight: float = 1.0


class Noted(msgspec.Struct, tag="notes", tag_field="kind", omit_defaults=True):
    """What a role keeps of a session that is over: notes, and the state in which it goes on, where it has one."""

    course: str
    session: int
    role: str
    day: float
    notes: list[Note]
    state: dict[str, float] | None = None


class Lived(msgspec.Struct, tag="life", tag_field="kind", omit_defaults=True):
    """The client's life outside sessions up to `day`: its state by then, the life event of a week, where it stands.

    `status` is `in_course`, `left` or `waitlist`; `sessions` is how many sessions were held before.
    """

    course: str
    week: int
    day: float
    status: str
    sessions: int
    event: str | None = None
    state: dict[str, float] | None = None


class Decided(msgspec.Struct, tag="decision", tag_field="kind", omit_defaults=True):
    """A decision between sessions. `probabilities` are in the order of `options`; None where the agent gave none."""

    course: str
    week: int
    day: float
    role: str
    question: str
    options: list[str]
    option: str
    probabilities: list[float] | None = None
    seed: int = 0


class Extracted(msgspec.Struct, tag="extracted", tag_field="kind", omit_defaults=True):
    """One field of a client's profile as it was read out of a recorded session: the value, or None and the reason.

    `source` is `course:session` of the recording, `transcript` the fingerprint of what was said in it. `number` is the
    value as a number where it is one of an ordered scale; the evidence is a stretch of one turn of the recording.
    """

    course: str
    session: int
    field: str
    source: str
    transcript: str
    value: str | None = None
    number: float | None = None
    missing_reason: str | None = None
    evidence_turn: int | None = None
    evidence_start: int | None = None
    evidence_end: int | None = None
    raw_text: str | None = None
    seed: int = 0


class Answered(msgspec.Struct, tag="answer", tag_field="kind", omit_defaults=True):
    """One answer of an administration that goes on, kept so that nobody is asked again after an interruption; the whole
    administration follows as one record."""

    course: str
    session: int
    moment: str
    instrument: str
    respondent: str
    answer: Answer


class Failed(msgspec.Struct, tag="failure", tag_field="kind", omit_defaults=True):
    """The course stopped here; it is taken up again only on request."""

    course: str
    session: int
    turn: int
    boundary: Literal["model", "agent", "protocol", "storage"]
    failure: str
    message: str


class SavedState(msgspec.Struct, tag="agent_state", tag_field="kind"):
    """What a foreign agent saved of itself after a turn; our own agents need none."""

    course: str
    session: int
    turn: int
    role: str
    state: dict[str, Any]


class Execution(msgspec.Struct, tag="execution", tag_field="kind", omit_defaults=True):
    """How a call or a session went, not what it said. `started` is Unix time in seconds."""

    course: str
    session: int
    scope: Literal["call", "session"]
    started: float
    seconds: float
    turn: int | None = None
    role: str | None = None
    purpose: str | None = None
    retries: int = 0
    replica: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    cost: float | None = None
    """In the currency of the model's price; None where none is configured."""

    @property
    def tokens(self) -> int:
        """Tokens of prompt and answer that a server worked on; an answer from the response cache used none."""
        if self.replica == "cache":
            return 0
        return (self.prompt_tokens or 0) + (self.completion_tokens or 0)


CourseRecord = (
    Opened
    | Turn
    | Event
    | Administration
    | SessionEnded
    | Noted
    | Lived
    | Decided
    | Extracted
    | Answered
    | CourseEnded
    | Failed
    | SavedState
    | Execution
)
Record = Header | CourseRecord
"""Anything that may stand in a journal."""
