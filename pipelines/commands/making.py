"""Commands that make a run: run, plan, demo."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.base import RecipeArgument, RetryOption, SetOption, WorkersOption, told_plainly

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
    retry: RetryOption = None,
) -> None:
    """Run or resume a recipe; ends with the funnel."""
    from pipelines.recipe import read_recipe
    from pipelines.retries import parse_reasons

    again = parse_reasons(retry or ())
    _run_and_print(read_recipe(recipe, set_ or ()), f"recipe {recipe}", out, address, workers, again)


def _run_and_print(
    mapping: dict[str, Any],
    what: str,
    out: str,
    address: str | None,
    workers: int | None,
    retry: tuple[str, ...] = (),
) -> None:
    from pipelines.funnel import print_funnel
    from pipelines.launch import run_recipe
    from pipelines.progress import Progress
    from pipelines.workers import RayPool

    result = run_recipe(mapping, what, out, lambda: RayPool(address, workers), Progress(), retry)
    print_funnel(result.run)
    typer.echo(f"\n{result.run / 'release'}")
    if result.num_dead:
        typer.echo(
            f"{result.num_dead} rows failed again and again; each has its story in {result.run / 'dead'}", err=True
        )
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
