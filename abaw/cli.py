"""The command line: the table of verbs, one file each in ``verbs/``.

Exit codes: 0 done, 1 the work found faults, 2 wrong use or bad input.
"""

import logging
import sys
from collections.abc import Callable

import typer

from abaw.verbs.analyze import analyze
from abaw.verbs.check import check
from abaw.verbs.combine import combine
from abaw.verbs.extract import extract
from abaw.verbs.fit import fit
from abaw.verbs.list import list_parts
from abaw.verbs.predict import predict
from abaw.verbs.recipe import recipe
from abaw.verbs.score import score
from abaw.verbs.search import search
from abaw.verbs.store import store
from abaw.verbs.submit import submit
from abaw.verbs.synth import synth
from abaw.verbs.train import train
from abaw.verbs.verify import verify

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
