from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml, Skipped, TestCase

from harness.core.comparison import Comparison, Verdict
from harness.report.export.junit import as_junit
from harness.report.judgement import Asked
from tests.report.comparisons import BLIND, FASTER, SLOWER, made
from tests.rows import own_model_row

LIMITED = Asked("float32", "binary", metrics=("latency", "size", "accuracy"), limit=0.05)
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def cases(found: list[Comparison], asked: Asked) -> list[TestCase]:
    (suite,) = JUnitXml.fromstring(as_junit(found, asked))
    assert suite.name == asked.title
    return list(suite)


def test_each_pair_is_a_case_named_by_its_variant_and_where_it_ran() -> None:
    found = cases([FASTER, SLOWER], LIMITED)
    assert [(case.classname, case.name) for case in found] == [
        ("pi4, 1 thread", "mlp seed=0"),
        ("pi4, 1 thread", "mlp seed=1"),
    ]


def test_a_regression_over_the_limit_is_a_failure_with_its_sentence() -> None:
    passed, failed = cases([FASTER, SLOWER], LIMITED)
    assert passed.is_passed
    (failure,) = failed.result
    assert isinstance(failure, Failure)
    assert failure.message == "latency on pi4, 1 thread: bbbbbbbbbbbb is 20.0% worse, over 5.0%."


def test_what_could_not_have_shown_is_skipped_and_not_passed() -> None:
    (case,) = cases([BLIND], LIMITED)
    (skipped,) = case.result
    assert isinstance(skipped, Skipped)
    assert "a change of 5.0% would not have shown" in str(skipped.message)
    assert "--protocol thorough" in str(skipped.message)


def test_each_metric_that_is_worse_is_a_failure_of_its_own() -> None:
    larger = made(1.2, Verdict.SLOWER, smallest_change=0.02)
    larger.pair.candidate.update(size_bytes=2000, accuracy=0.5)
    (case,) = cases([larger], LIMITED)
    assert [result.message.split()[0] for result in case.result] == ["latency", "size", "accuracy"]


def test_what_failed_is_not_skipped_as_well() -> None:
    larger = made(1.0, Verdict.NO_DIFFERENCE, smallest_change=0.08)
    larger.pair.candidate.update(size_bytes=2000)
    (case,) = cases([larger], LIMITED)
    assert [type(result) for result in case.result] == [Failure]


def test_without_a_limit_every_case_passes() -> None:
    assert all(
        case.is_passed
        for case in cases([FASTER, SLOWER, BLIND], Asked("float32", "binary", metrics=("latency",)))
    )


def test_the_numbers_and_what_else_differed_stand_in_the_output() -> None:
    (case,) = cases([FASTER], LIMITED)
    lines = str(case.system_out).splitlines()
    assert "latency: 1.00 ms → 250 µs" in lines
    assert "ratio: × 0.25 (0.247 … 0.253)" in lines
    assert lines[-1] == "governor ondemand → performance"


@given(ANYTHING, ANYTHING)
def test_it_is_xml_whatever_the_names(device: str, file: str) -> None:
    """A model file's name may hold what XML has no way to write."""
    own = own_model_row(device=device, file=file)
    one = made(1.2, Verdict.SLOWER, smallest_change=0.02)
    one.pair.candidate.update(own)
    root = ET.fromstring(as_junit([one], Asked(file, device, metrics=("latency",), limit=0.05)))
    assert len(root.findall(".//testcase/failure")) == 1
