"""Broken recipes, files and folders: each ends with its exit code and a message of its own, and nothing is made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from tests.pipelines.conftest import AGENT

BAD_RECIPE, BAD_INPUT = 2, 65
Text = str | bytes
Made = Callable[[Path], object]


@dataclass(frozen=True)
class Broken:
    """A recipe, what is made beside it first, and how the run must end. `DIR` stands for the test's folder."""

    told: str
    text: Text
    code: int = BAD_RECIPE
    make: Made = field(default=lambda folder: None)
    arguments: tuple[str, ...] = ()


def recipe(**sections: Any) -> str:
    """A recipe that is right but for `sections`; one that is None goes."""
    whole = {
        "name": "x",
        "source": table(),
        "crawler": {"user_agent": AGENT},
        "release": {"caption": ["caption"]},
        "rules": {"no_chinese": "zh_chars >= 1"},
    } | sections
    return yaml.safe_dump({key: value for key, value in whole.items() if value is not None}, allow_unicode=True)


def table(**settings: Any) -> dict[str, Any]:
    return {"kind": "table", "layout": "wukong", "paths": ["DIR/pairs.csv"]} | settings


def rule(sql: str) -> str:
    return recipe(rules={"mine": sql})


def file(name: str, data: Text) -> Made:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return make


def parquet(name: str, keep: int | None = None, **columns: Any) -> Made:
    def make(folder: Path) -> None:
        pq.write_table(pa.table(columns), folder / name)
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return make


def both(*makes: Made) -> Made:
    def make(folder: Path) -> None:
        for each in makes:
            each(folder)

    return make


def crawl(**settings: Any) -> str:
    return recipe(source={"kind": "crawl", "seeds": ["https://example.cn/"]} | settings)


def search(**settings: Any) -> str:
    return recipe(source={"kind": "search", "endpoint": "openverse", "queries": "DIR/queries.txt"} | settings)


YAML = {
    "empty": Broken("found nothing", ""),
    "list": Broken("found a list", "- a\n- b\n"),
    "words": Broken("found only 'just words'", "just words"),
    "open bracket": Broken("at line 2, column 1", "name: [a\n"),
    "tabs": Broken("at line 2, column 1", "source:\n\tkind: table\n"),
    "twice": Broken("at line 2, column 1: key 'name' stands twice", "name: a\nname: b\n"),
    "two documents": Broken("expected a single document", "name: a\n---\nname: b\n"),
    "python tag": Broken("could not determine a constructor", "name: !!python/object/apply:os.system [ls]\n"),
    "alias bomb": Broken("stands inside an anchored value", "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"),
    "many aliases": Broken("more than 50 aliases", "a: &a x\nb: [" + "*a, " * 60 + "]\n"),
    "deep": Broken("nested too deeply", "a: " + "[" * 2000),
    "not UTF-8": Broken("not UTF-8 at byte 6", b"name: \xb9\xe3\xb8\xe6\n"),
    "NUL": Broken("not a readable YAML", b"name: \x00\n"),
    "large": Broken("larger than 1000000 bytes", b"#" * 1_000_001),
    "number as key": Broken("key 7 is not a text", "7: x\n"),
    "base that is none": Broken("recipe nowhere: no such file", "extends: nowhere\n"),
    "base of itself": Broken("comes back to itself", "extends: recipe.yaml\n"),
}

