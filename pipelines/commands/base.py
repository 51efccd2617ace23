"""What all commands share: one clear line an error, exit codes as the design says, and the arguments that recur."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from shards.errors import CurateError

INTERRUPTED_EXIT = 130

RecipeArgument = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")]
PathArgument = Annotated[Path, typer.Argument(metavar="RUN-or-RELEASE", help="The folder of a run or of a release.")]
RunArgument = Annotated[Path, typer.Argument(help="The folder of a run.")]
RetryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--retry", metavar="REASON[,REASON…]", help="Attempt again the downloads that ended in these reasons."
    ),
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Parts at once; default: the CPUs there are.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="PLACE=VALUE over the recipe; may be repeated.")]


def told_plainly(command: Callable[..., None]) -> Callable[..., None]:
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
