"""The documents are right about the project, and the check finds what is wrong in them."""

from pathlib import Path

import pytest

from tests.check_docs import ROOT, anchors, command_problem, documents, find_problems
from tools import readability


def test_the_documents_are_right() -> None:
    assert find_problems() == []


def test_every_page_is_checked() -> None:
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")}
    assert pages <= set(documents())


def test_the_documents_are_in_short_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    code = readability.main(["--check", *(str(ROOT / document) for document in documents())])
    assert code == 0, capsys.readouterr().out


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("See [it](gone.md).", "the link to gone.md leads nowhere"),
        ("See [it](#gone).", "this page has no heading for #gone"),
        ("Change `harness/gone.py`.", "`harness/gone.py` does not exist"),
        ("Use `from harness.report import gone`.", "harness.report has no gone"),
        ("Run `harness gone`.", "`harness gone`: there is no command gone"),
        ("```sh\nmake gone\n```", "`make gone`: the Makefile has no target gone"),
        (
            "```sh\npip install datasette\n```",
            "`pip install datasette`: only harness and make run here; "
            "mark the block console or shell",
        ),
        (
            "```console\n$ harness compare a b --gone\n```",
            "`harness compare a b --gone`: compare has no option --gone",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "README.md").write_text(f"# Title\n\n{text}\n")
    assert find_problems(tmp_path) == [f"README.md: {problem}"]


@pytest.mark.parametrize(
    "line",
    [
        "harness bench --fleet --protocol quick,gates=off    # on all of them",
        "harness devices add pi4 --host pi4.lab",
        "harness compare a b --format markdown >> summary.md || true",
        "harness dashboard -- --no-browser",
        "python -m harness db path",
        "python -m benchmarks.fleet",
        "make demo",
        "pip install datasette",
        "it's no shell",
    ],
)
def test_a_right_or_a_foreign_command_passes(line: str) -> None:
    assert command_problem(line) == ""


@pytest.mark.parametrize(
    "line",
    ["harness db gone", "harness --gone", "python -m benchmarks.gone", "harness bench --g=1"],
)
def test_a_wrong_command_does_not(line: str) -> None:
    assert command_problem(line)


def test_anchors_are_those_of_github() -> None:
    text = "# A title\n\n## Other people's `code`\n\n```sh\n# a comment\n```\n"
    assert anchors(text) == {"a-title", "other-peoples-code"}