SHAPE = {
    "unknown section": Broken("line 9: sorce: unknown key, did you mean source?", recipe(sorce={})),
    "no name": Broken("name: is required", recipe(name=None)),
    "empty name": Broken("name: expected a text of at least 1", recipe(name="")),
    "no source": Broken("source: is required", recipe(source=None)),
    "no kind": Broken("source.kind: is required", recipe(source={"paths": ["a.csv"]})),
    "unknown kind": Broken("unknown kind 'tabel', did you mean table?", recipe(source=table(kind="tabel"))),
    "unknown layout": Broken("unknown layout 'wukon'", recipe(source=table(layout="wukon"))),
    "no paths": Broken("source.paths: expected 1 or more entries", recipe(source=table(paths=[]))),
    "paths as a text": Broken("source.paths: expected a list", recipe(source=table(paths="a.csv"))),
    "no user agent": Broken("crawler.user_agent: is required", recipe(crawler=None)),
    "agent without contact": Broken("must name a contact", recipe(crawler={"user_agent": "bot"})),
    "negative limit": Broken("fetch.retries: expected at least 0 (got -1)", recipe(fetch={"retries": -1})),
    "zero limit": Broken("fetch.max_bytes: expected more than 0", recipe(fetch={"max_bytes": 0})),
    "NaN": Broken("expected a finite number (got NaN)", recipe(fetch={"total_timeout_s": float("nan")})),
    "infinity": Broken("expected a finite number", recipe(fetch={"total_timeout_s": float("inf")})),
    "unit in a number": Broken('expected a whole number (got "20MB")', recipe(fetch={"max_bytes": "20MB"})),
    "flag as a number": Broken("expected a whole number (got true)", recipe(fetch={"retries": True})),
    "unknown format": Broken("expected 'jpeg', 'png' or 'webp'", recipe(image={"format": "bmp"})),
    "quality over 100": Broken("expected at most 100 (got 101)", recipe(image={"quality": 101})),
    "section as a list": Broken("network: expected a mapping of names", recipe(network=["10.0.0.0/8"])),
    "bad network": Broken("network.", recipe(network={"allow": ["10.0.0.0/99"]})),
    "negative delay": Broken(
        "crawler.per_host.delay_s", recipe(crawler={"user_agent": AGENT, "per_host": {"delay_s": -1}})
    ),
    "unknown measure": Broken("did you mean sharpness?", recipe(measures=["sharpnes"])),
    "caption of no kind": Broken("release.caption", recipe(release={"caption": "worst"})),
    "zero shard": Broken("release.shard_size", recipe(release={"shard_size": 0})),
    "unknown hash": Broken("dedup.hash", recipe(dedup={"hash": "whash"})),
    "distance over 64": Broken("dedup.distance", recipe(dedup={"distance": 65})),
    "reuse of nothing": Broken("reuse", recipe(reuse=["DIR/nowhere"])),
    "tombstones of nothing": Broken("tombstones", recipe(tombstones=["DIR/nowhere"])),
    "known set of nothing": Broken("dedup.evaluation", recipe(dedup={"evaluation": ["DIR/nowhere"]})),
}

RULES = {
    "empty rule": Broken("rules.mine: is empty", rule("")),
    "no expression": Broken("rules.mine: is no SQL expression", rule("zh_chars >")),
    "no condition": Broken("is INTEGER, expected a BOOLEAN condition", rule("zh_chars")),
    "unknown column": Broken("no column is called 'zh_char'; the nearest known: zh_chars", rule("zh_char > 1")),
    "unknown function": Broken("no function is called 'lenght'", rule("lenght(text) > 1")),
    "aggregate": Broken("looks at other rows", rule("count(*) > 1")),
    "window": Broken("looks at other rows", rule("row_number() OVER () > 1")),
    "subquery": Broken("a subquery looks at other rows", rule("(SELECT true)")),
    "star": Broken("rules.mine", rule("COLUMNS(*) > 1")),
    "clock": Broken("another value another time", rule("now() > TIMESTAMP '2020-01-01'")),
    "chance": Broken("another value another time", rule("random() > 0.5")),
    "file": Broken("returns rows", rule("read_text('/etc/passwd') IS NULL")),
    "comment": Broken("holds an SQL comment", rule("true -- ; DROP TABLE x")),
    "two statements": Broken("rules.mine", rule("true; SELECT 1")),
    "wrong type": Broken("compares zh_chars, which is a number, with 'many'", rule("zh_chars > 'many'")),
    "thirty for 0.3": Broken(
        "compares zh_ratio with 30, but its values lie between 0.0 and 1.0", rule("zh_ratio > 30")
    ),
    "name of a web's reason": Broken("the web's own drop reason", recipe(rules={"timeout": "zh_chars > 1"})),
    "capital name": Broken("is no name for a rule", recipe(rules={"Mine": "zh_chars > 1"})),
    "rule as a number": Broken("rules.mine: expected a text", recipe(rules={"mine": 3})),
    "rules as a list": Broken("rules: expected a mapping", recipe(rules=["zh_chars > 1"])),
    "score without a model": Broken("score: is required", rule("clip_score > 0.3")),
    "model of no folder": Broken(
        "DIR/nowhere", recipe(score={"model": "local-dir:DIR/nowhere"}, measures=["clip_score"])
    ),
    "far too long": Broken("is longer than 4000 characters", rule("true AND " * 999 + "true")),
}

