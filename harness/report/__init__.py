"""Rows → what people read: tables, sentences, files, and data frames: `from harness.report import results`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.report.frames import compare, expanded, query, results, twins

__all__ = ["compare", "expanded", "query", "results", "twins"]


def __getattr__(name: str) -> Any:
    """The frames bring pandas and the database's library, for which no table waits."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from harness.report import frames

    return getattr(frames, name)
