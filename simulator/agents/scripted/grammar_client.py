"""The client's words: from a `ClientPlan` and a persona to a text in the persona's manner.

What the plan demands is laid out first, in the order of speaking; words that are still free go to more talk of the same
kind, on the same thread where the turn is short. A goodbye stays last.
"""

from simulator.agents.scripted.grammar_layout import LONGEST_PART, Part, fit, wording
from simulator.agents.scripted.grammar_speech import Clause, Dice, Utterance, Voice, voice_of
from simulator.agents.scripted.plan import ClientPlan
from simulator.personas.schema import Persona
from simulator.records.seeds import Draws

CHANGE = ("ch_desire", "ch_ability", "ch_reason", "ch_need", "ch_commit", "ch_step")
SUSTAIN = ("su_wish", "su_cannot", "su_fine", "su_cost", "su_wont")
EVERYDAY = ("ne_week", "ne_week", "ne_body", "ne_week")
REFLECTIVE = ("ne_state", "ne_unsure", "ne_state", "ne_session")

SHORT = 5
"""Turns of this many words or fewer take their wording from the families of short answers."""

STORY = 15
"""From so many free words on, part of a turn may be one longer sentence that hangs together."""

_WH = ("what", "how", "why", "when", "where", "who", "which", "tell")
_STARTS = ("and ", "but ", "so ", "then ", "hi", "hello", "hey", "yeah", "yes", "thank")
_OWN_START = ("greet", "agree", "thank", "bye", "op", "live.risk")
_CLIPPED = frozenset(
    ("slept", "felt", "went", "had", "can't", "couldn't", "don't", "didn't", "tried", "woke", "lost", "ate")
)
"""Second words of sentences whose 'I' a terse speaker drops."""


def realise_client(plan: ClientPlan, persona: Persona, turn: int, draws: Draws, heard: str = "") -> str:
    """The client's turn as text.

    Args:
        plan: what to say; its indices point into the persona's facts, sensitive facts and people.
        persona: whose words they are.
        turn: index of the turn in the session.
        draws: a fresh `Draws` of the turn's text seed; one number is taken.
        heard: the therapist's last turn, so that a short answer suits the question; may be empty.
    """
    voice = voice_of(persona)
    dice = Dice(draws)
    words = plan.words if plan.words > 1 else 1
    parts = _required(plan, voice, dice, words, heard)
    free = fit(parts, words, dice)
    if words > SHORT:
        free = _begin(parts, voice, dice, words, free)
        if free > 0:
            _elaborate(parts, plan, voice, dice, words, free)
    return _render(parts, voice, dice, words)


def _required(plan: ClientPlan, voice: Voice, dice: Dice, words: int, heard: str) -> list[Part]:
    """The parts without which the plan would not be realised, in the order of speaking."""
    parts: list[Part] = []
    short = words <= SHORT
    told, opens = plan.fact is not None or plan.sensitive is not None, False
    if plan.opening:
        parts.append(Part("greet", None, min(words, 2 + dice.roll() % 3), fixed=True))
        if words >= 9 and not told:
            parts.append(Part("intro", voice.short))
    if plan.agree:
        opens = not short and not told and dice.chance(60)
        if not opens:
            parts.append(Part("agree", None, min(words, 1 + told + dice.roll() % 4), fixed=words > SHORT))
    if plan.thank:
        parts.append(Part("thank", None, min(words, 1 + dice.roll() % 5), fixed=words > SHORT))
    for code in plan.present:
        parts.append(Part(f"C.{code}"))
    live = plan.live
    if live:
        _raise_situations(parts, plan, voice, dice, short)
    if plan.sensitive is not None:
        clause = voice.sensitive[plan.sensitive % len(voice.sensitive)]
        parts.append(Part("sens_new" if plan.new else "sens_again", clause))
    if plan.fact is not None:
        clause = voice.facts[plan.fact % len(voice.facts)]
        parts.append(Part("fact_new" if plan.new else "fact_again", clause))
    if plan.person is not None and not short and "outside_support" not in live:
        parts.append(Part("person", voice.people[plan.person % len(voice.people)]))
    leaving = plan.goodbye or "departure" in live
    if plan.talk == "change":
        parts.append(_leaning("ch_short" if short else CHANGE[dice.roll() % len(CHANGE)], short, voice, dice, words))
    elif plan.talk == "sustain":
        parts.append(_leaning("su_short" if short else SUSTAIN[dice.roll() % len(SUSTAIN)], short, voice, dice, words))
    elif not leaving and (not parts or (plan.opening and len(parts) == 1 and words > SHORT)):
        parts.append(Part(_neutral_family(plan, dice, short, heard)))
    if leaving:
        parts.append(Part("bye"))
    if opens:
        parts.insert(0, Part("op_agree", None, 1 + dice.roll() % 2, fixed=True))
    return parts


