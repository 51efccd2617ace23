"""The explorer in a real browser: it keeps its own policy, shows hostile texts as texts, and is worked by keys."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.explore.command import Wishes
from tests.pipelines.chromium import CHROMIUM, Browser, browsing
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.explore.serving import HOSTILE, Served, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"),
]

WIDTHS = pytest.mark.parametrize("width", [1280, 390])
CARDS = "document.querySelectorAll('#cards .card').length"
DIALOG = "document.querySelector('dialog[open]') !== null"
NO_SIDEWAYS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(tmp_path) as open_browser:
        yield open_browser


@WIDTHS
def test_it_shows_samples_and_one_in_full_and_never_scrolls_sideways(
    served_run: Served, browser: Browser, width: int
) -> None:
    browser.open(served_run.server.url, width)
    assert browser.until(CARDS) == 14
    browser.until("[...document.querySelectorAll('#cards img')].some(image => image.naturalWidth > 0)")
    assert browser.say(NO_SIDEWAYS)
    browser.say("document.querySelector('#cards .card.kept').click()")
    browser.until(DIALOG)
    assert "entropy" in browser.say("document.getElementById('sample').innerText")
    assert browser.say("(e => e.scrollWidth <= e.clientWidth)(document.getElementById('sample'))")
    browser.press("Escape")
    browser.until("document.querySelector('dialog[open]') === null")
    assert browser.console == []
    assert {url.split("/")[2] for url in browser.requested} == {served_run.host}


@WIDTHS
def test_hostile_texts_are_shown_and_do_nothing(served_release: Served, browser: Browser, width: int) -> None:
    browser.open(served_release.server.url, width)
    assert browser.until(CARDS) == len(HOSTILE) + 1
    shown = browser.say("document.getElementById('cards').innerText")
    for text in (
        "<script>document.title",
        "onerror=",
        "javascript:alert(1)",
        "\\u{1b}[31m",
        "猫\\u{202e}gnp.exe",
        "\\n",
    ):
        assert text in shown
    assert "\u202e" not in browser.say("document.body.innerText")
    assert browser.say("document.querySelectorAll('#cards script, #cards svg, #cards a').length") == 0
    uid = browser.say(
        "[...document.querySelectorAll('#cards .card')].find(c => c.innerText.startsWith('照片')"
        " || c.querySelector('.card-text').innerText === '照片').dataset.uid"
    )
    browser.click(f'#cards .card[data-uid="{uid}"]')
    browser.until(DIALOG)
    assert "javascript:document.title" in browser.say("document.getElementById('sample').innerText")
    assert browser.say("document.querySelectorAll('#sample a').length") == 0
    assert browser.say("document.title") == "release – curate explore"
    assert [line for line in browser.console if "404" not in line] == []


def test_the_policy_stops_a_planted_script_style_and_markup(served_run: Served, browser: Browser) -> None:
    browser.open(served_run.server.url)
    browser.until(CARDS)
    browser.say(
        "document.body.append(Object.assign(document.createElement('style'), {textContent: 'body{opacity:0}'}))"
    )
    assert browser.say("getComputedStyle(document.body).opacity") == "1"
    assert (
        browser.say(
            "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'set' } catch { return 'stopped' } })()"
        )
        == "stopped"
    )
    assert browser.say("fetch('https://example.org/').then(() => 'sent', () => 'stopped')") == "stopped"
    assert any("Content Security Policy" in line for line in browser.console)


def test_a_filter_a_reason_and_an_order_are_asked_for(served_run: Served, browser: Browser) -> None:
    browser.open(served_run.server.url)
    browser.until(CARDS)
    browser.press("/")
    browser.type_into("#where", "zh_chars >= 4")
    browser.press("Enter")
    browser.until(f"{CARDS} < 14")
    browser.type_into("#where", "count(*) > 1")
    browser.press("Enter")
    browser.until("!document.getElementById('told').hidden")
    assert "aggregate" in browser.say("document.getElementById('told').innerText")
    browser.type_into("#where", "")
    browser.press("Enter")
    browser.until(f"{CARDS} === 14 && document.getElementById('told').hidden")
    browser.say(
        "[...document.querySelectorAll('#reasons button')].find(b => b.innerText.includes('too_small')).click()"
    )
    browser.until(f"{CARDS} === 1")
    browser.say("history.back()")
    browser.until(f"{CARDS} === 14")
    assert browser.say("location.hash") == ""


@WIDTHS
def test_a_moved_slider_tells_the_share_and_who_changes_sides(served_run: Served, browser: Browser, width: int) -> None:
    browser.open(served_run.server.url, width)
    browser.until(CARDS)
    browser.say("document.getElementById('threshold').open = true")
    browser.say(
        "(s => { s.value = [...s.options].find(o => o.text.startsWith('plain')).value;"
        " s.dispatchEvent(new Event('change')) })(document.getElementById('cut'))"
    )
    browser.until("document.getElementById('bars').getAttribute('aria-label') === 'entropy'")
    browser.until("!document.getElementById('slider').disabled")
    browser.until("document.getElementById('outcome').innerText.includes('keeps 6')")
    browser.say("(s => { s.value = s.max; s.dispatchEvent(new Event('input')) })(document.getElementById('slider'))")
    browser.until("document.getElementById('outcome').innerText.includes('keeps 0')")
    browser.until("document.querySelectorAll('#falling .card').length === 6")
    assert "6 would fall" in browser.say("document.getElementById('falling-head').innerText")
    assert "rules.plain='entropy >= " in browser.say("document.getElementById('exactly').innerText")
    assert browser.say(NO_SIDEWAYS)
    assert browser.console == []


@WIDTHS
def test_pairs_are_labelled_with_three_keys(
    finished: FinishedRun, browser: Browser, tmp_path: Path, width: int
) -> None:
    wishes = Wishes(annotator="wu", labels=tmp_path / "labels")
    with served(finished.folder, wishes) as here:
        browser.open(f"{here.server.url}#reason=kept", width)
        browser.until(f"{CARDS} === 6")
        browser.press("l")
        browser.until("document.querySelectorAll('.answer').length === 3")
        for done, key in enumerate("123", start=1):
            browser.press(key)
            browser.until(f"document.getElementById('progress').value === {done}")
        browser.press("ArrowLeft")
        browser.press("3")
        browser.until("document.getElementById('progress').value === 2")
        assert browser.say(NO_SIDEWAYS)
        browser.say("document.getElementById('agreement-box').open = true")
        browser.until("document.getElementById('agreement').innerText.includes('wu')")
        assert browser.console == []
    labels = [row["label"] for row in pq.read_table(tmp_path / "labels" / "wu.parquet").to_pylist()]
    assert sorted(labels) == ["match", "no_match"]


def test_it_speaks_chinese_too(served_run: Served, browser: Browser) -> None:
    browser.open(served_run.server.url)
    browser.until(CARDS)
    browser.click("#language")
    browser.until(f"document.documentElement?.lang === 'zh-CN' && {CARDS} === 14")
    assert "保留" in browser.say("document.getElementById('totals').innerText")
    assert "Keeps" not in browser.say("document.body.innerText")
    words = browser.say(
        "import('./words.js').then(w => { const zh = w.say('help-rows').length; w.otherLanguage();"
        " return [zh, w.say('help-rows').length] })"
    )
    assert words[0] == words[1]
