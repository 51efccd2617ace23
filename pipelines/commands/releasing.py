"""Commands that write data from a finished run: release, export, fingerprint."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import PathArgument, RunArgument, SetOption, WorkersOption, told_plainly

commands = typer.Typer()


@commands.command()
@told_plainly
def release(
    run: RunArgument,
    out: Annotated[str, typer.Option(help="The release's folder, new or empty.")],
    recipe: Annotated[
        str | None, typer.Option(help="The recipe to decide by; default: the run's own, as --set changes it.")
    ] = None,
    shards: Annotated[bool, typer.Option("--shards", help="Write the tars too.")] = False,
    set_: SetOption = None,
    workers: WorkersOption = None,
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


@commands.command()
@told_plainly
def export(
    path: PathArgument,
    layout: Annotated[str, typer.Option(help="wukong, zero, wudaomm, wenlan, chinese-clip, laion, datacomp or coyo.")],
    out: Annotated[str, typer.Option(help="The folder to write, new or empty.")],
) -> None:
    """Write the kept samples in the format of a released dataset; says what that format cannot hold."""
    from pipelines.export import export_lines

    typer.echo("\n".join(export_lines(path.resolve(), layout, out)))


@commands.command()
@told_plainly
def fingerprint(
    folder: Annotated[Path, typer.Argument(help="A folder with images, such as an evaluation set's.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The hash file to write.")],
) -> None:
    """Hash the images of a folder, for `dedup.evaluation` and `dedup.against`."""
    from pipelines.fingerprints import write_hash_file

    for line in write_hash_file(folder, output):
        typer.echo(line, err=True)
