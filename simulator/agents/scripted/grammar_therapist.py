"""The therapist's words: from a `TherapistPlan` and what was heard to a text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.agents.scripted.grammar_layout import LEAST_PART, LONGEST_PART, Part, fit, wording
from simulator.agents.scripted.grammar_person import first_clause, to_second_person
from simulator.agents.scripted.grammar_phrases import Phrasebook
from simulator.agents.scripted.grammar_speech import Clause, Dice, Utterance
from simulator.agents.scripted.plan import DEPENDENCE_A, DEPENDENCE_B, TherapistPlan
from simulator.records.seeds import Draws

INPUT = ("in_info", "in_plan", "in_advice", "in_options")
OTHER = (
    "ot_facilitate", "ot_structure", "ot_facilitate", "ot_self", "ot_facilitate", "ot_structure", "ot_small",
    "ot_facilitate", "ot_structure",
)  # fmt: skip
TOPIC_CHANCE, TONE_CHANCE, WARM_CHANCE = 35, 65, 30
"""In how many of 100 turns the topic of change may be named, and a tone (or the warm one) decides the wording."""

HABIT_FROM, HABIT_WORDS = 6, 2
"""Turns of so many words or more may begin in the habitual way, which has about so many."""

_BEGINNING = re.compile(r"^(?:(?:okay|right|mm|yes|well|all right|good|so), (?:so )?|and |so (?!far|much|little))")
"""What a sentence begins with that a habitual beginning stands in for."""

_TONED = {"warm": "warm", "cold": "cold", "confrontational": "confront", "companion": "companion"}
_OUTCOME = {**dict.fromkeys(DEPENDENCE_A, "A"), **dict.fromkeys(DEPENDENCE_B, "B")}

_books: list[Phrasebook] = []


@dataclass(slots=True)
class ClientView:
    """What a therapist has heard of the client so far; a therapist never sees the persona.

    `disclosed` are the client's clauses in the first person, in the order that `TherapistPlan.fact` indexes; `people`
    are relations as told ('sister'), in the order that `TherapistPlan.person` indexes; `topic` is what change would be
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


def said_back(disclosure: str) -> str:
    """What every turn that says a disclosure back holds of it: its first clause in the second person, in lower case."""
    return to_second_person(first_clause(disclosure)).lower()


def _pick_up(text: str, words: int) -> Clause | None:
    """The disclosure as it is said back in a turn of `words` words: whole, its first clause, or not at all."""
    room = 1.25 * words - 1
    clause = _said_back(text)
    if clause.words > room:
        clause = _said_back(first_clause(text))
    return clause if clause.words <= room + 2 else None


def realise_therapist(plan: TherapistPlan, turn: int, draws: Draws, client: ClientView) -> str:
    """The therapist's turn as text.

    Args:
        plan: what to say.
        turn: index of the turn in the session.
        draws: a fresh `Draws` of the turn's text seed; one number is taken.
        client: what was heard.
    """
    dice = Dice(draws)
    words = plan.words if plan.words > 1 else 1
    fact = plan.fact
    clause = _pick_up(client.disclosed[fact], words) if fact is not None and 0 <= fact < len(client.disclosed) else None
    topic = _said_back(client.topic) if client.topic and dice.chance(TOPIC_CHANCE) else None
    if topic is not None and topic.words + 5 > words:
        topic = None
    main = _main(plan, dice, clause, topic, client)
    before = _before(plan, main, client)
    after: list[Part] = []
    if plan.explorations and plan.behaviour != "question":
        after.append(Part(f"ex{plan.explorations}_soft"))
    if plan.goodbye and "farewell_pressure" not in plan.present:
        after.append(Part("close"))
    if plan.checks and plan.behaviour != "question" and (before or main.family != "ck_short"):
        tag = dice.chance(55)
        family = "ck_tag" if tag else f"ck_{plan.behaviour}"
        after.append(Part(family, None, 1 + dice.roll() % (2 if tag else 5), tail=tag, fixed=True))
    if plan.behaviour == "question":
        parts = [*before, main, *after]
        at = len(before)
    elif plan.behaviour == "other" and (before or plan.explorations or plan.goodbye):
        parts = [*before, *after]
        at = len(before)
    else:
        parts = [main, *before, *after] if before and dice.chance(30) else [*before, main, *after]
        at = len(parts) - len(after)
    if main.clause is topic:
        topic = None
    free = fit(parts, words, dice)
    if free > 2:
        _elaborate(parts, at, plan, client, topic, dice, free)
    if plan.habit is not None and words >= HABIT_FROM and not plan.opening:
        _begin(parts)
    return _render(parts, plan.habit or 0, client.name, dice)


def _before(plan: TherapistPlan, main: Part, client: ClientView) -> list[Part]:
    """What is said beside the behaviour: greeting, empathy, an honest answer, codes of the dependence set."""
    parts: list[Part] = []
    if plan.opening:
        parts.append(Part("greet" if client.name else "greet_unnamed"))
    if plan.emotional_reactions:
        parts.append(Part(f"er{plan.emotional_reactions}"))
    if plan.interpretations and not main.family.startswith(("ip", "r_ip")):
        parts.append(Part(f"ip{plan.interpretations}"))
    if "sincerely_asked" in plan.live and "denying_ai" not in plan.present:
        parts.append(Part("honest"))
    for code in plan.present:
        parts.append(Part(f"{_OUTCOME.get(code, 'OVR')}.{code}"))
    return parts


