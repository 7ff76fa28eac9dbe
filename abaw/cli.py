"""The command line: the commands found in ``commands/``, the options they share, and errors as messages.

Exit codes: 0 done, 1 the work found faults, 2 wrong use or bad input.
"""

import importlib
import logging
import pkgutil
import re
import sys
from typing import Annotated, Any

import typer
import typer.core

from abaw import __version__, commands
from abaw.commands import COMMANDS
from abaw.plugins import load_plugin

SHARED = ("--plugin", "--quiet", "--verbose", "--version")
VERBOSITY = {"quiet": False, "verbose": False}


class _AnywhereGroup(typer.core.TyperGroup):
    """Takes the options that all commands share before the command or behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        shared, others, rest = [], [], list(args)
        while rest:
            word = rest.pop(0)
            if word == "--":  # what follows is no option
                others += [word, *rest]
                break
            if word == "--plugin":
                if not rest or rest[0].startswith("-"):
                    ctx.fail("--plugin needs a value: the path of a Python file")
                shared += [word, rest.pop(0)]
            elif word.partition("=")[0] in SHARED or re.fullmatch("-[qv]+", word):
                shared.append(word)
            else:
                others.append(word)
        return super().parse_args(ctx, [*shared, *others])


app = typer.Typer(
    cls=_AnywhereGroup,
    help="Frame-by-frame expression and valence-arousal from faces and voices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"abaw {__version__}")
        raise typer.Exit


@app.callback()
def options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="show warnings only")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="show more; after a wrong input, the whole traceback")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(help="Python file with encoders, fusion models or tasks of your own; may be given several times"),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Set how much is shown and load plug-ins, for whichever command is given."""
    VERBOSITY.update(quiet=quiet, verbose=verbose)
    logging.getLogger("abaw").setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    for path in plugin or ():
        load_plugin(path)


def _add_commands() -> None:
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"abaw.commands.{module.name}")
    for each in sorted(COMMANDS.values(), key=lambda each: each.order):
        if isinstance(each.run, typer.Typer):
            app.add_typer(each.run, name=each.name)
        else:
            app.command(each.name)(each.run)


_add_commands()


def main() -> None:
    """Run one command. Bad input becomes one message on stderr and exit code 2."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING, force=True)
    try:
        from abaw.pipelines.siblings import check_siblings  # here: the import itself may refuse

        check_siblings()
        app()
    except (ValueError, OSError) as error:
        if VERBOSITY["verbose"]:
            raise
        print(f"abaw: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
