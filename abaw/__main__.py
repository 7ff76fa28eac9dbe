"""``python -m abaw`` and the command ``abaw``."""

import sys
from pathlib import Path
from typing import NoReturn

INTERRUPTED = 130  # exit code, as of a shell; abaw.cli has the same

# Python puts the current folder first on its search path, where a user's own extract.py would hide the package extract.
# The command abaw does not search that folder, so this does not either, but in a checkout of this project.
IS_SCRIPT = __name__ == "__main__" and not sys.flags.safe_path
if IS_SCRIPT and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]


def main() -> NoReturn:
    """Run the command line. Ctrl-C while it is still being imported ends as it does later, without a traceback."""
    try:
        from abaw.cli import main as run

        run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
