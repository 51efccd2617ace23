"""Commands that write data from a finished run, or take samples out of it: release, export, remove, fingerprint."""

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
    from pipelines.plan_file import recipe_path
    from pipelines.progress import Progress
    from pipelines.recipe import read_recipe
    from pipelines.release_again import release_again, told_lacking
    from pipelines.threads import ThreadPool
    from pipelines.workers import RayPool

    own = recipe_path(run)
    name = recipe or str(own)
    mapping = read_recipe(name, set_ or ())
    # Shards are made in processes; a decision is over in the time that Ray takes to start.
    made = release_again(
        run.resolve(),
        mapping,
        f"recipe {name}",
        out,
        shards,
        lambda: RayPool(None, workers) if shards else ThreadPool(workers),
        Progress(),
    )
    print_stats(made.stats, made.plan.rules)
    for line in told_lacking(made, run):
        typer.echo(line)
    typer.echo(f"\n{made.folder}")


@commands.command()
@told_plainly
def export(
    path: PathArgument,
    layout: Annotated[
        str,
        typer.Option(
            help="wukong, zero, wudaomm, wenlan, chinese-clip, laion, datacomp, coyo, hf-imagefolder or hf-webdataset; "
            "of a --sample: zero-matching, zero-retrieval or chinese-clip-retrieval."
        ),
    ],
    out: Annotated[str, typer.Option(help="The folder to write, new or empty.")],
    split: Annotated[str | None, typer.Option(help="Only this split of the release.")] = None,
    sample: Annotated[Path | None, typer.Option(help="A file of `curate sample`, to make a test set of.")] = None,
    labels: Annotated[Path | None, typer.Option(help="What people said of its pairs; default: RUN/labels.")] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Take pairs that nobody looked at, too.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other hard negatives.")] = 0,
) -> None:
    """Write the kept samples in the format of a released dataset, or a test set; says what the format cannot hold."""
    from pipelines.evaluation_sets.export import Order, export_test_set
    from pipelines.evaluation_sets.writing import WRITERS
    from pipelines.export import export_lines
    from shards.errors import UsageError

    if layout in WRITERS:
        lines = export_test_set(path.resolve(), Order(layout, sample, seed, labels, unlabelled), out)
    elif sample is not None or labels is not None or unlabelled:
        raise UsageError(
            f"--layout {layout} is of a whole release; --sample, --labels and --unlabelled go with a test set"
        )
    else:
        lines = export_lines(path.resolve(), layout, out, split)
    typer.echo("\n".join(lines))


@commands.command()
@told_plainly
def remove(
    path: Annotated[str, typer.Argument(metavar="RUN-or-RELEASE", help="The folder of a run or of a release.")],
    url: Annotated[
        list[str] | None, typer.Option("--url", help="An image's URL, or a page's; may be repeated, as all of these.")
    ] = None,
    uid: Annotated[list[str] | None, typer.Option("--uid", help="A sample's uid.")] = None,
    sha256: Annotated[
        list[str] | None, typer.Option("--sha256", help="Of the image as served, or of its stored copy.")
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option("--host", help="A host of images or pages, and those below it.")
    ] = None,
    phash: Annotated[
        list[str] | None, typer.Option("--phash", help="A perceptual hash: 16 hex digits, or the manifest's number.")
    ] = None,
    distance: Annotated[int, typer.Option(min=0, max=16, help="Bits by which a --phash may differ.")] = 0,
    list_: Annotated[
        list[Path] | None, typer.Option("--list", help="A file of many: a URL, uid, sha256 or `KIND VALUE` a line.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
) -> None:
    """Take samples down: out of shards, copies, archives, embeddings and manifest; they stay out in later runs."""
    from pipelines.remove.asked import Options
    from pipelines.remove.command import folder_to_purge
    from pipelines.remove.command import remove as remove_from

    options = Options(url or (), uid or (), sha256 or (), host or (), phash or (), distance, list_ or ())
    removed = remove_from(folder_to_purge(path), options, typer.echo, dry_run)
    typer.echo(removed.told(dry_run))


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
