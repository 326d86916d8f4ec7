"""Giving instruments to stored or imported sessions afterwards: a model answers for a client, therapist or observer.

Each item is asked by itself behind one shared prefix (framing and transcript), or, with the layout `form`, all items of
an instrument at once. The first request of a session is awaited before its siblings are sent, so that the server finds
the prefix in its cache. Order of items and of options follow from the seed.

Answers are kept in `administered/<name>/` of the run's folder as they come (`AnswerLog`). The same command goes on from
there and asks nothing that was answered: an answer's key is made of all that can change it (transcript, instrument,
item, form, respondent, persona, prompts, model, seed). When all is answered the tables are written from the kept
answers, in the order of the sessions.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from simulator.agents.prompting import FOLDER, content_of, load_prompt
from simulator.agents.questionnaires import ask_item
from simulator.agents.whole_form import FORM_PROMPT, ask_form
from simulator.errors import SessionError, UserError
from simulator.instruments.schema import Instrument, Item
from simulator.instruments.scoring import adaptation
from simulator.models.clients import ModelClients
from simulator.models.handle import CallLog, SeatedModelClient, Usage
from simulator.models.messages import Message
from simulator.records.fingerprints import fingerprint
from simulator.records.journal_records import Administration, Answer
from simulator.records.seeds import session_key, turn_seed
from simulator.records.text import transcript_fingerprint
from simulator.store.answers import AnswerLog
from simulator.store.compaction import answer_rows, score_rows
from simulator.store.parquet import TableWriter
from simulator.store.reading import read_table
from simulator.store.runs import open_run
from simulator.studies.chairs import counted_model
from simulator.studies.recordings import Recorded, recorded_sessions

Respondent = Literal["client", "therapist", "observer"]
Layout = Literal["items", "form"]
SESSIONS_AT_ONCE = 8
"""Sessions whose items are asked at the same time."""


@dataclass(frozen=True, slots=True)
class Given:
    """One instrument to be given: in which form, and whether departures from its rules are meant."""

    instrument: Instrument
    form: str
    adapted: bool = False


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What is asked of whom. `name` tells apart what several models answered; it stands in the column `moment`."""

    given: Sequence[Given]
    model: Mapping[str, object]
    name: str
    respondent: Respondent = "client"
    seed: int = 0
    layout: Layout = "items"
    """Every item by itself, or all items of an instrument in one request."""


@dataclass(slots=True)
class Tally:
    """What a call of `administer_run` did."""

    sessions: int = 0
    answers: int = 0
    asked: int = 0
    missing: int = 0
    usage: Usage = field(default_factory=Usage)


def administer_run(folder: Path, asked: Afterwards) -> Tally:
    """Have every session of a run or an import rated, and write what was answered into its tables.

    Raises:
        UserError: no such run, an instrument that does not belong here and is not marked adapted, a respondent that it
            does not know, or a model that has no answer (what was answered is kept; the same command goes on).
    """
    run = open_run(folder)
    days = _days(folder)
    _check(asked, days)
    tally = Tally()
    with AnswerLog(run.path / "administered" / asked.name) as kept:
        try:
            asyncio.run(_ask_all(folder, asked, kept, tally))
        except SessionError as error:
            raise UserError(f"dyad administer: {error}; what was answered is kept, the same command goes on") from None
    for given in asked.given:
        part = _part(asked, given)
        with (
            TableWriter(run.dataset, "administrations", part) as answers,
            TableWriter(run.dataset, "scores", part) as scores,
        ):
            for recorded in recorded_sessions(folder):
                filled = _filled(asked, given, recorded, days, kept.known)
                answers.extend(answer_rows(filled))
                scores.extend(score_rows(filled, given.instrument))
                tally.answers += len(filled.answers)
                tally.missing += sum(answer.value is None for answer in filled.answers)
    tally.sessions = sum(1 for _ in recorded_sessions(folder))
    return tally


def _part(asked: Afterwards, given: Given) -> str:
    """The file of the tables that holds these answers: what else was administered under the same name stays."""
    words = (asked.respondent, given.instrument.name, given.form)
    return "-".join(["administered", asked.name, *(re.sub(r"[^A-Za-z0-9]+", "_", word) for word in words)])


def lead_of(asked: Afterwards, recorded: Recorded) -> Message:
    """What all items about a session share: framing, the persona where the client answers, the transcript."""
    persona = recorded.persona.model_dump_json() if asked.respondent == "client" and recorded.persona else None
    text = load_prompt(FOLDER / "administer.jinja", ("system",)).render(
        "system",
        respondent=asked.respondent,
        persona=persona,
        turns=[(turn.role, turn.text) for turn in recorded.turns],
    )
    return Message("system", text)


@dataclass(frozen=True, slots=True)
class Place:
    """What one request asks: an item, or all of an instrument (`item` is None)."""

    given: Given
    item: Item | None
    seed: int


