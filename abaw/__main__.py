"""``python -m abaw``: the same as the command ``abaw``."""

import sys
from pathlib import Path

# Python puts the current folder first on its search path, where a user's own extract.py would hide the package extract.
# The command abaw does not search that folder, so this does not either, but in a checkout of this project.
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from abaw.cli import main

main()
