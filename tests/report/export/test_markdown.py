from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.core.comparison import Comparison, Verdict
from harness.report.export.markdown import as_markdown
from harness.report.judgement import Asked
from tests.report.comparisons import BLIND, FASTER, SLOWER, made
from tests.rows import own_model_row

LIMITED = Asked("float32", "binary", metrics=("latency", "size", "accuracy"), limit=0.05)
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


def blocks(found: list[Comparison], asked: Asked) -> list[list[Token]]:
    """The inline content of every block, as a parser of tables and CommonMark reads it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(as_markdown(found, asked).decode())
    return [token.children or [] for token in tokens if token.type == "inline"]


def texts(found: list[Comparison], asked: Asked) -> list[str]:
    return ["".join(token.content for token in block) for block in blocks(found, asked)]


def test_a_heading_a_table_and_a_sentence_a_device() -> None:
    title, legend, *rest = texts([FASTER], LIMITED)
    assert title == "binary against float32"
    assert legend.startswith("Ratios are candidate / baseline")
    assert rest[:6] == ["device", "threads", "variant", "latency", "ratio", "verdict"]
    assert rest[11:17] == [
        "pi4",
        "1",
        "mlp",
        "1.00 ms → 250 µs",
        "× 0.25 (0.247 … 0.253)",
        "faster",
    ]
    assert rest[-2:] == [
        "pi4, 1 thread: binary is faster in 1 of 1 variant (× 0.25).",
        "pi4: governor ondemand → performance",
    ]


def test_numbers_stand_to_the_right_as_in_the_terminal() -> None:
    ruler = (
        as_markdown([FASTER], Asked("float32", "binary", metrics=("latency",)))
        .decode()
        .splitlines()[5]
    )
    assert ruler == "| --- | ---: | --- | ---: | ---: | --- | ---: |"


def test_what_is_worse_than_it_may_be_is_told_before_the_rest() -> None:
    *_, worse, not_seen, concluded, _ = texts([SLOWER, BLIND], LIMITED)
    assert worse == "Regression: latency on pi4, 1 thread: bbbbbbbbbbbb is 20.0% worse, over 5.0%."
    assert not_seen.startswith(
        "Not seen: latency on pi4, 1 thread: a change of 5.0% would not have shown in 1 of 2"
    )
    assert concluded.startswith("pi4, 1 thread: binary is slower in 1 of 2 variants")


@given(NAMES, NAMES)
def test_names_are_told_as_they_are(device: str, file: str) -> None:
    one = made(0.5, Verdict.FASTER, smallest_change=0.02)
    one.pair.candidate.update(own_model_row(device=device, file=file))
    asked = Asked("float32", file, metrics=("latency",))
    found = blocks([one], asked)
    assert {token.type for block in found for token in block} <= {"text", "text_special"}
    told = texts([one], asked)
    assert told[0] == f"{file} against float32"
    assert told[9] == device
    assert told[11] == file