INPUT = {
    "no file": Broken("pairs.csv: no such file", recipe(), BAD_INPUT),
    "empty file": Broken("empty file (0 bytes)", recipe(), BAD_INPUT, file("pairs.csv", "")),
    "folder": Broken("is a folder; write a glob", recipe(), BAD_INPUT, file("pairs.csv/a", "")),
    "no column": Broken("no column 'url'", recipe(), BAD_INPUT, file("pairs.csv", "link,caption\na,b\n")),
    "column twice": Broken(
        "has 2 columns called 'url'", recipe(), BAD_INPUT, file("pairs.csv", "url,url,caption\n1,2,3\n")
    ),
    "capital column": Broken("nearest: URL", recipe(), BAD_INPUT, file("pairs.csv", "URL,caption\na,b\n")),
    "zip": Broken("pairs.csv", recipe(), BAD_INPUT, file("pairs.csv", b"PK\x03\x04" + bytes(99))),
    "UTF-16": Broken("pairs.csv", recipe(), BAD_INPUT, file("pairs.csv", "url,caption\na,b\n".encode("utf-16"))),
    "glob of nothing": Broken("no file fits this glob", recipe(source=table(paths=["DIR/*.csv"]))),
    "unknown suffix": Broken(
        "unknown kind of file", recipe(source=table(paths=["DIR/a.xlsx"])), BAD_INPUT, file("a.xlsx", "x")
    ),
    "cut Parquet": Broken(
        "not a Parquet file, or cut short",
        recipe(source=table(paths=["DIR/a.parquet"])),
        BAD_INPUT,
        parquet("a.parquet", keep=80, url=["a"], caption=["b"]),
    ),
    "Parquet of numbers": Broken(
        "expected text (string)",
        recipe(source=table(paths=["DIR/a.parquet"])),
        BAD_INPUT,
        parquet("a.parquet", url=[1], caption=["b"]),
    ),
    "Parquet without a column": Broken(
        "no column 'caption'",
        recipe(source=table(paths=["DIR/a.parquet"])),
        BAD_INPUT,
        parquet("a.parquet", url=["a"]),
    ),
    "gzip that is none": Broken(
        "a.csv.gz", recipe(source=table(paths=["DIR/a.csv.gz"])), BAD_INPUT, file("a.csv.gz", "url")
    ),
    "no WARC": Broken("a.warc.gz", recipe(source={"kind": "warc", "paths": ["DIR/a.warc.gz"]}), BAD_INPUT),
    "seed of another scheme": Broken("no http(s) URL: ftp://a.cn/", crawl(seeds=["ftp://a.cn/"])),
    "no seeds": Broken("source.seeds", crawl(seeds=[])),
    "no queries": Broken("queries.txt", search(), BAD_INPUT),
    "unknown endpoint": Broken("source.endpoint", search(endpoint="gogle"), make=file("queries.txt", "猫\n")),
    "unknown column place": Broken("give either `layout:`", recipe(source=table(columns={"url": "u"}))),
    "blocklist of nothing": Broken("blocklist", recipe(crawler={"user_agent": AGENT, "blocklists": ["DIR/none.txt"]})),
}

