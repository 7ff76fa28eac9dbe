"""Text of strangers, such as names of files and of classes, before it is shown or written into a file of a format."""

import unicodedata

NOT_SHOWN = ("Cc", "Cs", "Cn", "Co", "Zl", "Zp")  # controls, halves of characters, unassigned ones, ends of lines


def plain_text(text: str) -> str:
    """A text in one line, with a space for each character that controls something or that XML cannot hold.

    >>> plain_text("a\\nb\\x00c")
    'a b c'
    """
    return "".join(" " if unicodedata.category(each) in NOT_SHOWN else each for each in text)
