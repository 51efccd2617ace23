"""`curate why`: each fate is told with its stage, its rule, what was measured and who stayed."""

import re
from pathlib import Path

import pytest

from pipelines.why import UnknownSampleError, tell_story
from shards.errors import UsageError
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline, table_recipe, write_csv
from tests.pipelines.photo_shop import open_shop, run


def story(finished: FinishedRun, path: str) -> list[str]:
    return tell_story(finished.folder, finished.site.url(path)).splitlines()


def test_a_kept_image_names_its_shard_its_caption_and_every_measure(finished: FinishedRun) -> None:
    lines = story(finished, "/5.png")
    assert lines[0] == finished.site.url("/5.png")
    assert re.fullmatch(r"  kept        in shard 00000[0-2]\.tar", lines[2])
    assert "  text        caption: '第5张照片' [caption] zh_chars 4" in lines
    assert "  text        caption: 'IMG_0005.jpg' [no_chinese] zh_chars 0" in lines
    told = {line.split()[0]: line.split()[1] for line in lines if len(line.split()) == 2}
    assert told["min_side"] == "256"
    assert float(told["entropy"]) > 1
    assert [line.split()[:3] for line in lines[lines.index("  rules") + 1 :]] == [
        ["passed", "collect", "no_chinese:"],
        ["passed", "collect", "too_long:"],
        ["passed", "fetch", "too_small:"],
        ["passed", "measure", "plain:"],
        ["passed", "dedup", "near_duplicate:"],
    ]


def test_a_rule_s_drop_names_the_rule_its_expression_and_what_was_measured(finished: FinishedRun) -> None:
    lines = story(finished, "/tiny.png")
    assert lines[2:4] == ["  dropped     at fetch: too_small, the rule `min_side > 100`", "              min_side = 30"]
    assert "    passed      collect  no_chinese: zh_chars >= 1" in lines
    assert "    failed      fetch    too_small: min_side > 100" in lines
    assert "    not reached measure  plain: entropy >= 1" in lines


def test_a_text_rule_s_drop_names_each_text_that_fell(finished: FinishedRun) -> None:
    lines = story(finished, "/english.png")
    assert lines[2:4] == [
        "  dropped     at collect: no_chinese, the rule `zh_chars >= 1`",
        "              zh_chars of caption 'english only' = 0",
    ]


def test_a_duplicate_names_who_stayed(finished: FinishedRun) -> None:
    stories = {path: story(finished, path) for path in ("/0.png", "/0-copy.png")}
    (fallen,) = (path for path, lines in stories.items() if "dropped" in lines[2])
    (stayed,) = stories.keys() - {fallen}
    assert stories[fallen][2:4] == [
        "  dropped     at dedup: near_duplicate, the rule `dup_rank = 1`",
        "              dup_rank = 2",
    ]
    assert stories[fallen][4].startswith(f"  duplicate   of {finished.site.url(stayed)} (uid ")
    assert stories[fallen][4].endswith("which stayed of the group and is kept")
    uid = stories[stayed][1].split()[1]
    assert f"  group       {uid}" in stories[stayed]
    texts = [line for line in stories[stayed] if line.startswith("  text ")]
    assert len(texts) == 2  # the survivor took over the words of the one that fell


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("/forbidden/a.png", "robots_disallowed", "robots.txt"),
        ("/gone.png", "http_status", "404"),
        ("/page.png", "not_an_image", None),
    ],
)
def test_what_the_web_refused_says_so(finished: FinishedRun, path: str, reason: str, detail: str | None) -> None:
    lines = story(finished, path)
    assert lines[2] == f"  dropped     at fetch: {reason}"
    assert detail is None or lines[3] == f"  detail      {detail}"
    assert "    not reached fetch    too_small: min_side > 100" in lines