def _main(plan: TherapistPlan, dice: Dice, fact: Clause | None, topic: Clause | None, client: ClientView) -> Part:
    """The part that makes the turn the behaviour it is."""
    tone = _tone(plan)
    harsh = tone if tone != "warm" and dice.chance(TONE_CHANCE) else None
    if plan.behaviour == "question":
        return _question(plan, dice, fact, topic, client, harsh)
    if plan.behaviour == "reflection":
        if plan.interpretations == 2 and harsh not in ("confront", "cold") and dice.chance(70):
            return Part("ip2") if fact is None else Part("r_ip2_fact", fact)
        depth = "complex" if plan.complex_reflection else "simple"
        if fact is None:
            return Part(f"r_{depth}", topic)
        return Part(f"r_{harsh if harsh in ('confront', 'cold') else depth}_fact", fact)
    if plan.behaviour == "therapist_input":
        return Part(f"in_{harsh}" if harsh else _input(plan, dice), topic)
    if plan.words <= 2 and plan.checks:
        return Part("ck_short")
    if plan.words <= 2 and plan.habit is not None:
        return Part("habit_short")
    if tone and plan.words > 2 and dice.chance(TONE_CHANCE if tone != "warm" else WARM_CHANCE):
        return Part(f"ot_{tone}")
    return Part("ot_ack" if plan.words <= 4 else OTHER[dice.roll() % len(OTHER)])


def _tone(plan: TherapistPlan) -> str | None:
    """The tone's name in the families; a cold tone where warmth is called for would be a code, and is not one here."""
    return None if plan.tone == "cold" and "warmth_called" in plan.live else _TONED.get(plan.tone)


def _input(plan: TherapistPlan, dice: Dice) -> str:
    """Where support from outside is in play, advice and options might speak for it, which is a code of its own."""
    return INPUT[dice.roll() % (2 if "outside_support" in plan.live else len(INPUT))]


def _question(
    plan: TherapistPlan, dice: Dice, fact: Clause | None, topic: Clause | None, client: ClientView, harsh: str | None
) -> Part:
    way = "open" if plan.open_question else "closed"
    told = fact if fact is not None and fact.words + 3 <= plan.words * 1.25 and dice.chance(50) else None
    if plan.explorations:
        return Part(f"qx{plan.explorations}_{way}") if told is None else Part(f"qx{plan.explorations}_fact_{way}", told)
    if harsh:
        return Part(f"q_{harsh}", topic)
    if told is not None:
        return Part(f"q_fact_{way}", told)
    if plan.person is not None and 0 <= plan.person < len(client.people):
        relation = client.people[plan.person]
        return Part(f"q_person_{way}", Clause(f"your {relation}", relation.count(" ") + 2))
    return Part(f"q_{way}", topic)


def _elaborate(
    parts: list[Part], at: int, plan: TherapistPlan, client: ClientView, topic: Clause | None, dice: Dice, free: int
) -> None:
    """Give the free words to more of the same behaviour; a question stays the last thing said."""
    last = ""
    also = plan.also if plan.also is not None and 0 <= plan.also < len(client.disclosed) else None
    while free > 2:
        n = free if free <= 9 else 5 + dice.roll() % min(LONGEST_PART - 3, free - 7)
        family = _more(plan, dice)
        if family == last:
            family = _more(plan, dice)
        last = family
        clause = None
        if family in ("r_simple", "r_complex") and also is not None and dice.chance(50):
            back, also = _said_back(client.disclosed[also]), None
            if back.words + 2 <= free:
                family, clause = f"{family}_fact", back
                n = min(free, back.words + 2 + dice.roll() % 5)
        elif topic is not None and family in INPUT and topic.words + 4 <= free:
            n = max(n, topic.words + 4)
            clause, topic = topic, None
        parts.insert(at, Part(family, clause, n))
        at += 1
        free -= n


def _begin(parts: list[Part]) -> None:
    """Begin the turn in the speaker's habitual way, at the cost of the part that follows."""
    first = parts[0]
    if first.clause is None and not first.fixed:
        first.words = max(LEAST_PART, first.words - HABIT_WORDS)
    parts.insert(0, Part("habit_long", None, HABIT_WORDS, fixed=True))


def _more(plan: TherapistPlan, dice: Dice) -> str:
    tone = _tone(plan)
    if plan.present and plan.behaviour == "other":
        insistent = "farewell_pressure" in plan.present or "refers_at_risk" in plan.present
        if insistent or dice.chance(50):
            code = plan.present[dice.roll() % len(plan.present)]
            return f"{_OUTCOME.get(code, 'OVR')}.{code}"
    if plan.goodbye:
        return "ot_closing" if tone is None or dice.chance(60) else f"ot_{tone}"
    if tone and dice.chance(40 if tone != "warm" else 20):
        return f"ot_{tone}"
    if plan.behaviour == "question":
        return "q_lead" if dice.chance(70) else "ot_facilitate"
    if plan.behaviour == "reflection":
        return "r_complex" if plan.complex_reflection else "r_simple"
    if plan.behaviour == "therapist_input":
        return _input(plan, dice)
    if plan.opening:
        return "ot_begin"
    if plan.present or plan.live:
        return "ot_facilitate"
    return OTHER[dice.roll() % len(OTHER)]


def _render(parts: list[Part], habit: int, name: str, dice: Dice) -> str:
    book = therapist_book()
    slots = {"name": name}
    used: set[str] = set()
    text = Utterance()
    planned = 0
    for part in parts:
        aim = part.words + planned - text.words
        planned += part.words
        if part.family.startswith("habit"):
            ways = book[part.family].wordings()
            text.sentence(ways[habit % len(ways)])
            continue
        chosen = wording(book, part, part.words if part.fixed else max(aim, 1), slots, dice, used)
        if part.tail:
            text.tail(chosen)
        else:
            text.sentence(_BEGINNING.sub("", chosen) if text.text.endswith(",") else chosen)
    return text.finish()
