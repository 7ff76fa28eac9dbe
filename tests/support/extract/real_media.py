"""Where recordings of other people are; they are not part of the project."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def real_media() -> Path:
    """The folder named by ABAW_MEDIA, by default beside the project; it may be absent."""
    return Path(os.environ.get("ABAW_MEDIA", ROOT.parent / "shared" / "media")).resolve()
