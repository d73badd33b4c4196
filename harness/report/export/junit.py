"""A comparison as JUnit's XML, which CI servers show: a test case for each pair."""

import re
from collections.abc import Iterator
from io import BytesIO

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from harness.core.comparison import Comparison
from harness.report.judgement import Asked, plain_cells, regressions, unseen, where
from harness.report.terminal.tables import comparison

_NO_XML = re.compile(
    r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # www.w3.org/TR/xml, production 2


def as_junit(found: list[Comparison], asked: Asked) -> bytes:
    """A failure for each regression over the limit.

    A pair whose data could not have shown one is skipped: CI then tells it from those that were looked at and passed.
    """
    shown = plain_cells(comparison(found, asked.metrics))
    suite = TestSuite(_xml(asked.title))
    suite.add_testcases(
        [_case(one, row, asked=asked) for one, row in zip(found, shown, strict=True)]
    )
    document = JUnitXml()
    document.add_testsuite(suite)
    content = BytesIO()
    document.write(content)
    return content.getvalue()


def _case(one: Comparison, shown: dict[str, str], asked: Asked) -> TestCase:
    case = TestCase(_xml(shown["variant"]), classname=_xml(where(one)))
    case.result = list(_results(one, asked))
    lines = (*(f"{heading}: {cell}" for heading, cell in shown.items()), *one.pair.differences)
    case.system_out = _xml("\n".join(lines))
    return case


def _results(one: Comparison, asked: Asked) -> Iterator[FinalResult]:
    """A case has one end: what failed is not skipped as well."""
    failed = [Failure(_xml(line)) for line in regressions(one, asked)]
    yield from failed or (Skipped(_xml(line)) for line in unseen([one], asked))


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
