"""One self-contained HTML file: no network, nothing that a transcript says can become markup or run.

Style and script are inline and named by hash in the content-security policy, which allows nothing else; templates
escape everything and treat an undefined variable as an error; transcripts travel compressed and enter the page as text.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from simulator.errors import UserError
from simulator.reporting import behaviour_sections as behaviour
from simulator.reporting import measure_sections as measure
from simulator.reporting import sections
from simulator.reporting.course_section import courses
from simulator.reporting.realism_section import realism
from simulator.reporting.transcripts import Transcripts
from simulator.reporting.usage_section import guards, usage
from simulator.store.runs import write_atomically

REPORT_FILE = "report.html"
RESPONSIBLE_USE = "docs/responsible-use.md"


@cache
def _file(name: str) -> str:
    return (resources.files("simulator.reporting") / "templates" / name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """How a content-security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character of it can end the element or the line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def rendered(template: str, **views: Any) -> str:
    """A template of this package with the reports' style; everything in `views` is escaped."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    style = _file("report.css")
    environment = Environment(
        loader=DictLoader({name: _file(name) for name in (template, "macros.html")}),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(
        style=Markup(style), style_hash=content_hash(style), responsible_use=RESPONSIBLE_USE, **views
    )


def render_report(summary: Mapping[str, Any], transcripts: Transcripts) -> str:
    """The report as one HTML document.

    Args:
        summary: what `analysis.summary.summarise` returns.
        transcripts: what `load_transcripts` returns.
    """
    from markupsafe import Markup

    script = _file("report.js")
    return rendered(
        "report.html", script=Markup(script), script_hash=content_hash(script),
        data=Markup(script_json({"gzip": transcripts.packed})), sampling=transcripts.note,
        warnings=sections.warnings(summary), estimands=summary["estimands"],
        header=sections.header(summary), tiles=sections.tiles(summary), design=sections.design_table(summary),
        lengths=sections.lengths(summary), endings=sections.endings(summary), strata=behaviour.strata(summary),
        behaviours=behaviour.behaviours(summary), contrasts=behaviour.contrasts(summary),
        positions=behaviour.positions(summary), adaptability=behaviour.adaptability(summary),
        scores=measure.scores(summary), trajectories=measure.trajectories(summary),
        agreement=measure.agreement(summary), realism=realism(summary), courses=courses(summary),
        guards=guards(summary), usage=usage(summary),
    )  # fmt: skip


def write_report(summary: Mapping[str, Any], transcripts: Transcripts, path: Path) -> None:
    """Write the report to `path`, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    write_whole(path, render_report(summary, transcripts).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free the place or name another folder") from None