def test_a_url_is_found_in_any_form_and_by_its_uid(finished: FinishedRun) -> None:
    lines = story(finished, "/5.png")
    uid = lines[1].split()[1]
    assert story(finished, "/./5.png#part") == lines
    assert tell_story(finished.folder, uid.upper()).splitlines() == lines
    assert "blocked_scheme" in tell_story(finished.folder, "ftp://a.cn/1.jpg")


@pytest.mark.parametrize("name", ["http://a.cn/none.jpg", "0" * 32, "not a url", "", "'; DROP TABLE x"])
def test_an_unknown_image_is_told_apart_from_a_dropped_one(finished: FinishedRun, name: str) -> None:
    with pytest.raises(UnknownSampleError, match="neither kept nor dropped") as caught:
        tell_story(finished.folder, name)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("upto", "told"),
    [("collect", "is a candidate"), ("admit", "is a sample"), ("fetch", "was fetched"), ("dedup", "was fetched and")],
)
def test_an_unfinished_run_says_how_far_it_came(tmp_path: Path, finished: FinishedRun, upto: str, told: str) -> None:
    lines = tell_story(finished.copy(tmp_path, upto), finished.site.url("/5.png")).splitlines()
    assert told in lines[1]
    assert lines[1].endswith("`curate run` resumes it")


def test_before_the_release_a_kept_image_has_no_shard_yet(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path, "select")
    assert "the release is not written yet" in tell_story(run, finished.site.url("/5.png"))


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run of curate"):
        tell_story(tmp_path, "http://a.cn/")


def test_nothing_of_a_hostile_row_reaches_the_terminal_as_a_command(tmp_path: Path) -> None:
    url, text = "ftp://a.cn/\x1b]0;owned\x07", "一\x1b[2J二"
    path = write_csv(tmp_path / "t.csv", [(url, text)])
    run_inline(table_recipe(path), tmp_path / "run", InlinePool())
    told = tell_story(tmp_path / "run", url)
    assert "\\x1b]0;owned" in told
    assert all(letter.isprintable() or letter == "\n" for letter in told)


def test_what_robots_said_and_where_a_redirect_led_is_told(tmp_path: Path) -> None:
    with open_shop() as shop:
        shop.server.pages["/3.png"] = lambda request: request.answer(b"", "302 Found", {"Location": "/2.png"})
        run(shop.recipe(tmp_path), tmp_path / "run")
        lines = tell_story(tmp_path / "run", shop.url(3)).splitlines()
        assert f"  final_url   {shop.url(2)}" in lines
        assert "  robots      allowed" in lines
        assert not any("attempt" in line or "reused" in line for line in lines)
        assert not any("final_url" in line for line in tell_story(tmp_path / "run", shop.url(1)).splitlines())


def test_a_retried_and_a_reused_image_tell_how_they_came(tmp_path: Path) -> None:
    with open_shop() as shop:
        recipe = shop.recipe(tmp_path)
        shop.take_away(2)
        run(recipe, tmp_path / "run")
        shop.put_back(2)
        run(recipe, tmp_path / "run", "http_status")
        lines = tell_story(tmp_path / "run", shop.url(2)).splitlines()
        assert lines[lines.index("  robots      allowed") + 1 :][:2] == [
            "  attempt 1   http_status (404), status 404",
            "  attempt 2   an image, status 200",
        ]
        run(recipe | {"reuse": [str(tmp_path / "run")]}, tmp_path / "new")
        assert (
            f"  reused      stored copy of {tmp_path / 'run'}" in tell_story(tmp_path / "new", shop.url(2)).splitlines()
        )


def test_an_opt_out_names_its_directive(tmp_path: Path) -> None:
    with open_shop() as shop:
        body = shop.body(2)
        shop.server.pages["/2.png"] = lambda request: request.answer(body, headers={"X-Robots-Tag": "noai"})
        run(shop.recipe(tmp_path), tmp_path / "run")
        told = tell_story(tmp_path / "run", shop.url(2))
        assert "opt_out" in told.splitlines()[2]
        assert any(line.startswith("  opt_out     ") and "noai" in line for line in told.splitlines())