def places_of(asked: Afterwards, recorded: Recorded) -> list[Place]:
    """All requests about a session with their seeds, in the order in which they are sent."""
    base = session_key(f"{asked.seed}:{asked.name}:{recorded.course['course_id']}", recorded.session)

    def place(given: Given, item: Item | None) -> Place:
        purpose = f"administration:{given.instrument.name}" + (f":{item.id}" if item is not None else "")
        return Place(given, item, turn_seed(base, -1, asked.respondent, purpose))

    if asked.layout == "form":
        places = [place(given, None) for given in asked.given]
    else:
        places = [place(given, item) for given in asked.given for item in given.instrument.items_of(given.form)]
    return sorted(places, key=lambda place: place.seed)


async def _ask_all(folder: Path, asked: Afterwards, kept: AnswerLog, tally: Tally) -> None:
    clients = ModelClients()
    try:
        client = clients.get(asked.model, "model")
        await clients.check()
        log = CallLog()

        async def one(recorded: Recorded) -> None:
            affinity = f"administer:{recorded.name}"
            seated = SeatedModelClient(client, lambda *_: asked.seed, asked.respondent, log, True, affinity)
            await _ask_session(asked, recorded, seated, kept, tally)

        sessions = recorded_sessions(folder)
        while batch := list(islice(sessions, SESSIONS_AT_ONCE)):
            await asyncio.gather(*map(one, batch))
            for call in log.take():
                tally.usage.take(call)
    finally:
        await clients.close()


async def _ask_session(
    asked: Afterwards, recorded: Recorded, model: SeatedModelClient, kept: AnswerLog, tally: Tally
) -> None:
    lead, shared = lead_of(asked, recorded), _shared_key(asked, recorded)
    person: Literal["first", "third"] = "third" if asked.respondent == "observer" else "first"

    who = f"the {asked.respondent}"

    async def one(place: Place) -> None:
        instrument, form = place.given.instrument, place.given.form
        if place.item is None:
            answers = await ask_form(model, [lead], who, instrument, form, place.seed, person=person)
        else:
            item = await ask_item(
                model, [lead], who, instrument, place.item, form, place.seed, person=person, order="shuffled"
            )
            answers = [item]
        for answer in answers:
            answer.seed = place.seed
        kept.put(_key(shared, place), msgspec.to_builtins(answers))
        tally.asked += len(answers)

    waiting = [place for place in places_of(asked, recorded) if _key(shared, place) not in kept.known]
    if waiting:
        await one(waiting[0])  # the prefix has to be in the server's cache before the others are sent
        await asyncio.gather(*map(one, waiting[1:]))


def _shared_key(asked: Afterwards, recorded: Recorded) -> str:
    of_layout = FORM_PROMPT if asked.layout == "form" else "item.jinja"
    prompts = [content_of(FOLDER / name) for name in ("administer.jinja", of_layout)]
    return fingerprint(
        {
            "transcript": transcript_fingerprint((turn.role, turn.text) for turn in recorded.turns),
            "persona": recorded.persona.model_dump(mode="json") if recorded.persona else None,
            "respondent": asked.respondent, "model": counted_model(asked.model, "model"), "prompts": prompts,
            "version": 2,
        }
    )  # fmt: skip


def _key(shared: str, place: Place) -> str:
    item = None if place.item is None else place.item.id
    return fingerprint([shared, place.given.instrument.fingerprint, place.given.form, item, str(place.seed)])


def _filled(
    asked: Afterwards, given: Given, recorded: Recorded, days: Mapping[tuple[str, int], float],
    answers: Mapping[str, Any],
) -> Administration:  # fmt: skip
    shared = _shared_key(asked, recorded)
    found = {
        answer.item: answer
        for place in places_of(asked, recorded)
        if place.given is given
        for answer in msgspec.convert(answers[_key(shared, place)], list[Answer])
    }
    course = str(recorded.course["course_id"])
    return Administration(
        course, recorded.session, f"afterwards ({asked.name})", given.instrument.name, given.instrument.version,
        given.form, given.instrument.wording, asked.respondent,
        [found[item.id] for item in given.instrument.items_of(given.form)],
        days.get((course, recorded.session), 0.0), given.adapted,
    )  # fmt: skip


def _days(folder: Path) -> dict[tuple[str, int], float]:
    rows = read_table(folder, "sessions", ["course_id", "session", "day"]).sort("course_id", "session").iter_rows()
    return {(course, session): day or 0.0 for course, session, day in rows}


def _check(asked: Afterwards, days: Mapping[tuple[str, int], float]) -> None:
    for given in asked.given:
        known = given.instrument.respondents
        if asked.respondent not in known:
            raise UserError(
                f"dyad administer: {given.instrument.name} is for {', '.join(known)}, not for {asked.respondent}"
            )
        given.instrument.form(given.form)
        if given.adapted:
            continue
        for apart in _intervals(days):
            reason = adaptation(given.instrument, "session_end", apart)
            if reason is not None:
                raise UserError(f"dyad administer: {reason}; set adapted=true, and every score carries the mark")


def _intervals(days: Mapping[tuple[str, int], float]) -> Iterator[float | None]:
    """Days between neighbouring sessions of a course, None for the first."""
    last: tuple[str, float] | None = None
    for (course, _), day in days.items():
        yield day - last[1] if last is not None and last[0] == course else None
        last = course, day
