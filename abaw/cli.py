"""The command line: the table of verbs, one file each in ``verbs/``.

Exit codes: 0 done, 1 the work found faults, 2 wrong use or bad input.
"""

import logging
import sys
from collections.abc import Callable

import typer

from abaw.commands.analyze import analyze
from abaw.commands.check import check
from abaw.commands.combine import combine
from abaw.commands.extract import extract
from abaw.commands.fit import fit
from abaw.commands.list import list_parts
from abaw.commands.predict import predict
from abaw.commands.recipe import recipe
from abaw.commands.score import score
from abaw.commands.search import search
from abaw.commands.store import store
from abaw.commands.submit import submit
from abaw.commands.synth import synth
from abaw.commands.train import train
from abaw.commands.verify import verify

VERBS: dict[str, Callable[..., None] | typer.Typer] = {
    "list": list_parts,
    "synth": synth,
    "check": check,
    "extract": extract,
    "store": store,
    "train": train,
    "search": search,
    "predict": predict,
    "fit": fit,
    "combine": combine,
    "score": score,
    "submit": submit,
    "verify": verify,
    "recipe": recipe,
    "analyze": analyze,
}

app = typer.Typer(
    help="Frame by frame expression and valence-arousal from faces and voices. "
    "-q says less, -v more (after a wrong input, the whole traceback).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, verb in VERBS.items():
    if isinstance(verb, typer.Typer):  # verbs of its own
        app.add_typer(verb, name=name)
    else:
        app.command(name)(verb)


def main() -> None:
    """Run one verb. Bad input becomes one message on stderr and exit code 2."""
    words = sys.argv[1:]
    quiet, verbose = {"-q", "--quiet"} & set(words), {"-v", "--verbose"} & set(words)
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING, force=True)
    logging.getLogger("abaw").setLevel(level)
    try:
        app([word for word in words if word not in quiet | verbose])
    except (ValueError, OSError) as error:
        if verbose:
            raise
        print(f"abaw: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
