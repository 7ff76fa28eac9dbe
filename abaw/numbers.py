"""Numbers in text: strict parsing of labels, lists, templates and challenge files; counts and shares in messages.

``int()`` and ``float()`` accept more than these files may hold: ``1_0``, ``+1``, ``nan``, ``inf``, digits of other
scripts (full-width, Arabic-Indic) and white space of every kind. A text that was damaged or comes from another program
would become another label in silence.
"""

import math
import re

from abaw.errors import InputError

BLANKS = " \t"  # which may surround a cell of a label file; str.strip() also removes what Unicode calls a space
INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
MAX_FRAME = 9_999_999  # 46 hours at 60 frames per second; a larger one would cost memory without end
MIN_FPS, MAX_FPS = 1e-4, 1000.0  # from a picture every three hours to the fastest cameras
MAX_TIME_S = 1e6  # 11 days; seconds since 1970, and milliseconds, are beyond it or soon
NO_TIME = f"expected seconds from the start of the file, up to {MAX_TIME_S:g}: correct the time"


def parse_integer(text: str) -> int:
    """An integer in ASCII digits, with or without a minus sign. Raises InputError for anything else.

    >>> parse_integer("-1")
    -1
    """
    if not INTEGER.fullmatch(text):
        raise InputError(f"{text!r} is not an integer, expected digits 0 .. 9{_odd_digits(text)}")
    return int(text)


def parse_number(text: str) -> float:
    """A finite number in ASCII digits, such as ``-0.5`` or ``1e-3``. Raises InputError for anything else.

    >>> parse_number("-2.5e-1")
    -0.25
    """
    if not NUMBER.fullmatch(text):
        raise InputError(f"{text!r} is not a number, expected one such as -0.25{_odd_digits(text)}")
    value = float(text)
    if not math.isfinite(value):
        raise InputError(f"{text!r} is too large for a number")
    return value


def check_fps(fps: float, name: str) -> None:
    """Raise InputError for a frame rate that no recording has; ``name`` names it in the error."""
    if not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"{name} is {fps:g}, expected frames per second from {MIN_FPS:g} to {MAX_FPS:g}")


def parse_frame(digits: str) -> int:
    """The number of a frame in the name of an image. Raises InputError where no clip can have so many frames.

    >>> parse_frame("00012")
    12
    """
    if len(digits) > 18 or parse_integer(digits) > MAX_FRAME:
        raise InputError(f"frame {digits[:30]} is beyond {MAX_FRAME}, the last frame that a clip may have")
    return int(digits)


def format_count(num: int, what: str) -> str:
    """A number of things in words.

    >>> format_count(1, "frame"), format_count(3, "frame")
    ('1 frame', '3 frames')
    """
    return f"{num} {what}{'s' * (num != 1)}"


def format_percent(part: float, whole: float) -> str:
    """A share in percent with one decimal; 100 only for all, and 0 only for nothing.

    >>> format_percent(9464, 9866), format_percent(9999, 10000), format_percent(1, 10000), format_percent(3, 3)
    ('95.9 %', '99.9 %', '0.1 %', '100 %')
    """
    if part == whole:
        return "100 %"
    share = 100 * part / whole if whole else 0.0
    return f"{min(max(share, 0.1), 99.9):.1f} %" if part else "0 %"


def _odd_digits(text: str) -> str:
    """A hint for digits that look right and are not."""
    return " (these are digits of another script)" if any(c.isdigit() and not c.isascii() for c in text) else ""
