"""The pages of warnings and of failure reasons."""

from harness.bench.quality import WARNINGS
from tools.reference.markdown import as_code, format_table

_WARNINGS_HEADER = """\
# Warnings

A measurement's `quality` is `ok`, or a list of warnings. Each has a name, what was seen, and what to
do. [How a number is measured](../guides/measuring.md) explains the protocol behind them.

"""


def describe_warnings() -> str:
    """Return the page of every warning that `quality` may hold."""
    rows = [
        (as_code(name), rule.condition, rule.reason, rule.remedy.format(device="DEVICE"))
        for name, rule in WARNINGS.items()
    ]
    return _WARNINGS_HEADER + format_table(("warning", "when", "reason", "what to do"), rows)