def _raise_situations(parts: list[Part], plan: ClientPlan, voice: Voice, dice: Dice, short: bool) -> None:
    live = plan.live
    if "sincerely_asked" in live:
        parts.append(Part("live.sincerely_asked"))
    if "outside_support" in live:
        person = voice.people[(plan.person or 0) % len(voice.people)]
        parts.append(Part("live.outside_support", person if plan.person is not None or dice.chance(50) else None))
    if "risk" in live:
        parts.append(Part("live.risk"))
    if "warmth_called" in live and not plan.present and plan.sensitive is None:
        parts.append(Part("live.warmth_called"))
    elif "distress" in live and plan.sensitive is None and not short:
        parts.append(Part("feel_hi"))


def _leaning(family: str, short: bool, voice: Voice, dice: Dice, words: int) -> Part:
    named = not short and voice.target.words + 3 <= words and dice.chance(40)
    return Part(family, voice.target if named else None)


def _neutral_family(plan: ClientPlan, dice: Dice, short: bool, heard: str) -> str:
    if not short:
        if plan.answers_question and dice.chance(40):
            return "ne_answer"
        return (EVERYDAY if dice.chance(45) else REFLECTIVE)[dice.roll() % 4]
    if not (plan.answers_question or heard.rstrip().endswith("?")):
        return "ne_short_ack"
    question = heard[max(heard.rfind(". "), heard.rfind(", ")) + 1 :].split(None, 1)
    return "ne_short_wh" if question and question[0].lower().startswith(_WH) else "ne_short_yn"


def _begin(parts: list[Part], voice: Voice, dice: Dice, words: int, free: int) -> int:
    """Perhaps an opener before, and for tight turns a remark behind; returns the words that are still free.

    One clause alone, or a persona's own clause with nothing round it, would stand alike in many sessions.
    """
    first = parts[0]
    alone = len(parts) == 1
    if alone and first.clause is None and words >= 8 and free < 2:
        cut = 1 + dice.roll() % 3
        first.words -= cut
        free += cut
    tight = alone and first.clause is not None and first.words <= first.clause.words + 1
    may_open = not first.family.startswith(_OWN_START) and (first.clause is None or tight)
    if may_open and (tight or 0 < free <= 6 or dice.chance(25)) and dice.chance(voice.opener_chance):
        n = 1 + dice.roll() % 3
        parts.insert(0, Part("op", None, n, fixed=True))
        free -= n
        if first.clause is not None:
            first.words, first.fixed = first.clause.words, True
        tight = tight and dice.chance(40)
    framed = alone and first.clause is not None and first.words <= first.clause.words + 4 and not first.fixed
    if (tight or (framed and dice.chance(65))) and free < 3:
        tail = dice.chance(50) or not first.family.startswith(("fact", "sens"))
        parts.append(Part("tag" if tail else "after_fact", None, 1 + dice.roll() % 3, tail=tail, fixed=True))
        return 0
    return free


def _elaborate(parts: list[Part], plan: ClientPlan, voice: Voice, dice: Dice, words: int, free: int) -> None:
    """Give the free words to more talk of the same kind."""
    at = len(parts) - 1 if parts[-1].family == "bye" else len(parts)
    feelings = 1 + words // 40
    stories = 1 + words // 70
    named = any(part.clause is voice.target for part in parts)
    thread = _thread(parts, dice)
    last = ""
    while free > 0:
        if free <= 2:
            plain = parts[0].family != "op" or dice.chance(30)
            if plain and at and not parts[at - 1].family.startswith(("bye", "greet", "op")):
                parts.insert(at, Part("tag", None, free, tail=True))
            return
        if free >= STORY and stories and dice.chance(60):
            family, clause, n = _story(plan), None, min(free, STORY + dice.roll() % 16)
            stories -= 1
        else:
            family = _more(plan, dice, thread, feelings > 0)
            if family == last:
                family = _more(plan, dice, thread, feelings > 0)
            clause = _clause_for(family, voice, dice)
            if clause is voice.target:
                clause, named = None if named else clause, True
            if clause is not None and clause.words + 2 > free:
                family, clause = _instead(family, plan, thread, dice), None
            n = free if free <= 8 else 4 + dice.roll() % min(LONGEST_PART - 4, free - 6)
            if clause is not None:
                n = min(free, max(n, clause.words + 2))
        feelings -= family.startswith("feel")
        last = family
        parts.insert(at, Part(family, clause, n))
        at += 1
        free -= n
        if free > 25:
            thread = EVERYDAY if thread is REFLECTIVE else REFLECTIVE if thread is EVERYDAY else thread


