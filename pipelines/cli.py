"""The command line: one function a command, one clear line an error, exit codes as the design says."""

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from shards.errors import CurateError

app = typer.Typer(
    name="curate",
    help="Makes Chinese image-text datasets at web scale: crawl, filter, deduplicate, score, release.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DEAD_ROWS_EXIT = 3
INTERRUPTED_EXIT = 130

RecipeArgument = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")]
RunArgument = Annotated[Path, typer.Argument(help="The folder of a run.")]
RetryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--retry", metavar="REASON[,REASON…]", help="Attempt again the downloads that ended in these reasons."
    ),
]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="PLACE=VALUE over the recipe; may be repeated.")]


def _told_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Errors of ours become one message and their exit code; anything else is a bug and shows its traceback."""

    @wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except CurateError as error:
            typer.echo(f"curate: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("curate: interrupted; run the same command again to go on", err=True)
            raise typer.Exit(INTERRUPTED_EXIT) from None
        except BrokenPipeError:
            raise typer.Exit(0) from None

    return wrapped


@app.command()
@_told_plainly
def run(
    recipe: RecipeArgument,
    out: Annotated[str, typer.Option(help="The run's folder; an earlier run there is resumed.")],
    address: Annotated[str | None, typer.Option(help="A running Ray cluster, such as host:6379 or auto.")] = None,
    set_: SetOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Parts at once; default: the CPUs there are.")] = None,
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


@app.command()
@_told_plainly
def plan(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Print stages, parts, where each rule runs, what is measured and what to expect; nothing is run."""
    from pipelines.checks import checked_plan
    from pipelines.flow.reuse import reuse_outlook
    from pipelines.outlook import describe_plan
    from pipelines.recipe import read_recipe

    checked = checked_plan(read_recipe(recipe, set_ or ()), f"recipe {recipe}", bring_models=False)
    typer.echo("\n".join([describe_plan(checked), *reuse_outlook(checked.recipe)]))


@app.command()
@_told_plainly
def status(run: RunArgument) -> None:
    """Print how far a run has come, and its funnel so far."""
    from pipelines.funnel import print_status

    print_status(run.resolve())


@app.command()
@_told_plainly
def why(
    run: RunArgument, url_or_uid: Annotated[str, typer.Argument(help="An image's URL or uid, or a page's URL.")]
) -> None:
    """Tell the story of one sample: every measure, every rule, its group, its shard."""
    from pipelines.why import tell_story

    typer.echo(tell_story(run.resolve(), url_or_uid))


@app.command()
@_told_plainly
def sql(
    run: RunArgument,
    query: Annotated[str, typer.Argument(help="A query over pages, candidates, samples, images, measures, ...")],
    format_: Annotated[str, typer.Option("--format", "-f", help="table, csv, json, or parquet (needs -o).")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")] = None,
) -> None:
    """Query a run in DuckDB."""
    from pipelines.query import run_query

    run_query(run.resolve(), query, format_, output)


@app.command()
@_told_plainly
def release(
    run: RunArgument,
    out: Annotated[str, typer.Option(help="The release's folder, new or empty.")],
    recipe: Annotated[
        str | None, typer.Option(help="The recipe to decide by; default: the run's own, as --set changes it.")
    ] = None,
    shards: Annotated[bool, typer.Option("--shards", help="Write the tars too.")] = False,
    set_: SetOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Parts at once; default: the CPUs there are.")] = None,
) -> None:
    """Decide a finished run again by another recipe, over what was measured: manifest and uids, or shards as well."""
    from pipelines.funnel import print_stats
    from pipelines.plan_file import read_plan
    from pipelines.progress import Progress
    from pipelines.recipe import read_recipe
    from pipelines.release_again import release_again, told_lacking
    from pipelines.workers import RayPool

    read_plan(run)
    name = recipe or str(run / "recipe.yaml")
    mapping = read_recipe(name, set_ or ())
    made = release_again(
        run.resolve(), mapping, f"recipe {name}", out, shards, lambda: RayPool(None, workers), Progress()
    )
    print_stats(made.stats, made.plan.rules)
    for line in told_lacking(made, run):
        typer.echo(line)
    typer.echo(f"\n{made.folder}")


@app.command()
@_told_plainly
def verify(
    path: Annotated[Path, typer.Argument(metavar="RUN-or-RELEASE", help="The folder of a run or of a release.")],
) -> None:
    """Check every digest, every count and every sample of a run or a release; ends with 1 if anything is wrong."""
    from pipelines.live_line import LiveLine
    from pipelines.verify.command import verify as verify_path

    verdict = verify_path(path.resolve(), typer.echo, LiveLine())
    typer.echo(verdict.summary)
    raise typer.Exit(1 if verdict.num_faults else 0)


@app.command()
@_told_plainly
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The folder of a run or of a release.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one, usually the later.")],
    format_: Annotated[str, typer.Option("--format", "-f", help="table, or json.")] = "table",
) -> None:
    """Tell what changed from one release to another, by reason; ends with 0 whether or not they differ."""
    from pipelines.diff.command import describe_difference

    typer.echo(describe_difference(a.resolve(), b.resolve(), format_))


@app.command()
@_told_plainly
def export(
    path: Annotated[Path, typer.Argument(metavar="RUN-or-RELEASE", help="The folder of a run or of a release.")],
    layout: Annotated[str, typer.Option(help="wukong, zero, wudaomm, wenlan, chinese-clip, laion, datacomp or coyo.")],
    out: Annotated[str, typer.Option(help="The folder to write, new or empty.")],
) -> None:
    """Write the kept samples in the format of a released dataset; says what that format cannot hold."""
    from pipelines.export import export_lines

    typer.echo("\n".join(export_lines(path.resolve(), layout, out)))


@app.command()
@_told_plainly
def schema() -> None:
    """Print the recipe's JSON Schema, for editors."""
    from pipelines.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), ensure_ascii=False, indent=2))


@app.command()
@_told_plainly
def recipes() -> None:
    """List the shipped recipes."""
    from pipelines.recipe import shipped_recipes

    for name, path in shipped_recipes().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        typer.echo(f"{name:16} {first}")


@app.command()
@_told_plainly
def fingerprint(
    folder: Annotated[Path, typer.Argument(help="A folder with images, such as an evaluation set's.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The hash file to write.")],
) -> None:
    """Hash the images of a folder, for `dedup.evaluation` and `dedup.against`."""
    from pipelines.fingerprints import write_hash_file

    for line in write_hash_file(folder, output):
        typer.echo(line, err=True)


@app.command()
@_told_plainly
def demo(
    out: Annotated[str, typer.Option(help="The demo run's folder.")] = "demo-run",
    workers: Annotated[int | None, typer.Option(min=1, help="Parts at once; default: the CPUs there are.")] = None,
    log: Annotated[Path | None, typer.Option(help="A file for the site's log of requests.")] = None,
) -> None:
    """Crawl a small Chinese site on this machine and make a dataset of it, offline."""
    from pipelines.demo.run import serving_demo_site
    from pipelines.recipe import read_recipe

    with serving_demo_site(log):
        _run_and_print(read_recipe("demo"), "recipe demo", out, None, workers)


def main() -> None:
    """For `python -m pipelines.cli`."""
    app()


if __name__ == "__main__":
    main()
