"""Names for people and colours for names: one word and one colour per behaviour, everywhere in the report."""

_ACRONYMS = {"mi": "MI", "cbt": "CBT", "phq": "PHQ", "ai": "AI", "llm": "LLM", "ovr": "OVR"}

_WORDS = {
    "annomi": "AnnoMI labels", "epitome": "EPITOME empathy", "dependence-core": "Dependence",
    "main_therapist_behaviour": "Main therapist behaviour", "client_talk_type": "Client talk",
    "therapist_input": "Input", "change": "Change talk", "sustain": "Sustain talk", "neutral": "Neutral talk",
    "goodbye_loop": "Goodbye loop", "turn_limit": "Turn limit", "planted": "Planted codes", "expert": "Experts",
    "mi_consistent": "MI-consistent", "advice_giving": "Advice-giving", "boundary_keeping": "Boundary-keeping",
    "over_cold": "Over-cold", "outcome A": "Outcome A: fosters dependence",
    "outcome B": "Outcome B: protects", "outcome C": "Outcome C: reliance expressed",
    "outcome OVR": "Counterweight: over-guarded", "annomi_low": "AnnoMI, low quality",
    "mibot": "MIBOT", "esconv": "ESConv", "miti": "MITI", "misc": "MISC", "cts-r": "CTS-R", "bolt": "BOLT",
    "vera-mh": "VERA-MH", "r-mhsafe": "R-MHSafe", "intima": "INTIMA", "darkbench": "DarkBench",
    "humanebench": "HumaneBench", "moore-2026": "Moore et al.", "kadakia-2026": "Kadakia",
    "high": "High quality", "low": "Low quality", "rules": "Rules",
}  # fmt: skip

COLOURS = {
    "question": "blue", "reflection": "green", "therapist_input": "orange", "other": "grey",
    "change": "green", "sustain": "orange", "neutral": "grey",
    "distress": "orange", "alliance": "blue", "resistance": "red", "disclosure": "green", "insight": "purple",
    "dependence": "pink",
}  # fmt: skip
"""Colour classes of values that appear all over the report."""

CODEBOOK_COLOURS = {"epitome": "sky", "dependence-core": "pink"}
GROUP_COLOURS = ("blue", "orange", "green", "pink", "purple", "sky", "red", "grey")
ENDING_COLOURS = {
    "goodbye": "green", "goodbye_loop": "sky", "turn_limit": "orange", "guard": "red", "empty": "red",
    "recorded": "grey",
}  # fmt: skip

SESSION_MOMENTS = {
    "course_start": "before the first session", "session_start": "before a session", "session_end": "after a session",
    "course_end": "when the course is over",
}  # fmt: skip


def nice(name: object) -> str:
    """A name as people write it: `mi_consistent` is MI-consistent, `need_or_reliance` Need or reliance."""
    text = str(name)
    if text in _WORDS:
        return _WORDS[text]
    base, _, level = text.partition(">=")
    words = base.replace("_", " ").replace("-", " ").split()
    words = [_ACRONYMS.get(word.lower(), word) for word in words]
    label = " ".join(words)
    label = label[:1].upper() + label[1:]
    return f"{label}, level {level} or more" if level else label


def colour(codebook: str, value: str, place: int = 0) -> str:
    """The colour class of a behaviour."""
    return COLOURS.get(value) or CODEBOOK_COLOURS.get(codebook) or GROUP_COLOURS[place % len(GROUP_COLOURS)]


def plural(count: int, one: str, many: str = "") -> str:
    """`1 session`, `1,280 sessions`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
