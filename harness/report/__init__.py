"""Tables, sentences, files, figures and data frames of what was measured.

Notebooks import the data frames from here: `from harness.report import results`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.report.frames import compare, expanded, query, results, twins
    from harness.report.searches import list_searches, search

__all__ = ["compare", "expanded", "list_searches", "query", "results", "search", "twins"]
_OF_SEARCHES = ("list_searches", "search")


def __getattr__(name: str) -> Any:
    """Import the frames on first use: tables need neither pandas nor the database's library."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness.report import frames, searches

    return getattr(searches if name in _OF_SEARCHES else frames, name)
