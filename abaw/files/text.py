"""Text files whose every byte is text: what is damaged is an error with its line, and never another label."""

import codecs
from pathlib import Path

from abaw.errors import InputError
from abaw.files.regular import check_regular

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, *, utf16: bool = False, advice: str = "save the file as UTF-8, or get it again") -> str:
    """The text of a UTF-8 file, with or without a byte-order mark; ends of lines are as in the file.

    ``utf16``: take a file with the mark of UTF-16, too. ``advice``: what to do where it is something else. Raises
    InputError with file and line where a byte is no UTF-8 or NUL, or the path is a folder, a named pipe or a device.
    """
    check_regular(path)
    content = path.read_bytes()
    name, encoding = "UTF-8", "utf-8-sig"
    if content.startswith(UTF16_MARKS):
        if not utf16:
            raise InputError(f"{path}:1: not a text file in UTF-8, but in UTF-16: {advice}")
        name = encoding = "UTF-16"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"{error.reason} at byte {error.start}"
        raise InputError(f"{path}:{line}: not a text file in {name} ({reason}): {advice}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}:{line}: not a text file in {name} (it contains a NUL): {advice}")
    return text
