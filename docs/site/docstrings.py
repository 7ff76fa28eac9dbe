"""Makes docstrings, which are plain text, Markdown: doctests become blocks of code, and ``<`` is not a tag."""

import re

from griffe import Extension, Object

CODE = re.compile(r"(``.*?``|`[^`]*`)", re.S)
DOCTEST = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.M | re.S)


def to_markdown(text: str) -> str:
    r"""A docstring as Markdown.

    >>> to_markdown("Rows of ``<clip>`` and <feature>.")
    'Rows of ``<clip>`` and &lt;feature>.'
    """
    parts, end = [], 0
    for found in DOCTEST.finditer(text):
        parts += [_escape(text[end : found.start()]), f"```pycon\n{found.group()}\n```"]
        end = found.end()
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str) -> str:
    parts = CODE.split(text)  # every second one is code
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)


class Docstrings(Extension):
    """Applied by mkdocstrings (settings.yaml)."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
