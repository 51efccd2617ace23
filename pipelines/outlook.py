"""`curate plan`: what a run would do, in words, with what it would cost as far as that can be known."""

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crawler.lanes import plan_lanes
from crawler.settings import CrawlerSettings
from crawler.sources import CrawlSource, TableSource
from crawler.tables import read_table_slice
from crawler.urls import canonical_urls
from filters.measures import MEASURES, stage_of
from pipelines.flow.collect import source_slices
from pipelines.flow.lanes import CPU_S_PER_ROW
from pipelines.stages import STAGES
from pipelines.tasks import Plan, buckets_for

_BYTES_PER_IMAGE = 60_000
"""A 512 px JPEG of quality 92, as the demo's and the shared photographs come out."""

_SAMPLED_SLICES = 4
_SAMPLED_ROWS = 25_000
"""Rows read of each sampled slice, to see how URLs spread over hosts."""
_SHOWN_HOSTS = 3
_UNKNOWN_ROWS = 1_000_000
"""What the bound is told for, where a table does not say how many rows it has."""


def describe_plan(plan: Plan) -> str:
    """Stages with their rules, measures and models, then the politeness bound and expected sizes."""
    lines = [f"recipe {plan.recipe.name}: source {plan.recipe.source.kind}", ""]
    for stage in STAGES:
        if stage.name == "crawl" and not isinstance(plan.recipe.source, CrawlSource):
            continue
        if stage.name == "score" and not plan.scores:
            continue
        lines.append(f"{stage.name:8} {stage.does} ({stage.kind}; {stage.resources})")
        lines += [f"           measures  {name}: {MEASURES[name].unit}" for name in _measured_at(plan, stage.name)]
        lines += [
            f"           rule      {rule.name}: {rule.expression} [{rule.level}]"
            for rule in plan.rules
            if rule.stage == stage.name
        ]
    model = plan.recipe.score
    if plan.scores and model is not None:
        lines += [
            "",
            f"model    {model.model}" + (f", {model.pretrained}" if model.pretrained else "") + f", {model.precision}",
        ]
    return "\n".join([*lines, "", *_expectations(plan)])


def _measured_at(plan: Plan, stage: str) -> list[str]:
    rank_stage = plan.recipe.dedup.dup_rank_stage
    return [name for name in plan.measures if stage_of(MEASURES[name], rank_stage) == stage]


def _expectations(plan: Plan) -> list[str]:
    per_host = plan.recipe.crawler.per_host
    rate = f"{1 / per_host.delay_s:.3g} requests/s" if per_host.delay_s else "no delay"
    lines = [
        f"polite   each host: at most {per_host.concurrency} in flight, {rate}; "
        f"at most {plan.recipe.crawler.lanes} lanes, giants apart"
    ]
    source = plan.recipe.source
    if isinstance(source, CrawlSource):
        pages = min(source.max_pages, source.max_pages_per_host * max(1, len(source.seeds)))
        hours = source.max_pages_per_host * per_host.delay_s / 3600
        lines.append(
            f"expect   at most {source.rounds} rounds and {pages:,} pages, at most {hours:.1f} h for one host's pages"
        )
        return lines
    slices = source_slices(source)
    rows = sum(getattr(piece, "num_rows", None) or 0 for piece in slices)
    size = sum(getattr(piece, "num_bytes", 0) for piece in slices)
    lines.append(f"parts    collect {len(slices)}" + (f", admit {buckets_for(rows)} buckets" if rows else ""))
    if isinstance(source, TableSource) and rows:
        lines.append(f"expect   {rows:,} candidates; at most {rows * _BYTES_PER_IMAGE / 1e9:,.1f} GB of stored copies")
    if isinstance(source, TableSource):
        sampled, is_whole = _sampled_hosts(slices, source)
        unknown = sum(sampled.values()) if is_whole else _UNKNOWN_ROWS
        lines += politeness_bound(sampled, rows or unknown, plan.recipe.crawler)
    elif size:
        lines.append(f"expect   {size / 1e9:,.2f} GB of WARC to read")
    return lines


def politeness_bound(sampled: dict[str, int], rows: int, crawler: CrawlerSettings) -> list[str]:
    """What the largest hosts of a sample mean for `rows` rows: hours that no number of workers makes fewer."""
    total = sum(sampled.values())
    if not total:
        return []
    counts = {host: round(count * rows / total) for host, count in sampled.items()}
    hours = {host: count * crawler.limits_of(host).delay_s / 3600 for host, count in counts.items()}
    slowest = sorted(hours, key=lambda host: (-hours[host], host))[:_SHOWN_HOSTS]
    shown = ", ".join(f"{host} {counts[host] / rows:.1%} {hours[host]:,.1f} h" for host in slowest)
    giants = plan_lanes(counts, rows, crawler.lanes).giants
    lines = [
        f"hosts    of {total:,} rows read: {shown}; {len(giants)} with a lane of their own",
        f"bound    for {rows:,} rows: politeness {hours[slowest[0]]:,.1f} h, "
        f"CPU {rows * CPU_S_PER_ROW / 3600:,.1f} h over all workers",
    ]
    if crawler.deadline_h is not None and hours[slowest[0]] > crawler.deadline_h:
        late = sum(
            counts[host] - math.floor(counts[host] * crawler.deadline_h / took)
            for host, took in hours.items()
            if took > crawler.deadline_h
        )
        lines.append(f"         deadline_h {crawler.deadline_h:g}: about {late:,} rows become `not_attempted`")
    return lines


def _sampled_hosts(slices: list[Any], source: TableSource) -> tuple[dict[str, int], bool]:
    """How many of the first rows of a few slices each host holds, and whether these are all rows."""
    chosen = slices[:: max(1, len(slices) // _SAMPLED_SLICES)][:_SAMPLED_SLICES]
    hosts: list[pa.Array] = []
    is_whole = len(chosen) == len(slices)
    for piece in chosen:
        room = _SAMPLED_ROWS
        for batch in read_table_slice(piece, source):
            hosts += canonical_urls(batch.column("url").slice(0, room))["host"].chunks
            room -= batch.num_rows
            if room <= 0:  # there may be more
                is_whole = False
                break
    counted = pc.value_counts(pa.chunked_array(hosts, pa.string()).drop_null().combine_chunks())
    return dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)), is_whole
