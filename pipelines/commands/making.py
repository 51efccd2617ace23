"""Commands that make a run: run, plan, demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.base import RecipeArgument, RetryOption, SetOption, WorkersOption, told_plainly

if TYPE_CHECKING:
    from pipelines.live_line import LiveLine
    from pipelines.summary import Summary

commands = typer.Typer()
DEAD_ROWS_EXIT = 3


@commands.command()
@told_plainly
def run(
    recipe: RecipeArgument,
    out: Annotated[str, typer.Option(help="The run's folder; an earlier run there is resumed.")],
    address: Annotated[str | None, typer.Option(help="A running Ray cluster, such as host:6379 or auto.")] = None,
    set_: SetOption = None,
    workers: WorkersOption = None,
    limit: Annotated[
        str | None, typer.Option(metavar="N", help="Look at the source's first N rows; of a crawl, at N pages.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Take this share of the source's images, as 0.01, by uid.")
    ] = None,
    retry: RetryOption = None,
    shared_out: Annotated[
        bool, typer.Option("--shared-out", help="With --address: every node sees the very folder of --out.")
    ] = False,
    log_format: Annotated[str, typer.Option(help="text, or json: an object a line on standard error.")] = "text",
    summary: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write how it ended as JSON; `-`: print that alone.")
    ] = None,
) -> None:
    """Run or resume a recipe; ends with the funnel."""
    from pipelines.json_log import open_log
    from pipelines.part_of_source import with_part
    from pipelines.recipe import read_recipe
    from pipelines.retries import parse_reasons
    from pipelines.summary import Summarised

    log = open_log(log_format)
    with Summarised(summary, out, log) as told:
        again = parse_reasons(retry or ())
        mapping = with_part(read_recipe(recipe, set_ or ()), limit, sample)
        _run_and_print(mapping, f"recipe {recipe}", out, address, workers, again, shared_out, log, told)


def _run_and_print(
    mapping: dict[str, Any],
    what: str,
    out: str,
    address: str | None,
    workers: int | None,
    retry: tuple[str, ...] = (),
    is_shared: bool = False,
    log: "LiveLine | None" = None,
    told: "Summary | None" = None,
) -> None:
    from pipelines.cluster.opening import open_pool
    from pipelines.funnel import print_funnel
    from pipelines.launch import run_recipe
    from pipelines.live_line import LiveLine
    from pipelines.progress import Progress
    from shards.storage import told_place

    result = run_recipe(
        mapping,
        what,
        out,
        lambda: open_pool(mapping, out, address, workers, is_shared),
        Progress(line=log),
        retry,
        opens_first=address is not None,
    )
    if told is not None:
        told.stats, told.dead_rows = result.stats, result.num_dead
    if told is None or not told.is_printed:
        print_funnel(result.run)
        typer.echo(f"\n{told_place(result.run / 'release')}")
    if result.num_dead:
        stories = told_place(result.run / "dead")
        (log or LiveLine()).note(f"{result.num_dead} rows failed again and again; each has its story in {stories}")
        raise typer.Exit(DEAD_ROWS_EXIT)


@commands.command()
@told_plainly
def plan(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Print stages, parts, where each rule runs, what is measured and what to expect; nothing is run."""
    from pipelines.checks import checked_plan
    from pipelines.flow.reuse import reuse_outlook
    from pipelines.outlook import describe_plan
    from pipelines.recipe import read_recipe

    checked = checked_plan(read_recipe(recipe, set_ or ()), f"recipe {recipe}", bring_models=False)
    typer.echo("\n".join([describe_plan(checked), *reuse_outlook(checked.recipe)]))


@commands.command()
@told_plainly
def demo(
    out: Annotated[str, typer.Option(help="The demo run's folder.")] = "demo-run",
    workers: WorkersOption = None,
    log: Annotated[Path | None, typer.Option(help="A file for the site's log of requests.")] = None,
) -> None:
    """Crawl a small Chinese site on this machine and make a dataset of it, offline."""
    from pipelines.demo.run import serving_demo_site
    from pipelines.recipe import read_recipe

    with serving_demo_site(log):
        _run_and_print(read_recipe("demo"), "recipe demo", out, None, workers)
