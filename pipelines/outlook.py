"""`curate plan`: what a run would do, in words, with what it would cost as far as that can be known."""

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crawler.archives.source import WarcIndex, WarcSource
from crawler.archives.where import condition_of
from crawler.lanes import plan_lanes
from crawler.lists.shards_source import ShardsSource
from crawler.lists.tables import read_table_slice
from crawler.search.asking import SearchSettings
from crawler.search.source import SearchSource
from crawler.settings import CrawlerSettings
from crawler.sources import CrawlSource, TableSource
from crawler.url_columns import canonical_urls
from filters.clip.settings import ScoreSettings
from filters.clip.weights import LOCAL_DIR, local_folder, score_identity
from filters.measures import MEASURES, stage_of
from filters.models.files import file_digest, model_file, models_behind
from pipelines.empty_columns import rules_without_rows
from pipelines.flow.archive_index import index_files, reach_of
from pipelines.flow.collect import source_slices
from pipelines.flow.lanes import CPU_S_PER_ROW
from pipelines.flow.search import query_slices
from pipelines.part_of_source import told_source
from pipelines.stages import STAGES
from pipelines.tasks import Plan, buckets_for

_BYTES_PER_IMAGE = 60_000
"""A 512 px JPEG of quality 92, as the demo's and the shared photographs come out."""

_SAMPLED_SLICES = 4
_SAMPLED_ROWS = 25_000
"""Rows read of each sampled slice, to see how URLs spread over hosts."""
_SHOWN_HOSTS = 3
_SHOWN_DIGITS = 16
_UNKNOWN_ROWS = 1_000_000
"""What the bound is told for, where a table does not say how many rows it has."""


def describe_plan(plan: Plan) -> str:
    """Stages with their rules, measures and models, then the politeness bound and expected sizes."""
    part = told_source(plan.recipe.source)
    lines = [f"recipe {plan.recipe.name}: source {plan.recipe.source.kind}" + (f", {part}" if part else ""), ""]
    for stage in STAGES:
        if not _has_stage(plan, stage.name):
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
            *_model_facts(model),
        ]
    lines += _image_models(plan)
    notes = [f"note     {note}" for note in rules_without_rows(plan.recipe, plan.rules)]
    lines += ["", *notes] if notes else []
    return "\n".join([*lines, "", *_expectations(plan)])


def _image_models(plan: Plan) -> Iterator[str]:
    """The models behind measures of stored copies, with the files that hold them."""
    for number, model in enumerate(models_behind(plan.measures)):
        path = model_file(model, plan.recipe.models)
        yield ("" if number or plan.scores else "\n") + (
            f"model    {model}, {path}, sha256 {file_digest(path)[:_SHOWN_DIGITS]}…"
        )


def _has_stage(plan: Plan, stage: str) -> bool:
    """Whether a run of the plan comes to the stage at all."""
    source = plan.recipe.source
    only_of: dict[str, bool] = {
        "crawl": isinstance(source, CrawlSource),
        "search": isinstance(source, SearchSource),
        "score": plan.scores,
    }
    return only_of.get(stage, True)


def _model_facts(model: ScoreSettings) -> list[str]:
    """How the model runs, and the digest of its files, weights and preprocessing, where they lie in a folder."""
    runs = f"by {model.backend}, batches of {model.batch_size}, device {model.device}"
    digest = str(score_identity(model)["model"]).removeprefix(LOCAL_DIR)[:_SHOWN_DIGITS] if local_folder(model) else ""
    return [f"         {runs}" + (f"; sha256 of its files {digest}…" if digest else "")]


def _measured_at(plan: Plan, stage: str) -> list[str]:
    rank_stage = plan.recipe.dedup.dup_rank_stage
    return [name for name in plan.measures if stage_of(MEASURES[name], rank_stage) == stage]


def _expectations(plan: Plan) -> list[str]:
    per_host = plan.recipe.crawler.per_host
    rate = f"{1 / per_host.delay_s:.3g} requests/s" if per_host.delay_s else "no delay"
    source = plan.recipe.source
    polite = [
        f"polite   each host: at most {per_host.concurrency} in flight, {rate}; "
        f"at most {plan.recipe.crawler.lanes} lanes, giants apart"
    ]
    lines = [] if isinstance(source, ShardsSource) else polite
    if isinstance(source, CrawlSource):
        pages = min(source.most_pages, source.max_pages_per_host * max(1, len(source.seeds)))
        hours = min(source.max_pages_per_host, source.limit or math.inf) * per_host.delay_s / 3600
        lines.append(
            f"expect   at most {source.rounds} rounds and {pages:,} pages, at most {hours:.1f} h for one host's pages"
        )
        return lines
    if isinstance(source, SearchSource):
        return [*lines, *_search_expectations(plan, source)]
    if isinstance(source, WarcSource) and source.index is not None:
        return [*lines, *_index_expectations(plan, source, source.index)]
    slices = source_slices(source, reach_of(plan.recipe))
    share = 1.0 if source.sample is None else source.sample
    rows = round(share * min(source.limit or math.inf, sum(getattr(piece, "num_rows", None) or 0 for piece in slices)))
    size = sum(getattr(piece, "num_bytes", 0) or 0 for piece in slices)
    lines.append(f"parts    collect {len(slices)}" + (f", admit {buckets_for(rows)} buckets" if rows else ""))
    if isinstance(source, TableSource) and rows:
        lines.append(f"expect   {rows:,} candidates; at most {rows * _BYTES_PER_IMAGE / 1e9:,.1f} GB of stored copies")
    if isinstance(source, TableSource):
        sampled, is_whole = _sampled_hosts(slices, source)
        unknown = sum(sampled.values()) if is_whole else _UNKNOWN_ROWS
        unknown = round(share * min(source.limit or math.inf, unknown))
        lines += politeness_bound(sampled, rows or unknown, plan.recipe.crawler)
    elif size:
        what = "tars" if isinstance(source, ShardsSource) else "WARC"
        lines.append(f"expect   {size / 1e9:,.2f} GB of {what} to read")
    return lines


def _index_expectations(plan: Plan, source: WarcSource, index: WarcIndex) -> list[str]:
    """What is read to find the records. How many there are is known once that is done."""
    files = index_files(source, index, reach_of(plan.recipe))
    return [
        f"parts    collect-index {len(files)}; collect: one for about {index.part_records:,} records found",
        f"find     {condition_of(index.where)}",
    ]


def _search_expectations(plan: Plan, source: SearchSource) -> list[str]:
    """Requests and hours at the most: the endpoint's rate is a bound that no number of workers moves."""
    endpoint, recipe = source.described, plan.recipe
    slices = query_slices(source)
    queries = sum(len(queries) for queries in slices)
    pages = min(endpoint.max_pages, -(-source.most_results // endpoint.page_size)) if endpoint.has_pages else 1
    limits = SearchSettings(source, recipe.crawler, recipe.fetch, recipe.network).politely.limits_of(endpoint.host)
    hours = queries * pages * limits.delay_s / 3600
    results = queries * min(source.most_results, pages * endpoint.page_size)
    return [
        f"parts    search {len(slices)}, collect {len(slices)}",
        f"expect   {queries:,} queries to {endpoint.host}, at most {queries * pages:,} requests in {hours:,.1f} h "
        f"({limits.delay_s:g} s apart); at most {results:,} results",
    ]


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
