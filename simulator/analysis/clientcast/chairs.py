"""Which model sat in which chair, and what a reader must know before the figures."""

from typing import Any

from simulator.analysis.clientcast.frames import Stages

SEATS = {
    "reader": ("profiles", "client"), "client": ("simulated", "client"), "therapist": ("simulated", "therapist"),
    "rater": ("rated", "client"),
}  # fmt: skip
"""Chair: the stage and the role whose model sits there."""


def chairs(stages: Stages) -> dict[str, list[str]]:
    """Names of the models in each chair; `scripted` where it has none."""
    found: dict[str, list[str]] = {}
    for chair, (stage, role) in SEATS.items():
        counted = stages.runs[stage].meta["components"]["chairs"][role]
        names = {str((option.get("model") or {}).get("name") or "scripted") for option in counted.values()}
        found[chair] = sorted(names)
    return found


def warnings_about(found: dict[str, Any]) -> list[str]:
    """One sentence each."""
    lines = []
    seated = found["chairs"]
    if found["scripted"]:
        lines.append(
            "Everything here is scripted: no language model spoke, read or rated. The figures check the machinery and "
            "say nothing about any model or any person, and none may stand beside a published figure."
        )
    elif found["source"] == "scripted":
        lines.append(
            "The recorded sessions are scripted stand-ins, not sessions of people: what the models read in them and "
            "rate says nothing about people."
        )
    models = {chair: [name for name in names if name != "scripted"] for chair, names in seated.items()}
    for name in sorted({name for names in models.values() for name in names}):
        sits = [chair for chair, names in models.items() if name in names]
        if "client" in sits and "therapist" in sits:
            lines.append(f"{name} plays both client and therapist: it may like its own way of speaking.")
        if "therapist" in sits and "rater" in sits:
            lines.append(f"{name} rates sessions in which it was the therapist: it judges itself.")
        if "reader" in sits and "client" in sits:
            lines.append(f"{name} reads profiles out of sessions that it played: faithfulness is measured by itself.")
    if models["client"] and models["client"] == models["rater"]:
        lines.append(
            "The rater is the model that played the client, asked afterwards: its rating is an act, not a report."
        )
    design = found["design"]
    if found["source"] == "human" and any(models.values()) and not found["contamination"]:
        lines.append(
            "Whether the models know the recorded transcripts by heart was not probed (dyad contamination): where they "
            "are public, agreement with their labels may be memory."
        )
    if design["clients"] < 8:
        lines.append(f"{design['clients']} clients are too few for intervals that are known to hold; they are flagged.")
    failed = {name: part["statuses"].get("failed", 0) for name, part in design["stages"].items()}
    for name, count in failed.items():
        if count:
            lines.append(f"{count} courses of the stage '{name}' failed and are not in the figures.")
    if design["missing_answers"]:
        lines.append(
            f"{design['missing_answers']:,} of {design['answers']:,} answers are missing; none was filled in. A rating "
            "counts where at least four in five items of the instrument were answered."
        )
    return lines