GOOD_TABLE = file("pairs.csv", "url,caption\nhttp://a.cn/1.jpg,一\n")
ARGUMENTS = {
    "no equals sign": Broken("expected PLACE=VALUE", recipe(), make=GOOD_TABLE, arguments=("--set", "rules.mine")),
    "empty place": Broken("expected PLACE=VALUE", recipe(), make=GOOD_TABLE, arguments=("--set", "=3")),
    "place in a text": Broken("is not a section", recipe(), make=GOOD_TABLE, arguments=("--set", "name.x=3")),
    "override out of range": Broken(
        "--set: image.quality", recipe(), make=GOOD_TABLE, arguments=("--set", "image.quality=0")
    ),
    "override of no section": Broken(
        "--set: imgae: unknown key, did you mean image?",
        recipe(),
        make=GOOD_TABLE,
        arguments=("--set", "imgae.quality=9"),
    ),
    "unknown reason": Broken("slow", recipe(), make=GOOD_TABLE, arguments=("--retry", "slow")),
    "no workers": Broken("--workers", recipe(), make=GOOD_TABLE, arguments=("--workers", "0")),
}

EVERY = {
    f"{group}: {name}": case
    for group, cases in (("yaml", YAML), ("shape", SHAPE), ("rules", RULES), ("input", INPUT), ("arguments", ARGUMENTS))
    for name, case in cases.items()
}


def test_they_are_eighty_or_more_and_differ() -> None:
    assert len(EVERY) >= 80
    assert len({(case.text, case.make, case.arguments) for case in EVERY.values()}) == len(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_broken_recipe_ends_plainly_and_makes_nothing(name: str, tmp_path: Path) -> None:
    case = EVERY[name]
    case.make(tmp_path)
    text = case.text if isinstance(case.text, bytes) else case.text.replace("DIR", str(tmp_path)).encode()
    (tmp_path / "recipe.yaml").write_bytes(text)
    command = ["run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"), *case.arguments]
    ended = CliRunner().invoke(app, command)
    assert ended.exit_code == case.code, ended.output
    assert case.told.replace("DIR", str(tmp_path)) in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.output
    assert not (tmp_path / "run").exists()


def _link_to_a_file(folder: Path) -> None:
    (folder / "there").write_text("x")
    (folder / "run").symlink_to(folder / "there")


@pytest.mark.parametrize(
    ("make", "out", "told"),
    [
        (file("run", "x"), "run", "is a file; expected a folder"),
        (file("run/letters.txt", "x"), "run", "is neither empty nor a run of curate"),
        (file("run/recipe.yaml", "name: x\n"), "run", "is neither empty nor a run of curate"),
        (both(file("run/recipe.yaml", recipe(source=table(layout="zero")))), "run", "holds a run of another source"),
        (_link_to_a_file, "run", "is a file; expected a folder"),
        (file("sub/a", ""), "sub/../sub", "is neither empty nor a run of curate"),
        (file("a", ""), "gs://bucket/run", "--out gs://bucket/run"),
        (file("a", ""), "a" * 300, "--out"),
    ],
)
def test_a_folder_that_is_not_ours_is_left_alone(make: Made, out: str, told: str, tmp_path: Path) -> None:
    both(GOOD_TABLE, make)(tmp_path)
    (tmp_path / "recipe.yaml").write_text(recipe().replace("DIR", str(tmp_path)))
    before = sorted(tmp_path.rglob("*"))
    place = out if "://" in out else str(tmp_path / out)
    ended = CliRunner().invoke(app, ["run", str(tmp_path / "recipe.yaml"), "--out", place])
    assert ended.exit_code in (2, 74), ended.output
    assert told in ended.stderr
    assert "Traceback" not in ended.output
    assert sorted(tmp_path.rglob("*")) == before
