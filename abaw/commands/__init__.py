"""The command line, one file a command. A file registers its command; ``cli`` finds the files.

A command reads its options, calls one function of the library and prints what it returns.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from abaw.files import as_path

VideoStream = Annotated[
    int | None, typer.Option(help="video stream to read, counted from 0; default: the one that players show")
]
AudioStream = Annotated[
    int | None, typer.Option(help="audio stream to read, counted from 0; default: the one that players play")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")]
Download = Annotated[bool, typer.Option(help="fetch weights that are not on this machine")]
Commercial = Annotated[
    bool, typer.Option("--commercial", help="use only recognisers whose licence is known to allow commercial use")
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="let a run trained on the synthetic data set answer about other media")
]
MovedWeights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OLD=NEW|FOLDER", help="weights of encoders that moved since the run was trained, or a folder to search"
    ),
]
TrustRuns = Annotated[
    bool, typer.Option("--trust", help="use plug-ins, code of models and absolute paths that the runs name")
]
FACES_HELP = "face detector, used where there are no face images: NAME or NAME:setting=value,..."
TARGET_HELP = "whose face: largest, longest, leftmost, rightmost, central or speaking"


@dataclass(frozen=True)
class Command:
    """A command, or a group of commands, and its place in the help: in the order of work, lowest first."""

    name: str
    order: int
    run: Callable[..., None] | typer.Typer


COMMANDS: dict[str, Command] = {}
GOES_ON = "stopped: the same command goes on from here"
STARTS_AGAIN = "stopped: the same command starts again from the beginning"
STOPPED: dict[str, str] = {}  # command -> what is said when Ctrl-C or SIGTERM ends it


def command(
    name: str, *, order: int, stopped: str = STARTS_AGAIN
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as the command ``name``; its docstring is the help, its arguments are the options.

    ``stopped``: what is said when Ctrl-C or SIGTERM ends it.
    """

    def register(run: Callable[..., None]) -> Callable[..., None]:
        COMMANDS[name] = Command(name, order, with_paths(run))
        STOPPED[name] = stopped
        return run

    return register


def with_paths(run: Callable[..., None]) -> Callable[..., None]:
    """The command, whose options that are paths may begin with ``~``."""

    @wraps(run)
    def wrapped(**given: Any) -> None:
        for name, value in given.items():
            if isinstance(value, Path):
                given[name] = as_path(value, name)
            elif isinstance(value, Sequence) and value and isinstance(value[0], Path):
                given[name] = [as_path(each, name) for each in value]
        run(**given)

    return wrapped


def group(name: str, *, order: int, help: str) -> typer.Typer:
    """Register a group of commands, such as ``abaw store``."""
    app = typer.Typer(help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    COMMANDS[name] = Command(name, order, app)
    return app


def show(found: Any, as_json: bool) -> None:
    """Print a report for people, or as one JSON document; a tuple of reports as a list."""
    several = found if isinstance(found, tuple) else (found,)
    if not as_json:
        print("\n".join(map(str, several)))
        return
    documents = [each.to_dict() if hasattr(each, "to_dict") else asdict(each) for each in several]
    document = documents if isinstance(found, tuple) else documents[0]
    # a number that JSON does not have is an error, not a surprise to its reader
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str))
