"""Text as it is shown or written into files of a format: of strangers, such as names of files and classes; times."""

import unicodedata
from collections.abc import Callable, Sequence

NOT_SHOWN = ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")  # controls, halves of characters, unassigned ones, ends of lines


def plain_text(text: str) -> str:
    """A text in one line, with a space for each character that controls something or that XML cannot hold.

    >>> plain_text("a\\nb\\x00c")
    'a b c'
    """
    return "".join(" " if unicodedata.category(each) in NOT_SHOWN else each for each in text)


def shorten(name: str, max_length: int) -> str:
    """A name that fits beside its row.

    >>> shorten("contempt or disgust", 14)
    'contempt or d…'
    """
    return name if len(name) <= max_length else f"{name[: max_length - 1]}\N{HORIZONTAL ELLIPSIS}"


def row_names(names: Sequence[str], max_length: int, shorten: Callable[[str, int], str] = shorten) -> list[str]:
    """Names that fit beside their rows; those that would look alike end in their number, from 1.

    >>> row_names(["a long name of a", "a long name of b", "c"], 14)
    ['a long na… (1)', 'a long na… (2)', 'c']
    """
    short = [shorten(name, max_length) for name in names]
    ends = [f" ({number})" if short.count(each) > 1 else "" for number, each in enumerate(short, 1)]
    return [shorten(name, max_length - len(end)) + end for name, end in zip(names, ends, strict=True)]


def isolated(name: str) -> str:
    """A name that does not change the order of what stands beside it, such as the minus of a number.

    Names in letters that are written from right to left would.
    """
    is_plain = all(unicodedata.bidirectional(each) not in ("R", "AL", "AN") for each in name)
    return name if is_plain else f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}"


def format_time(time_s: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> format_time(75.5), format_time(3661.25)
    ('1:15.500', '1:01:01.250')
    """
    sign, millis = "-" if round(time_s * 1000) < 0 else "", abs(round(time_s * 1000))
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{sign}{shown}:{rest / 1000:06.3f}"
