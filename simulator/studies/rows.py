"""What a plan itself contributes to the dataset: one row per persona and per planned course."""

from collections.abc import Iterable, Iterator
from typing import Any

from simulator.records.fingerprints import canonical, fingerprint
from simulator.sessions.course import CourseSpec
from simulator.studies.plan import Plan

Row = dict[str, Any]


def persona_rows(plan: Plan) -> Iterator[Row]:
    """Rows of the table `personas`; the whole persona stands in `document`."""
    for persona in plan.personas:
        document = persona.model_dump(mode="json")
        yield {
            "persona_id": persona.id,
            "name": persona.identity.name,
            "fingerprint": fingerprint(document),
            "population": persona.provenance.population,
            "age": persona.identity.age,
            "gender": persona.identity.gender,
            "adolescent": persona.adolescent,
            "high_risk": persona.high_risk,
            "problem": persona.problem.domain,
            "licence": persona.licence,
            "provenance": persona.provenance.kind,
            "document": canonical(document).decode(),
        }


def _source_of(spec: CourseSpec) -> str | None:
    """`course:session` of the recording that a course was made from; None where there is none."""
    for given in spec.memory.values():
        return str(given["source"])
    return None


def course_rows(specs: Iterable[CourseSpec], origin: str) -> Iterator[Row]:
    """Rows of the table `courses`, without what only the journal knows."""
    for spec in specs:
        yield {
            "course_id": spec.course,
            "condition": spec.condition,
            "client": spec.chairs.get("client"),
            "therapist": spec.chairs.get("therapist"),
            "persona_id": None if spec.persona is None else spec.persona.id,
            "replicate": spec.replicate,
            "pairing_key": spec.pairing_key,
            "cluster": spec.cluster or (None if spec.persona is None else spec.persona.id),
            "stratum": spec.stratum,
            "origin": origin,
            "source": _source_of(spec),
        }
