"""What all commands share: one clear line an error, exit codes as the design says, and the arguments that recur."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from shards.errors import CurateError, DiskError, UsageError, is_out_of_room

INTERRUPTED_EXIT = 130

RecipeArgument = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")]
PathArgument = Annotated[Path, typer.Argument(metavar="RUN-or-RELEASE", help="The folder of a run or of a release.")]
PlaceArgument = Annotated[
    str, typer.Argument(metavar="RUN-or-RELEASE", help="The folder of a run or of a release, or a run's s3:// URL.")
]
RunPlaceArgument = Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run, or its s3:// URL.")]
RunArgument = Annotated[Path, typer.Argument(help="The folder of a run.")]
RetryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--retry", metavar="REASON[,REASON…]", help="Attempt again the downloads that ended in these reasons."
    ),
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Parts at once; default: the CPUs there are.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="PLACE=VALUE over the recipe; may be repeated.")]


def folder_of(place: str) -> Path:
    """The folder of a run or a release; of one at a URL, this node's mirror of it."""
    from shards.storage import bring_up_to_date, open_run_folder

    folder = open_run_folder(place)
    bring_up_to_date(folder)
    return folder


def _refuse_urls(*given: object) -> None:
    """A path that was given as an `s3://` URL has lost a stroke by now."""
    for value in given:
        if isinstance(value, Path) and str(value).startswith("s3:/"):
            url = str(value).replace("s3:/", "s3://", 1)
            raise UsageError(f"{url}: this command works on local folders; copy the run there first (aws s3 sync)")


def _tell(text: str) -> None:
    """The one message. Where it finds no room, the exit code must say it all."""
    with suppress(OSError):
        typer.echo(f"curate: {text}", err=True)


def told_plainly(command: Callable[..., None]) -> Callable[..., None]:
    """Errors of ours become one message and their exit code; anything else is a bug and shows its traceback."""

    @wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            _refuse_urls(*arguments, *options.values())
            command(*arguments, **options)
            sys.stdout.flush()
        except CurateError as error:
            _tell(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _tell("interrupted; run the same command again to go on")
            raise typer.Exit(INTERRUPTED_EXIT) from None
        except BrokenPipeError:
            raise typer.Exit(0) from None
        except OSError as error:
            if not is_out_of_room(error):
                raise
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - Python flushes it once more when it ends
            place = error.filename or "standard output, or standard error"  # which have no names
            _tell(f"cannot write {place}: {error.strerror}. Free the disk, then run again")
            raise typer.Exit(DiskError.exit_code) from None

    return wrapped
