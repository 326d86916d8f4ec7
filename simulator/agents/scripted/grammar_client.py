"""The client's words: from a `ClientPlan` and a persona to a text in the persona's manner."""

from simulator.agents.scripted.grammar_layout import LONGEST_PART, Part, fit, wording
from simulator.agents.scripted.grammar_speech import Dice, Utterance, Voice, voice_of
from simulator.agents.scripted.plan import ClientPlan
from simulator.personas.schema import Persona
from simulator.records.seeds import Draws

CHANGE = ("ch_desire", "ch_ability", "ch_reason", "ch_need", "ch_commit", "ch_step")
SUSTAIN = ("su_wish", "su_cannot", "su_fine", "su_cost", "su_wont")
NEUTRAL = ("ne_week", "ne_state", "ne_unsure", "ne_session", "ne_week", "ne_body")
SHORT = 5
"""Turns of this many words or fewer take their wording from the families of short answers."""

_WH = ("what", "how", "why", "when", "where", "who", "which", "tell")


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
    words = max(1, plan.words)
    parts = _required(plan, voice, dice, words, heard)
    free = fit(parts, words, dice)
    if free == 0 and words > SHORT:
        _loosen(parts, dice)
    _elaborate(parts, plan, voice, dice, free)
    return _render(parts, voice, dice, words)


def _required(plan: ClientPlan, voice: Voice, dice: Dice, words: int, heard: str) -> list[Part]:
    """The parts without which the plan would not be realised, in the order of speaking."""
    parts: list[Part] = []
    short = words <= SHORT
    if plan.opening:
        parts.append(Part("greet", None, min(words, 2 + dice.roll() % 3), fixed=True))
        if words >= 9 and plan.fact is None:
            parts.append(Part("intro", voice.short))
    if plan.agree:
        parts.append(Part("agree"))
    if plan.thank:
        parts.append(Part("thank"))
    parts += [Part(f"C.{code}") for code in plan.present]
    live = plan.live
    if live:
        if "sincerely_asked" in live:
            parts.append(Part("live.sincerely_asked"))
        if "outside_support" in live:
            parts.append(Part("live.outside_support", voice.people[(plan.person or 0) % len(voice.people)]))
        if "risk" in live:
            parts.append(Part("live.risk"))
        if "warmth_called" in live and not plan.present:
            parts.append(Part("live.warmth_called"))
        if "distress" in live and plan.sensitive is None and not short:
            parts.append(Part("feel_hi"))
    if plan.sensitive is not None:
        clause = voice.sensitive[plan.sensitive % len(voice.sensitive)]
        parts.append(Part("sens_new" if plan.new else "sens_again", clause))
    if plan.fact is not None:
        clause = voice.facts[plan.fact % len(voice.facts)]
        parts.append(Part("fact_new" if plan.new else "fact_again", clause))
    if plan.person is not None and "outside_support" not in live and not short:
        parts.append(Part("person", voice.people[plan.person % len(voice.people)]))
    leaving = plan.goodbye or "departure" in live
    if plan.talk == "change":
        parts.append(Part("ch_short") if short else Part(CHANGE[dice.roll() % len(CHANGE)], voice.target))
    elif plan.talk == "sustain":
        parts.append(Part("su_short") if short else Part(SUSTAIN[dice.roll() % len(SUSTAIN)], voice.target))
    elif not parts and not leaving:
        parts.append(Part(_neutral_family(plan, dice, short, heard)))
    for part in parts:
        if part.family[:3] in ("ch_", "su_") and part.clause is not None and dice.chance(55):
            part.clause = None
    if leaving:
        parts.append(Part("bye"))
    return parts


def _neutral_family(plan: ClientPlan, dice: Dice, short: bool, heard: str) -> str:
    if not short:
        if plan.answers_question and dice.chance(40):
            return "ne_answer"
        return NEUTRAL[dice.roll() % len(NEUTRAL)]
    asked = heard.rstrip().endswith("?")
    if not (asked or plan.answers_question):
        return "ne_short_ack"
    question = heard[max(heard.rfind(". "), heard.rfind(", ")) + 1 :].split(None, 1)
    return "ne_short_wh" if question and question[0].lower().startswith(_WH) else "ne_short_yn"


