"""Who a client is: the validated schema of a persona file.

A persona is a design, not an epidemiological claim and not a person. Every field that a client method may read is here;
unknown fields are errors. Severities follow the structure of PHQ-9 and GAD-7 (items scored 0 to 3, totals 0-27 and
0-21), traits are on 0-1 with .5 as the middle of the intended population.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$", max_length=64)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StageOfChange(StrEnum):
    """Stages of the transtheoretical model (Prochaska & DiClemente 1983)."""

    PRECONTEMPLATION = "precontemplation"
    CONTEMPLATION = "contemplation"
    PREPARATION = "preparation"
    ACTION = "action"
    MAINTENANCE = "maintenance"


class Attachment(StrEnum):
    """Adult attachment styles (Bartholomew & Horowitz 1991)."""

    SECURE = "secure"
    PREOCCUPIED = "preoccupied"
    DISMISSING = "dismissing"
    FEARFUL = "fearful"


class Person(_Part):
    """Someone in the client's life: `relation` is used in speech as 'my <relation>'; `name` may be used alone."""

    relation: Line
    name: Line
    closeness: Fraction = 0.5


class Identity(_Part):
    """Facts about the client that speech may mention. `age` in years."""

    name: Line
    age: Annotated[int, Field(ge=12, le=100)]
    gender: Line
    pronouns: Line
    culture: Line
    language: Line = "English"
    language_level: Literal["native", "fluent", "intermediate", "basic"] = "native"
    occupation: Line
    living_situation: Line
    people: Annotated[list[Person], Field(min_length=1)]
    """The people in the client's life whom the client may mention."""


class Problem(_Part):
    """What brings the client. `short` completes 'it is about ...'; `facts` are first-person statements, one clause
    each, lower case but for 'I' and names, without final full stop, that the client can disclose ('I mean, <fact>');
    `sensitive` ones have the same form and come only with trust; `triggers` are noun phrases; `duration` completes
    'for ...'; `history` is a note about the client, never spoken."""

    domain: Literal[
        "depression",
        "anxiety",
        "grief",
        "loneliness",
        "relationships",
        "work-stress",
        "substance-use",
        "health",
        "trauma",
        "self-harm",
        "eating",
        "sleep",
        "identity",
        "caregiving",
        "anger",
        "study-stress",
    ]
    short: Line
    duration: Line
    triggers: Annotated[list[Line], Field(min_length=2)]
    facts: Annotated[list[Line], Field(min_length=5)]
    sensitive: Annotated[list[Line], Field(min_length=2)]
    history: Line
    target_behaviour: Line
    """What change would be about; completes 'about <target_behaviour>', a noun or gerund phrase."""


class Severity(_Part):
    """Item scores on the structures of PHQ-9 (nine items) and GAD-7 (seven items), each 0-3, in the published order."""

    phq9: Annotated[list[Annotated[int, Field(ge=0, le=3)]], Field(min_length=9, max_length=9)]
    gad7: Annotated[list[Annotated[int, Field(ge=0, le=3)]], Field(min_length=7, max_length=7)]

    @property
    def phq9_total(self) -> int:
        """Sum of the PHQ-9 items, 0-27."""
        return sum(self.phq9)

    @property
    def gad7_total(self) -> int:
        """Sum of the GAD-7 items, 0-21."""
        return sum(self.gad7)


class Traits(_Part):
    """Big Five and how the client behaves in a session; all on 0-1."""

    openness: Fraction
    conscientiousness: Fraction
    extraversion: Fraction
    agreeableness: Fraction
    neuroticism: Fraction
    resistance: Fraction
    """Tendency to push back against the therapist."""
    emotional_fluctuation: Fraction
    """How strongly distress moves from turn to turn."""
    willingness_to_disclose: Fraction


class CognitiveModel(_Part):
    """A cognitive conceptualisation (J. S. Beck): from core belief to coping. First-person clauses in the form of
    facts; an automatic thought completes 'and then I think, ...'."""

    core_beliefs: Annotated[list[Line], Field(min_length=1)]
    intermediate_beliefs: Annotated[list[Line], Field(min_length=1)]
    automatic_thoughts: Annotated[list[Line], Field(min_length=2)]
    coping: Annotated[list[Line], Field(min_length=1)]


class Speech(_Part):
    """How the client talks. `words_per_turn` is the intended median; fillers and phrases are the client's own."""

    words_per_turn: Annotated[int, Field(ge=2, le=60)] = 9
    register_: Annotated[Literal["plain", "formal", "casual", "terse", "rambling"], Field(alias="register")] = "plain"
    fillers: list[Line] = Field(default_factory=list)
    """Words set off by commas anywhere in a clause: 'you know', 'um'."""
    habits: list[Line] = Field(default_factory=list)
    """Short phrases the client likes to use, set off by a comma before or after a clause: 'to be honest'."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class AIUse(_Part):
    """Relation to AI before the study; on 0-1 except `use`."""

    use: Literal["none", "occasional", "weekly", "daily"]
    trust: Fraction
    companionship_seeking: Fraction
    """How far the client looks to an AI for company."""


class Provenance(_Part):
    """Where the persona comes from. `source` names the authors or the population file that it was drawn from."""

    kind: Literal["written", "sampled", "extracted"]
    source: Line
    population: Line | None = None
    note: str = ""


class Persona(_Part):
    """A client's persona. `id` is unique in a set; `adolescent` must agree with the age; `high_risk` marks personas
    with thoughts of death or self-harm (PHQ-9 item 9 positive) or other acute risk."""

    id: Slug
    identity: Identity
    problem: Problem
    severity: Severity
    traits: Traits
    attachment: Attachment
    stage_of_change: StageOfChange
    cognitive_model: CognitiveModel
    goals: Annotated[list[Line], Field(min_length=1)]
    """Verb phrases that complete 'I want to ...'."""
    speech: Speech
    loneliness: Fraction
    dependence_proneness: Fraction
    """How readily the client comes to lean on the therapist; a design knob, not a diagnosis."""
    ai: AIUse
    adolescent: bool = False
    high_risk: bool = False
    provenance: Provenance
    licence: Line = "Apache-2.0"
