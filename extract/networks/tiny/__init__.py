"""Networks of real architectures at a tiny size with random weights, to test encoders with.

An encoder's ``examples()`` names them; see ``extract.encoders.base``. Importing this package loads no library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TinyWeights:
    """The value of a setting that is a path: ``write(path)`` writes a file or folder of weights of this ``name``."""

    name: str
    write: Callable[[Path], Any]

    def path_in(self, folder: Path) -> Path:
        """Where they lie in ``folder``; written there at the first call."""
        path = folder / self.name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self.write(path)
        return path
