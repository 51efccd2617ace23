"""`curate why`: the story of one sample or page, from the parts of the run it went through."""

import re
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from crawler.urls import canonical_url
from filters.rules import PlacedRule
from pipelines.flow.fetch import FETCH_PART
from pipelines.flow.holders import as_ranges, may_overlap
from pipelines.plan_file import read_plan
from pipelines.tasks import Plan
from shards.catalog import committed_files
from shards.database import quoted, scratch_database
from shards.errors import CurateError
from shards.parts import StepFolder
from shards.schema import STAGES, uid_of
from shards.tables import fit, read_rows

_FACTS = ("page_url", "host", "source", "query", "query_rank", "strength", "category", "license", "num_pages")
_UID = re.compile(r"[0-9a-fA-F]{32}")


class UnknownSampleError(CurateError):
    """Neither a sample nor a page of the run."""


def tell_story(run: Path, url_or_uid: str) -> str:
    """What became of an image (by URL or uid) or a page (by URL), and why. Raises `UnknownSampleError`."""
    plan = read_plan(run)
    uid = url_or_uid.lower() if _UID.fullmatch(url_or_uid) else _uid(url_or_uid)
    row = _find(run, "select", ("kept", "dropped"), "uid", uid)
    if row is not None:
        shard = _find(run, "release", ("manifest",), "uid", uid)
        return "\n".join(_sample_story(row, plan, shard["shard"] if shard else None, run))
    page = _find(run, "crawl", ("pages",), "url", canonical_url(url_or_uid) or url_or_uid)
    if page is not None:
        return "\n".join(_page_story(page))
    for step, sentence in _UNFINISHED:
        if _find(run, step, ("rows",), "uid", uid) is not None:
            return f"{url_or_uid}\n  {sentence}; the run has not come to its end: `curate run` resumes it"
    raise UnknownSampleError(f"{url_or_uid}: {_unknown(run)}")


_UNFINISHED = (
    ("measure", "was fetched and measured"),
    ("fetch", "was fetched"),
    ("admit", "is a sample"),
    ("collect", "is a candidate"),
)


def _unknown(run: Path) -> str:
    named = "page that the crawl visited" if committed_files(run, "crawl", "pages") else "row of the source"
    return (
        f"no {named} names this image, and no page has this URL: it is neither kept nor dropped. "
        "URLs are compared in canonical form (without fragment); `curate sql` finds similar ones in `candidates`"
    )


def _uid(url: str) -> str:
    return uid_of(canonical_url(url) or url)


def _find(run: Path, step: str, roles: tuple[str, ...], column: str, value: str) -> dict[str, Any] | None:
    paths = [path for role in roles for path in committed_files(run, step, role)]
    if not paths:
        return None
    with scratch_database(run) as database:
        query = f"SELECT * FROM read_parquet({quoted(paths)}, union_by_name = true) WHERE {column} = ? LIMIT 1"
        rows: list[dict[str, Any]] = database.sql(query, params=[value]).to_arrow_table().to_pylist()
    return rows[0] if rows else None


def _sample_story(row: dict[str, Any], plan: Plan, shard: str | None, run: Path) -> list[str]:
    """What became of it comes first, then what it is, then every measure and every rule."""
    lines = [_printable(row["url"] or row["uid"]), f"  uid         {row['uid']}"]
    lines += _verdict(row, plan, shard)
    lines += _group(row, _other(run, row.get("dup_of")))
    lines += _near(row, _other(run, row.get("sem_dup_of")))
    lines += [f"  {name:11} {_printable(str(row[name]))}" for name in _FACTS if row.get(name) is not None]
    lines += _texts(row, plan)
    lines += _download(run, row)
    lines += _measures(row, plan)
    return lines + _rules(row, plan)


def _other(run: Path, uid: str | None) -> dict[str, Any] | None:
    """Another sample of the run, by the uid that a row names."""
    return _find(run, "select", ("kept", "dropped"), "uid", uid) if uid else None


def _verdict(row: dict[str, Any], plan: Plan, shard: str | None) -> list[str]:
    if row["status"] == "kept":
        return [f"  kept        in shard {shard}" if shard else "  kept        (the release is not written yet)"]
    reason = row["drop_reason"]
    rule = _rule(plan, reason)
    lines = [f"  dropped     at {row['dropped_at']}: {reason}" + (f", the rule `{rule.expression}`" if rule else "")]
    if rule:
        lines += [f"              {name} = {_shown(value)}" for name, value in _values(row, rule)]
    if row["detail"]:
        lines.append(f"  detail      {_printable(row['detail'])}")
    also = [name for name in row["failed_rules"] or [] if name != reason]
    if also:
        lines.append(f"  failed too  {', '.join(also)}")
    return lines


def _values(row: dict[str, Any], rule: PlacedRule) -> list[tuple[str, Any]]:
    """What the rule looked at; for a text rule, of each text that it dropped."""
    if rule.level == "sample":
        return [(name, row.get(name)) for name in rule.columns]
    fell = [text for text in row["texts"] or [] if text["drop_reason"] == rule.name]
    return [
        (f"{name} of {text['kind']} {_shown(text['text'])}", text.get(name, row.get(name)))
        for text in fell
        for name in rule.columns
        if name != "text"
    ]


