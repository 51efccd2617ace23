"""The report in a real browser: it keeps its own policy, shows its pictures and fits a phone."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.report.command import write_report
from tests.conftest import FinishedDemo
from tests.pipelines.test_report_page import HOSTILE, Elements, page_of

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"),
]

# Measured by the page that frames the report, in an engine that has laid it out at the frame's width.
FRAME = """<!DOCTYPE html><meta charset="utf-8"><body>
<iframe id="report" style="width:{width}px;height:600px;border:0"></iframe><pre id="facts"></pre>
<script>
const frame = document.getElementById("report");
frame.onload = () => {{
  const page = frame.contentDocument, bar = page.querySelector("svg rect.kept");
  document.getElementById("facts").textContent = JSON.stringify({{
    scroll: page.documentElement.scrollWidth, shown: page.documentElement.clientWidth,
    fill: bar && getComputedStyle(bar).fill, wide: getComputedStyle(page.querySelector(".wide")).display,
    text: page.body.innerText.length,
    pictures: [...page.images].filter(image => image.complete && image.naturalWidth).length,
  }});
}};
frame.srcdoc = {srcdoc};
</script>"""


def browse(page: str, folder: Path, *options: str) -> tuple[str, str]:
    """The page's elements once loaded, and what the browser's console said."""
    assert CHROMIUM is not None
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    ended = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"),
            *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000", "--dump-dom", *options, file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    console = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    return ended.stdout, "\n".join(console)


def laid_out(page: str, width: int, folder: Path) -> dict[str, str]:
    """Facts of the report at a width, as strings."""
    literal = json.dumps(page).replace("</", "<\\/")
    dom, _ = browse(FRAME.format(width=width, srcdoc=literal), folder, "--window-size=1400,900")
    found = re.search(r'<pre id="facts">(.+?)</pre>', dom)
    assert found is not None, dom[-2000:]
    return {name: str(value) for name, value in json.loads(html.unescape(found[1])).items()}


@pytest.fixture(scope="module")
def report(demo_run: FinishedDemo) -> str:
    return (demo_run.folder / "release" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "display"), [(1280, "table-cell"), (390, "none")])
def test_it_is_styled_and_never_scrolls_sideways(report: str, width: int, display: str, tmp_path: Path) -> None:
    facts = laid_out(report, width, tmp_path)
    assert int(facts["scroll"]) <= int(facts["shown"]) <= width
    assert facts["fill"] == "rgb(43, 122, 88)"
    assert facts["wide"] == display
    assert int(facts["text"]) > 1000


def test_its_policy_holds_and_stops_nothing_of_its_own(report: str, tmp_path: Path) -> None:
    _, console = browse(report, tmp_path)
    assert console == ""


def test_the_page_of_a_run_shows_its_pictures_and_fits_a_phone(demo_run: FinishedDemo, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(demo_run.folder, run)
    page = write_report(run).read_text(encoding="utf-8")
    for width in (1280, 390):
        facts = laid_out(page, width, tmp_path)
        assert int(facts["scroll"]) <= int(facts["shown"]) <= width
        assert int(facts["pictures"]) == page.count("<img ") > 50
    assert browse(page, tmp_path)[1] == ""
    health = (run / "health.html").read_text(encoding="utf-8")
    assert int(laid_out(health, 390, tmp_path)["scroll"]) <= 390
    assert browse(health, tmp_path)[1] == ""


def test_its_policy_stops_a_planted_script_and_style(report: str, tmp_path: Path) -> None:
    planted = "<script>document.title = 'taken'</script><style>body { display: none }</style></body>"
    dom, console = browse(report.replace("</body>", planted), tmp_path)
    assert "<title>taken" not in dom
    assert console.count("Content Security Policy") >= 2


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    plain, hostile = page_of(), page_of(" ".join(HOSTILE)[:200])
    dom, console = browse(hostile, tmp_path)
    assert console == ""
    assert [tag for tag, _ in Elements(dom).found] == [tag for tag, _ in Elements(plain).found]
