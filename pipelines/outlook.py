"""`curate plan`: what a run would do, in words, with what it would cost as far as that can be known."""

from crawler.sources import CrawlSource, TableSource
from filters.measures import MEASURES
from pipelines.flow.collect import source_slices
from pipelines.stages import STAGES
from pipelines.tasks import Plan, buckets_for

_BYTES_PER_IMAGE = 60_000
"""A 512 px JPEG of quality 92, as the demo's and the shared photographs come out."""


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
    return [name for name in plan.measures if (rank_stage if name == "dup_rank" else MEASURES[name].stage) == stage]


def _expectations(plan: Plan) -> list[str]:
    per_host = plan.recipe.crawler.per_host
    rate = f"{1 / per_host.delay_s:.3g} requests/s" if per_host.delay_s else "no delay"
    lines = [f"polite   each host: at most {per_host.concurrency} in flight, {rate}; {plan.recipe.crawler.lanes} lanes"]
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
        lines.append(f"         one host that holds all rows would take {rows * per_host.delay_s / 3600:,.1f} h")
    elif size:
        lines.append(f"expect   {size / 1e9:,.2f} GB of WARC to read")
    return lines
