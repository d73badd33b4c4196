"""A comparison as JUnit XML, which CI servers display: a test case for each pair."""

import re
from collections.abc import Iterator
from io import BytesIO

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from harness.core.comparison import Comparison
from harness.report.terminal.tables import make_comparison_table, read_rows
from harness.report.verdicts import (
    ComparisonRequest,
    describe_location,
    describe_regressions,
    describe_undetectable,
)

# Characters outside production 2 of www.w3.org/TR/xml.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(comparisons: list[Comparison], request: ComparisonRequest) -> bytes:
    """Return XML with a failure for each regression over the limit.

    A pair whose data are too noisy to show a regression is skipped.
    CI thus tells it apart from a pair that was checked and passed.
    """
    table_rows = read_rows(make_comparison_table(comparisons, request.metrics))
    suite = TestSuite(_replace_invalid(request.title))
    for comparison, cells in zip(comparisons, table_rows, strict=True):
        suite.add_testcase(_make_case(comparison, cells, request=request))
    document = JUnitXml()
    document.add_testsuite(suite)
    content = BytesIO()
    document.write(content)
    return content.getvalue()


def _make_case(
    comparison: Comparison, cells: dict[str, str], request: ComparisonRequest
) -> TestCase:
    case = TestCase(
        _replace_invalid(cells["variant"]),
        classname=_replace_invalid(describe_location(comparison)),
    )
    case.result = list(_make_results(comparison, request))
    numbers = (f"{heading}: {cell}" for heading, cell in cells.items())
    case.system_out = _replace_invalid("\n".join((*numbers, *comparison.pair.differences)))
    return case


def _make_results(comparison: Comparison, request: ComparisonRequest) -> Iterator[FinalResult]:
    """Yield the failures or, if there are none, the reason to skip: a case has one outcome."""
    failures = [
        Failure(_replace_invalid(line)) for line in describe_regressions(comparison, request)
    ]
    yield from failures or (
        Skipped(_replace_invalid(line)) for line in describe_undetectable([comparison], request)
    )


def _replace_invalid(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
