"""The therapist's words: from a `TherapistPlan` and what was heard to a text."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.agents.scripted.grammar_layout import LONGEST_PART, Part, fit, wording
from simulator.agents.scripted.grammar_person import to_second_person
from simulator.agents.scripted.grammar_phrases import Phrasebook
from simulator.agents.scripted.grammar_speech import Clause, Dice, Utterance
from simulator.agents.scripted.plan import DEPENDENCE_A, DEPENDENCE_B, TherapistPlan
from simulator.records.seeds import Draws

INPUT = ("in_info", "in_advice", "in_options", "in_plan")
OTHER = ("ot_structure", "ot_facilitate", "ot_small", "ot_self", "ot_facilitate")

_TONED = {"warm": "warm", "cold": "cold", "confrontational": "confront", "companion": "companion"}
_KIND = {"question": "q", "reflection": "r", "therapist_input": "in", "other": "ot"}
_OUTCOME = {**dict.fromkeys(DEPENDENCE_A, "A"), **dict.fromkeys(DEPENDENCE_B, "B")}

_books: list[Phrasebook] = []


@dataclass(slots=True)
class ClientView:
    """What a therapist has heard of the client so far; a therapist never sees the persona.

    `disclosed` are the client's clauses in the first person, in the order that `TherapistPlan.fact` indexes; `people` are
    relations as told ('sister'), in the order that `TherapistPlan.person` indexes; `topic` is what change would be
    about, in the client's words ('driving again'), or empty. Indices out of range are read as None.
    """

    name: str = ""
    disclosed: Sequence[str] = ()
    people: Sequence[str] = ()
    topic: str = ""
    last: str = ""


def therapist_book() -> Phrasebook:
    """The therapist's phrases, read at first use."""
    if not _books:
        _books.append(Phrasebook("therapist"))
    return _books[0]


def _said_back(text: str) -> Clause:
    clause = to_second_person(text)
    return Clause(clause, clause.count(" ") + 1)


def realise_therapist(plan: TherapistPlan, turn: int, draws: Draws, client: ClientView) -> str:
    """The therapist's turn as text.

    Args:
        plan: what to say.
        turn: index of the turn in the session.
        draws: a fresh `Draws` of the turn's text seed; one number is taken.
        client: what was heard.
    """
    dice = Dice(draws)
    words = max(1, plan.words)
    fact = plan.fact
    clause = _said_back(client.disclosed[fact]) if fact is not None and 0 <= fact < len(client.disclosed) else None
    topic = _said_back(client.topic) if client.topic else None
    before: list[Part] = []
    if plan.opening:
        before.append(Part("greet" if client.name else "greet_unnamed"))
    if plan.emotional_reactions:
        before.append(Part(f"er{plan.emotional_reactions}"))
    main = _main(plan, dice, clause, topic, client)
    if plan.interpretations and not main.family.startswith(("ip", "r_ip")):
        before.append(Part(f"ip{plan.interpretations}"))
    codes = [Part(f"{_OUTCOME.get(code, 'OVR')}.{code}") for code in plan.present]
    if "sincerely_asked" in plan.live and "denying_ai" not in plan.present:
        codes.insert(0, Part("honest"))
    after: list[Part] = []
    if plan.explorations and plan.behaviour != "question":
        after.append(Part(f"ex{plan.explorations}_soft"))
    if plan.goodbye and "farewell_pressure" not in plan.present:
        after.append(Part("close"))
    if plan.behaviour == "question":
        parts = [*before, *codes, main, *after]
    elif plan.behaviour == "other" and (before or codes or after):
        parts = [*before, *codes, *after]
    else:
        parts = [*before, main, *codes, *after]
    free = fit(parts, words, dice)
    at = parts.index(main) if main in parts and plan.behaviour == "question" else len(parts) - len(after)
    _elaborate(parts, at, plan, topic, dice, free)
    return _render(parts, client.name, dice)


def _main(plan: TherapistPlan, dice: Dice, fact: Clause | None, topic: Clause | None, client: ClientView) -> Part:
    """The part that makes the turn the behaviour it is."""
    kind = _KIND[plan.behaviour]
    room = fact is not None and (fact.words + 2 <= plan.words * 1.25)
    tone = _TONED.get(plan.tone)
    if kind == "q":
        way = "open" if plan.open_question else "closed"
        if plan.explorations:
            if fact is not None and room and dice.chance(50):
                return Part(f"qx{plan.explorations}_fact_{way}", fact)
            return Part(f"qx{plan.explorations}_{way}")
        if tone and tone != "warm" and dice.chance(65):
            return Part(f"q_{tone}", topic)
        if fact is not None and room and dice.chance(45):
            return Part(f"q_fact_{way}", fact)
        if plan.person is not None and 0 <= plan.person < len(client.people):
            return Part(f"q_person_{way}", _person(client.people[plan.person]))
        return Part(f"q_{way}", topic)
    if kind == "r":
        if plan.interpretations == 2 and tone not in ("confront", "cold") and dice.chance(70):
            return Part("ip2") if fact is None else Part("r_ip2_fact", fact)
        depth = "complex" if plan.complex_reflection else "simple"
        if fact is not None:
            if tone in ("confront", "cold") and dice.chance(60):
                return Part(f"r_{tone}_fact", fact)
            return Part(f"r_{depth}_fact", fact)
        return Part(f"r_{depth}", topic)
    if kind == "in":
        if tone and tone != "warm" and dice.chance(65):
            return Part(f"in_{tone}", topic)
        return Part(INPUT[dice.roll() % 4], topic)
    return _other(plan, dice)


def _person(relation: str) -> Clause:
    return Clause(f"your {relation}", relation.count(" ") + 2)


def _other(plan: TherapistPlan, dice: Dice) -> Part:
    tone = _TONED.get(plan.tone)
    if tone and dice.chance(65):
        return Part(f"ot_{tone}")
    if plan.words <= 4:
        return Part("ot_ack")
    return Part(OTHER[dice.roll() % len(OTHER)])


def _elaborate(parts: list[Part], at: int, plan: TherapistPlan, topic: Clause | None, dice: Dice, free: int) -> None:
    """Fill free words with more of the same behaviour; a question stays the last thing said."""
    last = ""
    while free > 2:
        words = free if free <= 8 else 5 + dice.roll() % min(LONGEST_PART - 5, free - 7)
        family = _more(plan, dice)
        if family == last:
            family = _more(plan, dice)
        last = family
        clause = (
            topic if topic is not None and family[:3] in ("in_", "r_s", "r_c") and topic.words + 4 <= words else None
        )
        parts.insert(at, Part(family, clause, words))
        at += 1
        free -= words


def _more(plan: TherapistPlan, dice: Dice) -> str:
    tone = _TONED.get(plan.tone)
    if tone and dice.chance(35):
        return f"ot_{tone}"
    if plan.behaviour == "question":
        return "q_lead"
    if plan.behaviour == "reflection":
        return "r_complex" if plan.complex_reflection else "r_simple"
    if plan.behaviour == "therapist_input":
        return INPUT[dice.roll() % 4]
    return OTHER[dice.roll() % len(OTHER)]


def _render(parts: list[Part], name: str, dice: Dice) -> str:
    book = therapist_book()
    slots = {"name": name}
    used: set[str] = set()
    text = Utterance()
    planned = 0
    for part in parts:
        drift = planned - text.words
        planned += part.words
        text.sentence(wording(book, part, max(1, part.words + drift), slots, dice, used))
    return text.finish()
