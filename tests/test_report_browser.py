"""The report in a real browser: hostile text is text, filters work, nothing is wider than a phone."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.reporting.writing import report_run
from tests.report_sample import sample_run

HOSTILE = "<script>document.title='owned'</script><b>bold</b>"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def dump(page: Path, folder: Path, width: int = 1280) -> str:
    """The page's elements as the browser has them after its scripts ran; skips where there is no browser."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    command = [
        browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
        "--virtual-time-budget=4000", "--allow-file-access-from-files", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose first turn and first persona are hostile."""
    return report_run(sample_run(tmp_path_factory.mktemp("browser") / "run", personas=4, hostile=HOSTILE))


def test_a_turn_that_is_a_script_is_shown_as_text(report: Path, tmp_path: Path) -> None:
    page = dump(report, tmp_path)
    title = re.search(r"<title>([^<]*)</title>", page)
    assert title and title.group(1) == "Sample · Dyad report"
    reader = page[page.index('id="reader"') :]
    assert "&lt;script&gt;document.title='owned'&lt;/script&gt;&lt;b&gt;bold&lt;/b&gt;" in reader
    assert "<b>bold</b>" not in page
    assert "48 of 48 sessions" in page


def test_nothing_is_wider_than_a_phone(report: Path, tmp_path: Path) -> None:
    # the widths are read from outside, in a frame, because the report's own policy lets no other script run
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"""<iframe id="f" width="390" height="900" src="{report.as_uri()}"></iframe><pre id="out"></pre><script>
        f.onload = () => setTimeout(() => {{
          const page = f.contentDocument.documentElement;
          const wide = [...page.querySelectorAll("main *")].filter((node) =>
            !node.closest(".scroll, svg") && node.getBoundingClientRect().right > 391).length;
          out.textContent = JSON.stringify({{scroll: page.scrollWidth, inner: f.contentWindow.innerWidth, wide}});
        }}, 1000);</script>""",
        encoding="utf-8",
    )
    found = re.search(r'<pre id="out">([^<]+)</pre>', dump(probe, tmp_path))
    assert found, "the frame did not load"
    widths = json.loads(found.group(1))
    assert widths["inner"] == 390
    assert widths["scroll"] <= 390
    assert widths["wide"] == 0
