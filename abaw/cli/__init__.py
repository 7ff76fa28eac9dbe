"""The command line: the commands found in ``commands/``, the options they share, and errors as messages.

Exit codes: 0 done, 1 the work found faults, 2 wrong use or bad input, 70 a bug in abaw, 130 stopped by Ctrl-C,
143 stopped by SIGTERM.
"""

import importlib
import io
import logging
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from abaw import __version__, commands
from abaw.cli.failures import BAD_INPUT, BUG, report_bug, show_traceback
from abaw.commands import COMMANDS, STOPPED, with_paths
from abaw.errors import InputError, explain
from abaw.files.names import without_controls
from abaw.plugins import load_plugin

SHARED = ("--plugin", "--quiet", "--verbose", "--version")
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit codes, as of a shell
STATE: dict[str, Any] = {"verbose": False, "words": []}  # of the command that runs: set where its words are read


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
        STATE["words"] = others[:2]
        return super().parse_args(ctx, [*shared, *others])


app = typer.Typer(
    cls=_AnywhereGroup,
    help="Frame-by-frame expression and valence-arousal from faces and voices.",
    epilog=(
        "Exit codes: 0 done; 1 the command worked and found faults; 2 wrong use or bad input; 70 a bug in abaw; "
        "130 stopped by Ctrl-C; 143 stopped by SIGTERM."
    ),
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
    STATE["verbose"] = verbose
    logging.getLogger("abaw").setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    for path in plugin or ():
        load_plugin(path)


def _add_commands() -> None:
    for module in pkgutil.iter_modules(commands.__path__):
        importlib.import_module(f"abaw.commands.{module.name}")
    for each in sorted(COMMANDS.values(), key=lambda each: each.order):
        if isinstance(each.run, typer.Typer):
            for part in each.run.registered_commands:
                part.callback = with_paths(part.callback) if part.callback else None
            app.add_typer(each.run, name=each.name)
        else:
            app.command(each.name)(each.run)


_add_commands()


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run one command, by default that of ``sys.argv``, and exit. Every error is one message on stderr."""
    given = list(sys.argv[1:] if words is None else words)
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING, force=True)
    logging.getLogger().handlers[0].setFormatter(_Printable("%(message)s"))
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path may hold bytes that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    STATE.update(verbose=False, words=[])
    _keep_out_of_home()
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _terminate) if is_main else None
    hook, sys.unraisablehook = sys.unraisablehook, _stop_again
    try:
        code = _run(given)
        sys.stdout.flush()  # here, where a full disk is still an error and not a remark of the interpreter
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as stop:  # on SIGTERM
        code = stop.code if isinstance(stop.code, int) else BUG
    except Exception as error:
        code = _report(error, given)
    finally:
        sys.unraisablehook = hook
        if is_main:
            signal.signal(signal.SIGTERM, before)
    if code in (INTERRUPTED, TERMINATED):
        _print(STOPPED.get(" ".join(STATE["words"][:2])) or STOPPED.get(" ".join(STATE["words"][:1])) or "stopped")
    sys.exit(code)


def _keep_out_of_home() -> None:
    """Have matplotlib, which torchmetrics imports too, keep its list of fonts in the environment, as weights are kept.

    Only here: in a program that imports abaw, the user's own settings of matplotlib count.
    """
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        os.environ.setdefault("MPLCONFIGDIR", os.path.join(sys.prefix, "share", "abaw", "matplotlib"))


def _run(words: list[str]) -> int:
    from abaw.pipelines.siblings import check_siblings  # here: the import itself may refuse

    check_siblings()
    _check_words(words)
    try:
        app(words)
    except SystemExit as end:  # how typer ends every command
        return end.code if isinstance(end.code, int) else 0
    return 0


def _check_words(words: list[str]) -> None:
    """Raises InputError for what no option takes: an empty text, which would mean the current folder, and NUL bytes."""
    for before, word in zip(["", *words], words, strict=False):
        if not word or (word.startswith("--") and word.endswith("=")):
            place = word.rstrip("=") or before
            raise InputError(f"an empty text is given{f' after {place}' * bool(place)}, expected a value")
        if "\0" in word:
            raise InputError(f"{word!r} holds a NUL byte, which no name of a file may have")


def _report(error: Exception, words: list[str]) -> int:
    """Say what went wrong; returns the exit code."""
    if STATE["verbose"]:
        show_traceback(error)
    message = explain(error)
    if message is None:
        _print(f"abaw: {report_bug(error, words)}")
        return BUG
    _print(f"abaw: {message}")
    return BAD_INPUT


def _print(message: str) -> None:
    """Print one line to stderr, whatever characters a file's name has."""
    encoding, message = sys.stderr.encoding or "utf-8", without_controls(message)
    print(message.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr)


class _Printable(logging.Formatter):
    """Names in a message, such as that of a file, cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return without_controls(super().format(record))


def _stop_again(lost: Any) -> None:
    """Send a signal again whose exception Python dropped because it came while an object was being deleted."""
    if isinstance(lost.exc_value, KeyboardInterrupt | SystemExit):
        number = signal.SIGINT if isinstance(lost.exc_value, KeyboardInterrupt) else signal.SIGTERM
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(lost)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    """On SIGTERM: end as on Ctrl-C, so that temporary files are removed."""
    raise SystemExit(TERMINATED)
