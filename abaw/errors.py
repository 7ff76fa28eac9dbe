"""The exceptions this project raises on purpose.

``except AbawError`` catches all of them; each is also the built-in exception that Python code expects, so that
``except ValueError`` and ``except OSError`` keep working. The command line turns them into one message and exit code 2.
"""


class AbawError(Exception):
    """Base class of every error that is about what the caller gave, not about a fault in this project."""


class InputError(AbawError, ValueError):
    """A value, a setting or a file's content cannot be used. The message says what was given and what was expected."""


class NotFoundError(AbawError, FileNotFoundError):
    """A file, folder, run or clip that was named is not there. The message says how to make or find it."""
