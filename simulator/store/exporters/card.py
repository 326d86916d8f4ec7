"""The data card of an export: what it is, how it was made, whose personas, what was left out, what it is good for."""

from collections import Counter
from typing import Any

from simulator.store.exporters.options import ExportOptions
from simulator.store.exporters.release import MAY_BE_PASSED_ON, OPEN_WORDINGS, Release
from simulator.store.exporters.source import Source
from simulator.store.exporters.survey import Survey

_WHAT = {
    "scripted": "Both chairs were taken by the embedded scripted agents, which follow equations and no language model. "
    "Their planted codes are a construction check; no claim about people or models rests on them.",
    "model": "At least one chair was taken by a language model. Nobody in these sessions exists.",
    "human": "Transcripts of people, imported. They stay under the licence and the consent that they came with.",
}


def data_card(source: Source, counts: dict[str, int], options: ExportOptions, what: str) -> str:
    """The card as Markdown.

    Args:
        source: the exported run.
        counts: what was written.
        options: the export's choices.
        what: the format's name.
    """
    meta, found = source.run.meta, source.survey
    paragraphs = [
        f"# Data card: {meta.get('experiment')} ({source.run.identity[:8]})",
        *(_WHAT[origin] for origin in sorted(found.origins) if origin in _WHAT),
        "**Nothing simulated is evidence about people.** A figure from these sessions describes agents, prompts, "
        "models and a design, until it has been compared with data from people. Not for clinical use. What the data "
        "may be used for: `docs/responsible-use.md` of Dyad.",
        "## What is in it\n\n" + _table(("", "number"), [
            ("courses", found.courses), ("sessions that ended", found.sessions), ("turns", found.turns),
            ("words", found.words), *((f"courses {status}", count) for status, count in sorted(found.statuses.items())),
        ]),
        f"Counts are the run's own, before anything was left out. Format: {what}; written: "
        + ", ".join(f"{count} {name}" for name, count in counts.items()) + ".",
        "## How it was made\n\n" + _table(("", ""), _making(meta, source.run.identity)),
        "### Conditions\n\n" + _table(("condition", "courses"), sorted(found.conditions.items())),
        "### Models\n\n" + _table(("role", "model", "turns"), _flat(found.models)),
        "### Personas\n\n" + _personas(found),
        "### Questionnaires\n\n" + _wordings(found),
        "### Coders\n\n" + _table(("coder", "codebook", "judgments"), _flat(found.coders)),
        "## What was left out\n\n" + _left_out(source.release, found),
        "## Licence\n\n" + _licence(meta, found, options),
    ]  # fmt: skip
    return "\n\n".join(paragraphs) + "\n"


def _making(meta: dict[str, Any], identity: str) -> list[tuple[str, Any]]:
    design = meta.get("design", {})
    rows = [
        ("identity", identity), ("made by", meta.get("created_by")), ("kind", meta.get("kind")),
        ("code version", meta.get("code_version")), ("personas", design.get("personas")),
        ("population", design.get("population")), ("replicates", design.get("replicates")),
        ("seed", design.get("seed")), ("courses planned", design.get("courses")),
    ]  # fmt: skip
    return [(name, value) for name, value in rows if value is not None]


def _personas(found: Survey) -> str:
    if not found.personas:
        return "None: the sessions were not simulated from personas of this run."
    drawn = ", ".join(f"{count} from {name}" for name, count in sorted(found.populations.items()))
    return _table(("provenance", "licence", "personas"), _flat(found.personas)) + (
        f"\n\nDrawn: {drawn}." if drawn else ""
    )


def _wordings(found: Survey) -> str:
    note = "\n\n`paraphrase` is our wording and was never validated: such scores are not the published instrument's."
    text = _table(("instrument", "version", "wording", "answers"), _flat(found.wordings))
    return text + (note if any(wording == "paraphrase" for _, _, wording in found.wordings) else "")


def _left_out(release: Release | None, found: Survey) -> str:
    if release is None:
        return (
            "Nothing: this is a whole export, not a release. Do not pass it on before reading what a release withholds."
        )
    licensed = sum(count for (*_, wording), count in found.wordings.items() if wording not in OPEN_WORDINGS)
    documents = sum(
        count
        for (kind, licence), count in found.personas.items()
        if licence not in MAY_BE_PASSED_ON or kind == "extracted"
    )
    human = 0 if release.keeps_human else len(found.human)
    lines = [
        f"{human} courses whose transcripts are of people"
        + (f" (kept under {release.licence}: {len(found.human)})" if release.keeps_human and found.human else ""),
        "texts, planted codes and states of turns that were taken from a transcript, and free answers and events "
        f"beside them, in {len(found.replayed)} courses; what the other chair answered is kept",
        f"free answers (`raw_text`) to {licensed} items asked in licensed wording; item texts are in no table",
        f"names and documents of {documents} personas that are not under a licence which lets them be passed on, or "
        "were extracted from a transcript",
        "messages of failures, and the table `executions`: they name hosts, processes, addresses and clocks",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _licence(meta: dict[str, Any], found: Survey, options: ExportOptions) -> str:
    lines = [f"This export: {options.licence or 'not stated by who made it'}."]
    lines += [f"The imported transcripts: {meta['licence']}."] if meta.get("licence") else []
    licences = sorted({licence or "not stated" for _, licence in found.personas})
    lines += [f"The personas: {', '.join(licences)}."] if licences else []
    return " ".join(lines) + " Instruments, codebooks and models keep the licences that they came with."


def _flat(counter: Counter[Any]) -> list[tuple[Any, ...]]:
    return [(*key, count) for key, count in sorted(counter.items())]


def _table(header: tuple[str, ...], rows: list[Any]) -> str:
    if not rows:
        return "None."
    cells = [" | ".join(str(cell).replace("|", "\\|").replace("\n", " ") or "(none)" for cell in row) for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header), *(f"| {row} |" for row in cells)])