def _loosen(parts: list[Part], dice: Dice) -> None:
    """A bare clause of the persona's gets a word before it or a remark behind it, so that it is not told twice alike."""
    if len(parts) != 1 or parts[0].clause is None or parts[0].words > parts[0].clause.words + 1:
        return
    roll = dice.roll() % 10
    if roll < 7:
        parts.insert(0, Part("op", None, 1 + roll % 3, fixed=True))
    if roll >= 4:
        tail = dice.chance(50)
        parts.append(Part("tag" if tail else "after_fact", None, 1 + dice.roll() % 3, tail=tail, fixed=True))


def _elaborate(parts: list[Part], plan: ClientPlan, voice: Voice, dice: Dice, free: int) -> None:
    """Fill free words with further parts of the same kind of talk; a goodbye stays last."""
    at = len(parts) - 1 if parts and parts[-1].family == "bye" else len(parts)
    if free and at and parts[0].family != "greet" and free <= 4 + dice.roll() % 6 and dice.chance(60):
        n = min(free, 1 + dice.roll() % 3)
        parts.insert(0, Part("op", None, n, fixed=True))
        free -= n
        at += 1
    last = ""
    while free > 0:
        if free <= 2:
            if at and parts[at - 1].family not in ("bye", "greet"):
                parts.insert(at, Part("tag", None, free, tail=True))
            return
        words = free if free <= 7 else 4 + dice.roll() % min(LONGEST_PART - 4, free - 6)
        family = _more(plan, dice)
        if family == last:
            family = _more(plan, dice)
        last = family
        clause = None
        if family == "thought":
            clause = voice.thoughts[dice.roll() % len(voice.thoughts)]
        elif family == "trigger":
            clause = voice.triggers[dice.roll() % len(voice.triggers)]
        elif family == "goal":
            clause = voice.goals[dice.roll() % len(voice.goals)]
        elif family == "ne_since":
            clause = voice.for_duration
        elif family[:3] in ("ch_", "su_") and dice.chance(25):
            clause = voice.target
        if clause is not None:
            if clause.words + 2 > free:
                if family in ("thought", "trigger", "goal", "ne_since"):
                    family = _feeling(plan)
                clause = None
            else:
                words = max(words, clause.words + 2)
        parts.insert(at, Part(family, clause, words))
        at += 1
        free -= words


def _more(plan: ClientPlan, dice: Dice) -> str:
    roll = dice.roll() % 100
    if plan.talk == "change":
        return "goal" if roll < 15 else _feeling(plan) if roll < 22 else CHANGE[roll % len(CHANGE)]
    if plan.talk == "sustain":
        return _feeling(plan) if roll < 15 else SUSTAIN[roll % len(SUSTAIN)]
    if plan.fact is not None or plan.sensitive is not None:
        if roll < 40:
            return "after_fact"
        if roll < 52:
            return "thought"
        if roll < 64:
            return "trigger"
        if roll < 72:
            return "ne_since"
        return _feeling(plan)
    return _feeling(plan) if roll < 30 else NEUTRAL[roll % len(NEUTRAL)]


def _feeling(plan: ClientPlan) -> str:
    return "feel_hi" if plan.distress > 0.66 else "feel_lo" if plan.distress < 0.33 else "feel_mid"


def _render(parts: list[Part], voice: Voice, dice: Dice, words: int) -> str:
    book = voice.book
    slots = {"name": voice.first_name}
    used: set[str] = set()
    text = Utterance()
    planned = 0
    filled = False
    for part in parts:
        drift = planned - text.words
        planned += part.words
        aim = max(1, part.words + drift) if not part.fixed else part.words
        if not filled and voice.before and aim > 4 and not part.tail and dice.chance(voice.filler_chance):
            filler = voice.before[dice.roll() % len(voice.before)]
            text.sentence(filler)
            aim = max(1, aim - 1)
            filled = True
        chosen = wording(book, part, aim, slots, dice, used)
        if part.tail:
            text.tail(chosen)
        elif voice.ramble and text.text and dice.chance(45) and not chosen.startswith(("and ", "but ", "so ")):
            text.sentence(chosen, ", and")
        elif voice.terse and chosen.startswith("I ") and part.clause is None and dice.chance(40):
            text.sentence(chosen[2:] if not chosen.startswith(("I am", "I was", "I will", "I would")) else chosen)
        else:
            text.sentence(chosen)
    if voice.after and words > 8 and not filled and text.text[-1] not in "?!" and dice.chance(voice.filler_chance):
        text.tail((voice.habits_after or voice.after)[dice.roll() % len(voice.habits_after or voice.after)])
    return text.finish()