def _texts(row: dict[str, Any], plan: Plan) -> list[str]:
    names = [name for name in plan.measures if row["texts"] and name in row["texts"][0]]
    lines = []
    for text in row["texts"] or []:
        caption = row["status"] == "kept" and text["text"] == row["text"] and text["kind"] == row["text_kind"]
        state = "caption" if caption else text["drop_reason"] or "stands"
        values = ", ".join(f"{name} {_shown(text[name])}" for name in names if text[name] is not None)
        lines.append(f"  text        {text['kind']}: {_shown(text['text'])} [{state}] {values}".rstrip())
    return lines


def _group(row: dict[str, Any], survivor: dict[str, Any] | None) -> list[str]:
    if survivor is not None:
        fate = "is kept" if survivor["status"] == "kept" else f"fell later for {survivor['drop_reason']}"
        who = f"{_printable(survivor['url'])} (uid {survivor['uid']})"
        return [f"  duplicate   of {who}, which stayed of the group and {fate}"]
    return [f"  group       {row['dup_group']}"] if row.get("dup_group") else []


def _near(row: dict[str, Any], other: dict[str, Any] | None) -> list[str]:
    """Whose image looks most alike, of those in its cluster that were before it."""
    if other is None:
        return []
    return [f"  looks like  {_printable(other['url'])} (uid {other['uid']}), cosine {_shown(row['sem_dup_cos'])}"]


def _download(run: Path, row: dict[str, Any]) -> list[str]:
    """Where the image came from, what its site said of it, and every attempt if there were several."""
    attempts = _attempts(run, row["uid"])
    if not attempts:
        return []
    final = attempts[-1]
    told = {
        "final_url": final["final_url"] if final["final_url"] != row["canonical_url"] else None,
        "robots": final["robots"],
        "opt_out": final["opt_out"],
        "reused": final["reused_from"] and f"stored copy of {final['reused_from']}",
    }
    lines = [f"  {name:11} {_printable(text)}" for name, text in told.items() if text]
    if len(attempts) > 1:
        lines += [f"  attempt {number}   {_ended(attempt)}" for number, attempt in enumerate(attempts, 1)]
    return lines


def _attempts(run: Path, uid: str) -> list[dict[str, Any]]:
    """The uid's row in each fetch part that ever had it, in order of attempts."""
    folder = StepFolder(run, "fetch")
    rows: list[dict[str, Any]] = []
    for record in folder.records():
        if may_overlap(((uid, uid),), as_ranges(record.meta.get("uids"))) and folder.is_whole(record):
            found = read_rows(folder.file(record, "rows"))
            rows += fit(found.filter(pc.equal(found["uid"], uid)), FETCH_PART).to_pylist()
    return rows


def _ended(attempt: dict[str, Any]) -> str:
    reason, detail = attempt["drop_reason"], attempt["detail"]
    told = f"{reason}{f' ({detail})' if detail else ''}" if reason else "an image"
    return _printable(told) + (f", status {attempt['http_status']}" if attempt["http_status"] else "")


def _measures(row: dict[str, Any], plan: Plan) -> list[str]:
    sizes = ("format", "bytes", "original_width", "original_height", "width", "height", "http_status", "sha256")
    texts = set(row["texts"][0]) if row["texts"] else set()
    names = [*sizes, *(name for name in plan.measures if name not in texts and name not in sizes)]
    return [f"  {name:15} {_shown(row[name])}" for name in names if row.get(name) is not None]


def _rules(row: dict[str, Any], plan: Plan) -> list[str]:
    """Every rule in order of judgement, with what it said."""
    lines = ["  rules"]
    for rule in plan.rules:
        failed = rule.name in (row["failed_rules"] or [])
        verdict = "failed" if failed else "passed" if _was_judged(rule, row, plan) else "not reached"
        lines.append(f"    {verdict:11} {rule.stage:8} {rule.name}: {rule.expression}")
    return lines


def _was_judged(rule: PlacedRule, row: dict[str, Any], plan: Plan) -> bool:
    """What the web refused at a stage was not judged there; what a rule dropped met all rules of its stage."""
    if row["dropped_at"] is None:
        return True
    last = STAGES.index(row["dropped_at"]) - (_rule(plan, row["drop_reason"]) is None)
    return STAGES.index(rule.stage) <= last


def _rule(plan: Plan, name: str) -> PlacedRule | None:
    return next((rule for rule in plan.rules if rule.name == name), None)


def _shown(value: object) -> str:
    """Texts in quotes, numbers short."""
    if isinstance(value, str):
        return f"'{_printable(value[:200])}{'…' if len(value) > 200 else ''}'"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    """Nothing in it that a terminal would obey: a page may say anything."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _page_story(page: dict[str, Any]) -> list[str]:
    lines = [
        _printable(page["url"]),
        f"  page        round {page['round']}, depth {page['depth']}, host {page['host']}",
    ]
    if page["drop_reason"]:
        lines.append(
            f"  not used    at crawl: {page['drop_reason']}" + (f" ({page['detail']})" if page["detail"] else "")
        )
    else:
        lines.append(f"  fetched     status {page['status']}, {page['num_images']} images, {page['num_links']} links")
    return lines
