"""`dyad export`: a run's tables and transcripts in a format that other tools read, written whole or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import UserError, nearest
from simulator.store.exporters.card import data_card
from simulator.store.exporters.chat import write_chat
from simulator.store.exporters.huggingface import card_header, write_huggingface
from simulator.store.exporters.inspect_logs import write_inspect
from simulator.store.exporters.options import ExportOptions, Tick
from simulator.store.exporters.parts import rows_in
from simulator.store.exporters.release import Release
from simulator.store.exporters.source import Source
from simulator.store.exporters.survey import Survey, survey
from simulator.store.exporters.tables_csv import write_csv
from simulator.store.exporters.target import staged
from simulator.store.runs import RunFolder, open_run
from simulator.store.tables import TABLES

Writer = Callable[[Source, Path, ExportOptions], dict[str, int]]

WRITERS: dict[str, Writer] = {
    "chat": write_chat,
    "huggingface": write_huggingface,
    "inspect": write_inspect,
    "csv": write_csv,
}
CARD = "DATA_CARD.md"
README = "README.md"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote, and where."""

    path: Path
    counts: dict[str, int]


def default_target(run: Path, name: str, release: bool) -> Path:
    """Where an export lies by default: `RUN/exports/<format>`, or `<format>-release`."""
    return run / "exports" / (f"{name}-release" if release else name)


def export_run(
    folder: Path | str,
    name: str,
    out: Path | str | None = None,
    options: ExportOptions | None = None,
    progress: Callable[[int], Tick] | None = None,
) -> Exported:
    """Export a run.

    Args:
        folder: a run, simulated or imported; one that is still running is exported as far as its tables go.
        name: a format of `WRITERS`.
        out: a folder that does not exist or is empty; `default_target` by default.
        options: the export's choices.
        progress: called with the number of rows that will be read; returns what is called with the rows read since.

    Raises:
        UserError: not a run, no such format or role, nothing that may be released, or the target holds something.
    """
    chosen = options or ExportOptions()
    if name not in WRITERS:
        raise UserError(f"no format '{name}'{nearest(name, WRITERS)}")
    run = open_run(Path(folder))
    found = survey(run)
    if name in ("chat", "inspect") and found.roles and chosen.assistant not in found.roles:
        raise UserError(
            f"assistant: no role '{chosen.assistant}' in {run.path}{nearest(chosen.assistant, found.roles)}"
        )
    release = Release(run.meta, found) if chosen.release else None
    if release is not None and not release.keeps_human and len(found.human) == found.courses and found.human:
        raise UserError(
            f"{run.path} holds transcripts of people only, and its licence ({release.licence or 'none was stated'}) is "
            "not an SPDX identifier that lets them be passed on: nothing of it may be released"
        )
    target = Path(out) if out is not None else default_target(run.path, name, chosen.release)
    with staged(target) as staging:
        tick = progress(_rows(run, found, name)) if progress else _ignore
        source = Source(run, found, release, tick)
        counts = WRITERS[name](source, staging, chosen)
        card = data_card(source, counts, chosen, name)
        if name == "huggingface":
            (staging / README).write_text(card_header(source, counts, chosen) + card, encoding="utf-8")
        if chosen.release:
            (staging / CARD).write_text(card, encoding="utf-8")
    return Exported(target, counts)


def _rows(run: RunFolder, found: Survey, name: str) -> int:
    """How many rows a format reads."""
    if name in ("chat", "inspect"):
        return found.turns + found.courses + found.sessions
    return sum(rows_in(run, table) for table in TABLES)


def _ignore(rows: int) -> None:
    """No progress is shown."""
