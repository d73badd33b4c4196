"""The pages of warnings and of failure reasons."""

from harness.bench.quality import WARNINGS
from harness.core.errors import FAILURE_HELP
from tools.reference.markdown import as_code, format_table

_WARNINGS_HEADER = """\
# Warnings

A measurement's `quality` is `ok`, or a list of warnings. Each has a name, what was seen, and what
to do. [How a number is measured](../guides/measuring.md) explains the protocol behind them.

"""

_FAILURES_HEADER = """\
# Failure reasons

A trial or a case that fails is a row of `failures`, with one of these reasons, a sentence and its
log. It never stops another trial or case. `harness status` and `harness query failures` show the
newest.

"""


def describe_warnings() -> str:
    """Return the page of every warning that `quality` may hold."""
    rows = [
        (as_code(name), rule.condition, rule.reason, rule.remedy.format(device="DEVICE"))
        for name, rule in WARNINGS.items()
    ]
    return _WARNINGS_HEADER + format_table(("warning", "when", "reason", "what to do"), rows)


def describe_failures() -> str:
    """Return the page of every reason why a trial or a case fails."""
    rows = [(as_code(reason), help.meaning, help.remedy) for reason, help in FAILURE_HELP.items()]
    return _FAILURES_HEADER + format_table(("reason", "meaning", "what to do"), rows)
