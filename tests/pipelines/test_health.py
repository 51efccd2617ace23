"""RUN/health.html: clocks, rates and hosts of a run, in a page that obeys nothing and stands apart from the release."""

import json
import re
from pathlib import Path

from pipelines.report.health import HEALTH_PAGE, render_health, write_health
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.test_report_page import HOSTILE, Elements, visible


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", Elements(page).text)


def test_a_run_leaves_it_with_its_steps_and_what_its_downloads_came_to(finished: FinishedRun) -> None:
    page = (finished.folder / HEALTH_PAGE).read_text(encoding="utf-8")
    text = text_of(page)
    for step in ("collect", "admit", "fetch", "measure", "dedup", "select", "release"):
        assert f" {step}" in text
    assert "requests 请求" in text
    assert "robots_disallowed" in text
    assert "Hosts with failures" in text
    assert "127.0.0.1" in text
    assert "style-src 'sha256-" in page
    assert {tag for tag, _ in Elements(page).found}.isdisjoint({"script", "a", "img", "link", "form"})


def test_its_clocks_are_in_utc_and_no_folder_of_others_is_shown(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    facts = json.loads((run / "run.json").read_bytes())
    facts |= {"started": 0, "finished": 61.5, "reuse": [{"run": "/secret/path?key=1"}]}
    (run / "run.json").write_text(json.dumps(facts))
    text = text_of(render_health(run))
    assert "1970-01-01 00:00:00 UTC" in text
    assert "1970-01-01 00:01:01 UTC" in text
    assert "secret" not in text


def test_rows_that_were_set_aside_and_retries_are_counted(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    (run / "dead").mkdir()
    for row in range(3):
        (run / "dead" / f"measure-000000-{row:08d}.json").write_text(json.dumps({"fault": "http://u:p@a.cn/ secret"}))
    (run / "retries.json").write_text(json.dumps([{"reasons": ["timeout", "dns_error"], "before": 2}]))
    text = text_of(write_health(run).read_text(encoding="utf-8"))
    assert "set aside in dead/ 搁置measure3" in text
    assert "timeout, dns_error" in text
    assert "secret" not in text


def test_what_cannot_be_read_is_left_out(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    (run / "run.json").write_text("[")
    (run / "retries.json").write_text("{}")
    assert "not yet" in text_of(render_health(run))


def test_hostile_facts_show_as_text(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    plain = Elements(render_health(run))
    for foreign in HOSTILE:
        facts = json.loads((run / "run.json").read_bytes()) | {"host": foreign, "python": foreign}
        (run / "run.json").write_text(json.dumps(facts))
        hostile = Elements(render_health(run))
        assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
        assert hostile.text.count(visible(foreign)) == 2
