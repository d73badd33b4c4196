"""Parser of the tool's table of operators, from its standard output or its CSV file.

The lines are those of TensorFlow's `util/stats_calculator.cc`, and of the CSV formatter in
TensorFlow Lite's `profiling/profile_summary_formatter.cc`.
"""

import re
from itertools import takewhile
from math import inf

from harness.bench.toollog import MAX_CHARACTERS, quote
from harness.core.errors import CaseFailed, Reason
from harness.core.observations import OperatorTime, Role

PROFILE_FLAGS = ("--enable_op_profiling=true",)
"""The flags that make the tool profile its operators and print them, which costs time."""

_HEADING = "Operator-wise Profiling Info"
_INITIALISATION_HEADING = "Profiling Info for Benchmark Initialization"
_TABLE = re.compile(r"^=+ Run Order =+[ \r]*$", re.MULTILINE)
_NODES = re.compile(r"^Number of nodes executed: (?P<count>\d{1,9})[ \r]*$", re.MULTILINE)
# The last columns in every version: avg ms, %, cdf%, mem KB, times called, name.
_COLUMNS_AFTER_TYPE = 6
_SHARES_TOLERANCE = 0.005  # shares are printed with three decimals of a per cent

# Names of TensorFlow Lite's operators, of LCE's, and of XNNPACK's as its delegate reports them; the
# first match applies.
_ROLES = (
    (re.compile("LceBconv2d", re.IGNORECASE), Role.BINARY_CONVOLUTION),
    (re.compile(r"quantize|^Convert \(.*Q", re.IGNORECASE), Role.QUANTISE),
    (
        re.compile(
            r"conv(_|\d|olution|\b)|fully.?connected|mat.?mul|matrix multiply|\bGEMM\b|"
            r"lstm|rnn|gru",
            re.IGNORECASE,
        ),
        Role.FLOAT_LAYER,
    ),
)


def role_of(type: str) -> Role:
    """Return the role of an operator of this type."""
    return next((role for pattern, role in _ROLES if pattern.search(type)), Role.OTHER)


def read_profile(text: str) -> tuple[OperatorTime, ...]:
    """Return the operators of the regular runs, from the tool's standard output or its CSV file.

    Raises CaseFailed with the reason unparsable if there is no such table, or if it is cut off.
    Shares that do not sum to the whole time are unparsable, too.
    """
    if len(text) > MAX_CHARACTERS:
        raise _unparsable("The tool printed too much; use a released tool.", text)
    preamble, _, regular = text.rpartition(_HEADING)
    table = _TABLE.search(regular)
    if table is None or (not preamble and _INITIALISATION_HEADING in text):
        raise _unparsable(
            "The tool printed no profile of its operators; use a version with operator profiling.",
            text,
        )
    lines = takewhile(str.strip, regular[table.end() :].splitlines()[1:])
    header, *rows = [*lines] or [""]
    separator = "\t" if "\t" in header else ", "
    operators = tuple(
        _read_operator(number, row, header=header, separator=separator, text=text)
        for number, row in enumerate(rows)
    )
    nodes = _NODES.search(regular, table.end())
    if nodes is None or len(operators) != int(nodes["count"]):
        raise _unparsable("The tool's profile of its operators is cut off; profile again.", text)
    if abs(sum(operator.share for operator in operators) - 1) > _SHARES_TOLERANCE:
        raise _unparsable(
            "The shares in the tool's profile do not sum to 100 %; profile again.", text
        )
    return operators


def _read_operator(number: int, row: str, header: str, separator: str, text: str) -> OperatorTime:
    """Return the operator of one row.

    Columns are counted from the right: in the CSV file a type may hold commas, and in a name tabs
    replace them.
    """
    columns = header.strip("\t").count(separator)
    fields = [field.strip() for field in row.lstrip("\t").rsplit(separator, columns)]
    if columns < _COLUMNS_AFTER_TYPE or len(fields) != columns + 1:
        raise _unparsable(f"A row of the tool's profile lacks columns: {quote(row)}.", text)
    type, (avg_ms, percent, _, _, calls, name) = fields[0], fields[-_COLUMNS_AFTER_TYPE:]
    try:
        avg_us, share = float(avg_ms) * 1e3, float(percent.removesuffix("%")) / 100
        operator = OperatorTime(
            number,
            type,
            name=name.replace("\t", ","),
            avg_us=avg_us,
            share=share,
            calls=int(calls),
            role=role_of(type),
        )
    except ValueError as error:
        raise _unparsable(
            f"A row of the tool's profile lacks numbers: {quote(row)}.", text
        ) from error
    if not (0 <= operator.avg_us < inf and 0 <= operator.share < inf and operator.calls >= 0):
        raise _unparsable(
            f"A row of the tool's profile has impossible numbers: {quote(row)}.", text
        )
    return operator


def _unparsable(message: str, text: str) -> CaseFailed:
    return CaseFailed(Reason.UNPARSABLE, message, log=text)
