"""Where a model's time goes: the tool's table of operators, from its standard output or its CSV file.

The lines are those of TensorFlow's `util/stats_calculator.cc`, and of the CSV formatter in TensorFlow Lite's
`profiling/profile_summary_formatter.cc`.
"""

import re
from itertools import takewhile
from math import inf

from harness.core.errors import CaseFailed, Reason
from harness.core.observations import OperatorTime, Role

_HEADING = "Operator-wise Profiling Info"
_OF_INITIALISATION = "Profiling Info for Benchmark Initialization"
_TABLE = re.compile(r"^=+ Run Order =+[ \r]*$", re.MULTILINE)
_NODES = re.compile(r"^Number of nodes executed: (?P<count>\d{1,9})[ \r]*$", re.MULTILINE)
_NUMBERS_BEFORE_NAME = (
    6  # avg ms, %, cdf%, mem KB, times called, name: the last columns of every version
)
_SHARES_SLACK = 0.005  # shares are printed with three decimals of a per cent


# Names of TensorFlow Lite's operators, of LCE's, and of XNNPACK's as its delegate reports them; the first that fits.
_ROLES = (
    (re.compile("LceBconv2d", re.IGNORECASE), Role.BINARY_CONVOLUTION),
    (re.compile(r"quantize|^Convert \(.*Q", re.IGNORECASE), Role.QUANTISE),
    (
        re.compile(
            r"conv(_|\d|olution|\b)|fully.?connected|mat.?mul|matrix multiply|\bGEMM\b|lstm|rnn|gru",
            re.IGNORECASE,
        ),
        Role.FLOAT_LAYER,
    ),
)


def profile_arguments() -> list[str]:
    """The flags with which the tool takes notes and prints them; taking them costs time."""
    return ["--enable_op_profiling=true"]


def role(type: str) -> Role:
    return next((role for pattern, role in _ROLES if pattern.search(type)), Role.OTHER)


def read_profile(text: str) -> tuple[OperatorTime, ...]:
    """The operators of the regular runs, from the tool's standard output or from its CSV file.

    Raises CaseFailed: unparsable where there is no such table, it is cut, or its shares do not sum to all of the time.
    """
    before, _, regular = text.rpartition(_HEADING)
    table = _TABLE.search(regular)
    if table is None or (not before and _OF_INITIALISATION in text):
        raise _unparsable(
            "The tool printed no profile of its operators: profile with a tool that can.", text
        )
    lines = takewhile(str.strip, regular[table.end() :].splitlines()[1:])
    header, *rows = [*lines] or [""]
    separator = "\t" if "\t" in header else ", "
    operators = tuple(
        _operator(number, row, header=header, separator=separator, text=text)
        for number, row in enumerate(rows)
    )
    nodes = _NODES.search(regular, table.end())
    if nodes is None or len(operators) != int(nodes["count"]):
        raise _unparsable("The tool's profile of its operators is cut: profile again.", text)
    if abs(sum(operator.share for operator in operators) - 1) > _SHARES_SLACK:
        raise _unparsable(
            "The shares in the tool's profile do not sum to 100 %: profile again.", text
        )
    return operators


def _operator(number: int, row: str, header: str, separator: str, text: str) -> OperatorTime:
    """Counted from the right: in the CSV file a type may hold commas, and in a name tabs stand in their place."""
    columns = header.strip("\t").count(separator)
    fields = [field.strip() for field in row.lstrip("\t").rsplit(separator, columns)]
    if columns < _NUMBERS_BEFORE_NAME or len(fields) != columns + 1:
        raise _unparsable(f"The tool's profile has a row that lacks columns: {row!r}.", text)
    type, (avg_ms, percent, _, _, calls, name) = fields[0], fields[-6:]
    try:
        avg_us, share = float(avg_ms) * 1e3, float(percent.removesuffix("%")) / 100
        found = OperatorTime(
            number,
            type,
            name=name.replace("\t", ","),
            avg_us=avg_us,
            share=share,
            calls=int(calls),
            role=role(type),
        )
    except ValueError as error:
        raise _unparsable(
            f"The tool's profile has a row without its numbers: {row!r}.", text
        ) from error
    if not (0 <= found.avg_us < inf and 0 <= found.share < inf and found.calls >= 0):
        raise _unparsable(f"The tool's profile has a row of impossible numbers: {row!r}.", text)
    return found


def _unparsable(message: str, text: str) -> CaseFailed:
    return CaseFailed(Reason.UNPARSABLE, message, log=text)
