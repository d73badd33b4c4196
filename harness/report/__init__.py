"""Tables, sentences, files, figures and data frames of what was measured.

Notebooks import the data frames from here: `from harness.report import results`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.report.frames import compare, expanded, query, results, twins

__all__ = ["compare", "expanded", "query", "results", "twins"]


def __getattr__(name: str) -> Any:
    """Import the frames on first use: tables need neither pandas nor the database's library."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness.report import frames

    return getattr(frames, name)
