from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.core.comparison import Comparison, Verdict
from harness.report.export.markdown import as_markdown
from harness.report.verdicts import ComparisonRequest
from tests.report.comparisons import FASTER, NOISY, SLOWER, make_comparison
from tests.rows import own_model_row

REQUEST = ComparisonRequest(
    "float32", "binary", metrics=("latency", "size", "accuracy"), limit=0.05
)
NAMES = st.text(
    st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1
) | st.sampled_from(
    [
        "a|b",
        "**bold**",
        "_it_",
        "<b>",
        "`code`",
        "[a](b)",
        "a\\|b",
        "&amp;",
        "mlp units=64 learning_rate=0.01",
    ]
)


def parse_blocks(comparisons: list[Comparison], request: ComparisonRequest) -> list[list[Token]]:
    """Return the inline content of each block, as a CommonMark parser with tables reads it."""
    content = as_markdown(comparisons, request).decode()
    tokens = MarkdownIt("commonmark").enable("table").parse(content)
    return [token.children or [] for token in tokens if token.type == "inline"]


def read_texts(comparisons: list[Comparison], request: ComparisonRequest) -> list[str]:
    blocks = parse_blocks(comparisons, request)
    return ["".join(map(attrgetter("content"), block)) for block in blocks]


def test_it_has_a_heading_a_table_and_a_sentence_per_device() -> None:
    title, legend, *texts = read_texts([FASTER], REQUEST)
    assert title == "binary compared with float32"
    assert legend.startswith("Ratios are candidate / baseline")
    assert texts[:6] == ["device", "threads", "variant", "latency", "ratio", "verdict"]
    assert texts[11:17] == [
        "pi4",
        "1",
        "mlp",
        "1.00 ms → 250 µs",
        "× 0.25 (0.247 … 0.253)",
        "faster",
    ]
    assert texts[-2:] == [
        "pi4, 1 thread: binary is faster in 1 of 1 variant (× 0.25).",
        "pi4: governor ondemand → performance",
    ]


def test_numbers_are_right_aligned_as_in_the_terminal() -> None:
    request = ComparisonRequest("float32", "binary", metrics=("latency",))
    ruler = as_markdown([FASTER], request).decode().splitlines()[5]
    assert ruler == "| --- | ---: | --- | ---: | ---: | --- | ---: |"


def test_regressions_come_before_the_other_sentences() -> None:
    *_, regression, undetectable, summary, _ = read_texts([SLOWER, NOISY], REQUEST)
    assert regression == (
        "Regression: latency on pi4, 1 thread: bbbbbbbbbbbb is 20.0% worse, "
        "more than the limit of 5.0%."
    )
    assert undetectable.startswith(
        "Not detectable: latency on pi4, 1 thread: "
        "a change of 5.0% would not have been detected in 1 of 2"
    )
    assert summary.startswith("pi4, 1 thread: binary is slower in 1 of 2 variants")


@given(NAMES, NAMES)
def test_names_are_shown_as_they_are(device: str, file: str) -> None:
    own_model = own_model_row(device=device, file=file)
    comparison = make_comparison(0.5, Verdict.FASTER, smallest_change=0.02, **own_model)
    request = ComparisonRequest("float32", file, metrics=("latency",))
    token_types: set[str] = set()
    for block in parse_blocks([comparison], request):
        token_types.update(token.type for token in block)
    assert token_types <= {"text", "text_special"}
    texts = read_texts([comparison], request)
    assert texts[0] == f"{file} compared with float32"
    assert texts[9] == device
    assert texts[11] == file
