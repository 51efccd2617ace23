"""Commands that list what a recipe may say: schema, recipes, queries."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.base import told_plainly

commands = typer.Typer()


@commands.command()
@told_plainly
def schema() -> None:
    """Print the recipe's JSON Schema, for editors."""
    from pipelines.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), ensure_ascii=False, indent=2))


@commands.command()
@told_plainly
def recipes() -> None:
    """List the shipped recipes."""
    from pipelines.recipe import shipped_recipes

    for name, path in shipped_recipes().items():
        first = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        typer.echo(f"{name:16} {first}")


@commands.command()
@told_plainly
def queries(
    words: Annotated[
        str | None,
        typer.Option("--words", "-w", help="Word, frequency, tag: a TSV, or as jieba's. Default: jieba's dictionary."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of the terminal.")] = None,
    top: Annotated[int, typer.Option("--top", "-n", min=1, help="How many, most frequent first.")] = 200_000,
    tags: Annotated[
        str | None, typer.Option(help="Parts of speech, as n,ns,v*; all: any. Default: n,ns,nt,nz,nw,s,vn,i.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A file of words to leave out; may be repeated.")] = None,
    min_chars: Annotated[int, typer.Option(min=1, help="Shorter words are left out.")] = 2,
    max_chars: Annotated[int, typer.Option(min=1, help="Longer words are left out.")] = 16,
    any_script: Annotated[bool, typer.Option("--any-script", help="Words without a Chinese character too.")] = False,
) -> None:
    """Make a list of queries for a search source from a list of words and their frequencies."""
    from pipelines.query_lists import make_query_list

    made = make_query_list(words, top, tags, stop or (), min_chars, max_chars, any_script)
    if output is None:
        typer.echo(made.text, nl=False)
    else:
        made.write(output)
        typer.echo(made.told(output))
    if made.left_out:
        typer.echo(made.left_out, err=True)