def _thread(parts: list[Part], dice: Dice) -> tuple[str, ...]:
    """What neutral talk in this turn is about: everyday things or reflections."""
    for part in parts:
        if part.family in EVERYDAY:
            return EVERYDAY
        if part.family in REFLECTIVE or part.family.startswith(("C.", "live", "feel", "agree")):
            return REFLECTIVE
    return EVERYDAY if dice.chance(40) else REFLECTIVE


def _story(plan: ClientPlan) -> str:
    if plan.talk == "change":
        return "ch_story"
    if plan.talk == "sustain":
        return "su_story"
    return "fact_story" if plan.fact is not None or plan.sensitive is not None else "ne_story"


def _more(plan: ClientPlan, dice: Dice, thread: tuple[str, ...], may_feel: bool) -> str:
    roll = dice.roll() % 100
    if plan.talk == "change":
        return "goal" if roll < 16 else CHANGE[roll % len(CHANGE)]
    if plan.talk == "sustain":
        return SUSTAIN[roll % len(SUSTAIN)]
    if may_feel and (roll < 25 or plan.live or plan.present):
        return _feeling(plan)
    if plan.fact is None and plan.sensitive is None:
        return thread[roll % len(thread)]
    if roll < 50:
        return "after_fact"
    return "thought" if roll < 65 else "trigger" if roll < 80 else "ne_since" if roll < 90 else "after_fact"


def _instead(family: str, plan: ClientPlan, thread: tuple[str, ...], dice: Dice) -> str:
    """What is said where the persona's clause is too long for the room."""
    if plan.talk == "neutral":
        return thread[dice.roll() % len(thread)]
    return (CHANGE if plan.talk == "change" else SUSTAIN)[dice.roll() % 5] if family == "goal" else family


def _feeling(plan: ClientPlan) -> str:
    if plan.distress > 0.66 or "distress" in plan.live or "risk" in plan.live:
        return "feel_hi"
    at_ease = plan.distress < 0.33 and not (plan.live or plan.present or plan.sensitive is not None)
    return "feel_lo" if at_ease else "feel_mid"


def _clause_for(family: str, voice: Voice, dice: Dice) -> Clause | None:
    """The persona's clause that the family is built round, if it is."""
    if family == "thought":
        return voice.thoughts[dice.roll() % len(voice.thoughts)]
    if family == "trigger":
        return voice.triggers[dice.roll() % len(voice.triggers)]
    if family == "goal":
        return voice.goals[dice.roll() % len(voice.goals)]
    if family == "ne_since":
        return voice.for_duration
    return voice.target if family[:3] in ("ch_", "su_") and dice.chance(20) else None


def _render(parts: list[Part], voice: Voice, dice: Dice, words: int) -> str:
    book = voice.book
    slots = {"name": voice.first_name}
    used: set[str] = set()
    text = Utterance()
    planned = 0
    adorned = any(part.family in ("op", "tag", "live.risk") for part in parts)
    joinable = False
    for part in parts:
        aim = part.words
        if not part.fixed:
            aim = max(1, aim + planned - text.words)
        planned += part.words
        if not adorned and aim > 3 and voice.before and dice.chance(voice.filler_chance):
            text.sentence(voice.before[dice.roll() % len(voice.before)])
            aim -= 1
            adorned = True
        chosen = wording(book, part, aim, slots, dice, used)
        if part.tail:
            if text.text[-1] != "?":
                text.tail(chosen)
        elif joinable and dice.chance(voice.joiner_chance) and _joins(text.text, chosen):
            text.sentence(chosen, ", and")
        elif voice.terse and part.clause is None and dice.chance(50):
            text.sentence(_clipped(chosen))
        else:
            text.sentence(chosen)
        joinable = not part.family.startswith(_OWN_START)
    ends = voice.habits_after or voice.after
    if ends and not adorned and words > 6 and text.text[-1] not in "?!" and dice.chance(voice.filler_chance):
        text.tail(ends[dice.roll() % len(ends)])
    return text.finish()


def _joins(text: str, clause: str) -> bool:
    return text[-1] not in ".?!," and clause[-1] != "?" and not clause.startswith(_STARTS)


def _clipped(clause: str) -> str:
    """'I slept badly' as a terse speaker says it: 'slept badly'."""
    pieces = clause.split(" ", 2)
    return clause[2:] if pieces[0] == "I" and len(pieces) > 2 and pieces[1] in _CLIPPED else clause
