"""Commands that tell about a run or a release: status, why, sql, explore, verify, report, diff, sample."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import PathArgument, PlaceArgument, RunPlaceArgument, folder_of, told_plainly

commands = typer.Typer()


@commands.command()
@told_plainly
def status(
    run: RunPlaceArgument,
    watch: Annotated[
        float | None, typer.Option(min=0.1, help="Draw it again every so many seconds until the run ends.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", "-f", help="table, json, or prometheus (text format).")] = "table",
) -> None:
    """Print how far a run has come, and its funnel so far."""
    from pipelines.standing.command import tell_standing

    tell_standing(folder_of(run), format_, watch)


@commands.command()
@told_plainly
def why(
    run: RunPlaceArgument, url_or_uid: Annotated[str, typer.Argument(help="An image's URL or uid, or a page's URL.")]
) -> None:
    """Tell the story of one sample: every measure, every rule, its group, its shard."""
    from pipelines.why import tell_story

    typer.echo(tell_story(folder_of(run), url_or_uid))


@commands.command()
@told_plainly
def sql(
    run: RunPlaceArgument,
    query: Annotated[str, typer.Argument(help="A query over pages, candidates, samples, images, measures, ...")],
    format_: Annotated[str, typer.Option("--format", "-f", help="table, csv, json, or parquet (needs -o).")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")] = None,
) -> None:
    """Query a run in DuckDB."""
    from pipelines.query import run_query

    run_query(folder_of(run), query, format_, output)


@commands.command()
@told_plainly
def explore(
    path: PathArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0: any that is free.")] = 0,
    opens: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser, where there is a screen.")] = True,
    label: Annotated[Path | None, typer.Option(help="A Parquet file with uid and text, to label.")] = None,
    annotator: Annotated[str | None, typer.Option(help="Whose answers: needed for labelling.")] = None,
    labels: Annotated[Path | None, typer.Option(help="The folder of answers; default: labels/ in the run.")] = None,
) -> None:
    """Look at samples in a browser of this machine, which nothing leaves: filter, sort, move thresholds, label."""
    from pipelines.explore.command import Wishes
    from pipelines.explore.command import explore as explore_path

    explore_path(path.resolve(), Wishes(port, opens, label, annotator, labels), typer.echo)


@commands.command()
@told_plainly
def verify(
    path: PlaceArgument,
) -> None:
    """Check every digest, every count and every sample of a run or a release; ends with 1 if anything is wrong."""
    from pipelines.live_line import LiveLine
    from pipelines.verify.command import verify as verify_path
    from shards.storage import reading_whole

    with reading_whole(path) as folder:
        verdict = verify_path(folder, typer.echo, LiveLine())
    typer.echo(verdict.summary)
    raise typer.Exit(1 if verdict.num_faults else 0)


@commands.command()
@told_plainly
def report(
    path: PlaceArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; default: RUN/report.html, or beside a release NAME-report.html"),
    ] = None,
) -> None:
    """Draw a run's or a release's report as one HTML file, with samples at each threshold, and print where it lies."""
    from pipelines.report.command import write_report
    from shards.storage import told_place

    written = write_report(folder_of(path), output)
    typer.echo(output or told_place(written))


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


@commands.command()
@told_plainly
def sample(
    path: PathArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The Parquet file to write; its hashes come beside it.")
    ],
    size: Annotated[int, typer.Option(min=1, help="Samples to draw.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another sample.")] = 0,
    by: Annotated[
        str | None, typer.Option(help="Stratify in proportion, by category, host, text_kind or query.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Draw of this split alone.")] = None,
    distance: Annotated[
        int | None, typer.Option(min=0, max=16, help="Bits within which an image is too near; default: the recipe's.")
    ] = None,
) -> None:
    """Draw a test set, and write the hashes that keep it and all that is near it out of later training sets."""
    from pipelines.evaluation_sets.sample import Request, draw_sample, told

    request = Request(size, seed, by, split, distance)
    typer.echo("\n".join(told(draw_sample(path.resolve(), request, output), request)))
