"""Commands that list what a recipe may say: schema, recipes."""

import json

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
