"""Exit codes of a shell (POSIX.1-2024, Shell Command Language, 2.8.2)."""

from typing import Final

NOT_EXECUTABLE: Final = 126
"""The program was found, and the system can't run it."""

NOT_FOUND: Final = 127
"""The program was not found, or a library that it needs."""

SIGNALLED: Final = 128
"""The signal's number is added to it."""
