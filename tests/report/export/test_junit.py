from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml, Skipped, TestCase

from harness.core.comparison import Comparison, Verdict
from harness.report.export.junit import as_junit
from harness.report.verdicts import ComparisonRequest
from tests.report.comparisons import FASTER, NOISY, SLOWER, make_comparison
from tests.rows import own_model_row

REQUEST = ComparisonRequest(
    "float32", "binary", metrics=("latency", "size", "accuracy"), limit=0.05
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def read_cases(comparisons: list[Comparison], request: ComparisonRequest) -> list[TestCase]:
    (suite,) = JUnitXml.fromstring(as_junit(comparisons, request))
    assert suite.name == request.title
    return list(suite)


def test_each_pair_is_a_case_named_by_its_variant_and_where_it_ran() -> None:
    cases = read_cases([FASTER, SLOWER], REQUEST)
    assert [(case.classname, case.name) for case in cases] == [
        ("pi4, 1 thread", "mlp seed=0"),
        ("pi4, 1 thread", "mlp seed=1"),
    ]


def test_a_regression_over_the_limit_is_a_failure_with_its_sentence() -> None:
    passed, failed = read_cases([FASTER, SLOWER], REQUEST)
    assert passed.is_passed
    (failure,) = failed.result
    assert isinstance(failure, Failure)
    assert failure.message == (
        "latency on pi4, 1 thread: bbbbbbbbbbbb is 20.0% worse, more than the limit of 5.0%."
    )


def test_a_pair_with_data_too_noisy_for_the_limit_is_skipped_and_not_passed() -> None:
    (case,) = read_cases([NOISY], REQUEST)
    (skipped,) = case.result
    assert isinstance(skipped, Skipped)
    assert "a change of 5.0% would not have been detected" in str(skipped.message)
    assert "--protocol thorough" in str(skipped.message)


def test_each_metric_that_is_worse_is_a_separate_failure() -> None:
    worse = make_comparison(
        1.2, Verdict.SLOWER, smallest_change=0.02, size_bytes=2000, accuracy=0.5
    )
    (case,) = read_cases([worse], REQUEST)
    assert [result.message.split()[0] for result in case.result] == ["latency", "size", "accuracy"]


def test_a_failed_case_is_not_skipped_as_well() -> None:
    larger = make_comparison(1.0, Verdict.NO_DIFFERENCE, smallest_change=0.08, size_bytes=2000)
    (case,) = read_cases([larger], REQUEST)
    assert [type(result) for result in case.result] == [Failure]


def test_without_a_limit_every_case_passes() -> None:
    request = ComparisonRequest("float32", "binary", metrics=("latency",))
    assert all(case.is_passed for case in read_cases([FASTER, SLOWER, NOISY], request))


def test_the_output_has_the_numbers_and_the_other_differences() -> None:
    (case,) = read_cases([FASTER], REQUEST)
    lines = str(case.system_out).splitlines()
    assert "latency: 1.00 ms → 250 µs" in lines
    assert "ratio: × 0.25 (0.247 … 0.253)" in lines
    assert lines[-1] == "governor ondemand → performance"


@given(ANY_TEXT, ANY_TEXT)
def test_it_is_xml_whatever_the_names(device: str, file: str) -> None:
    """The name of a model file may have characters that XML cannot represent."""
    own_model = own_model_row(device=device, file=file)
    comparison = make_comparison(1.2, Verdict.SLOWER, smallest_change=0.02, **own_model)
    request = ComparisonRequest(file, device, metrics=("latency",), limit=0.05)
    root = ET.fromstring(as_junit([comparison], request))
    assert len(root.findall(".//testcase/failure")) == 1
