"""The command line `curate`: the commands of `pipelines/commands`, in the order in which help lists them."""

import typer

from pipelines.commands import listing, looking, making, releasing

app = typer.Typer(
    name="curate",
    help="Makes Chinese image-text datasets at web scale: crawl, filter, deduplicate, score, release.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for group in (making, looking, releasing, listing):
    app.add_typer(group.commands)


def main() -> None:
    """For `python -m pipelines.cli`."""
    app()


if __name__ == "__main__":
    main()
