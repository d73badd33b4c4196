"""The description of errors that nobody expected."""

import traceback
from pathlib import Path

from harness.core.errors import first_line
from harness.models.custom import SHIPPING_ADVICE
from harness.models.user_code import locate_in_user_code


def describe_bug(architecture: str, error: BaseException) -> str:
    """Describe an unexpected error in a sentence that names whose code raised it."""
    description = _summarize(error)
    if place := locate_in_user_code(error):
        remedy = (
            SHIPPING_ADVICE
            if isinstance(error, ImportError)
            else "fix it and run the command again"
        )
        return f"{architecture} raised {description} ({place}); {remedy}."
    frame = traceback.extract_tb(error.__traceback__)[-1]
    location = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"{description} ({location}): a bug in the harness or a library; please report it."


def _summarize(error: BaseException) -> str:
    """Return an error's type and first line.

    Keras wraps an error of the user's code in a text of its own; return that error's line then.
    """
    prefix = f"{type(error).__name__}: "
    for line in str(error).splitlines():
        if line.strip().startswith(prefix):
            return line.strip().rstrip(".")
    return prefix + first_line(error)
