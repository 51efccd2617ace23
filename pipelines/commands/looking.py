"""Commands that tell about a run or a release and change nothing: status, why, sql, verify, diff."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import PathArgument, RunArgument, told_plainly

commands = typer.Typer()


@commands.command()
@told_plainly
def status(run: RunArgument) -> None:
    """Print how far a run has come, and its funnel so far."""
    from pipelines.funnel import print_status

    print_status(run.resolve())


@commands.command()
@told_plainly
def why(
    run: RunArgument, url_or_uid: Annotated[str, typer.Argument(help="An image's URL or uid, or a page's URL.")]
) -> None:
    """Tell the story of one sample: every measure, every rule, its group, its shard."""
    from pipelines.why import tell_story

    typer.echo(tell_story(run.resolve(), url_or_uid))


@commands.command()
@told_plainly
def sql(
    run: RunArgument,
    query: Annotated[str, typer.Argument(help="A query over pages, candidates, samples, images, measures, ...")],
    format_: Annotated[str, typer.Option("--format", "-f", help="table, csv, json, or parquet (needs -o).")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")] = None,
) -> None:
    """Query a run in DuckDB."""
    from pipelines.query import run_query

    run_query(run.resolve(), query, format_, output)


@commands.command()
@told_plainly
def verify(
    path: PathArgument,
) -> None:
    """Check every digest, every count and every sample of a run or a release; ends with 1 if anything is wrong."""
    from pipelines.live_line import LiveLine
    from pipelines.verify.command import verify as verify_path

    verdict = verify_path(path.resolve(), typer.echo, LiveLine())
    typer.echo(verdict.summary)
    raise typer.Exit(1 if verdict.num_faults else 0)


@commands.command()
@told_plainly
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The folder of a run or of a release.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one, usually the later.")],
    format_: Annotated[str, typer.Option("--format", "-f", help="table, or json.")] = "table",
) -> None:
    """Tell what changed from one release to another, by reason; ends with 0 whether or not they differ."""
    from pipelines.diff.command import describe_difference

    typer.echo(describe_difference(a.resolve(), b.resolve(), format_))
