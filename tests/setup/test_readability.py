"""The style checker reports each kind of violation, and accepts plain code."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def readability(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "readability", repository / "tools/readability.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["readability"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(
    readability: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str], tuple[int, str]]:
    def run(name: str, text: str) -> tuple[int, str]:
        file = tmp_path / name
        file.write_text(text)
        code = readability.main(["--check", str(tmp_path)])
        return code, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("found = 1\n", ":1: the name 'found' does not say"),
        ("def f(told): ...\n", ":1: the name 'told'"),
        ("def _told(): ...\n", ":1: the name '_told'"),
        ("class A:\n    def f(self): self.known = 1\n", ":2: the name 'known'"),
        ("for one in range(3): ...\n", ":1: the name 'one'"),
        ("import os as told\n", ":1: the name 'told'"),
        ("from os import path as found\n", ":1: the name 'found'"),
        ("class Found: ...\n", ":1: the name 'Found'"),
        ("class _found: ...\n", ":1: the name '_found'"),
        ("match x:\n    case [*told]: ...\n", ":2: the name 'told'"),
        ("match x:\n    case {**made}: ...\n", ":2: the name 'made'"),
        ("def f():\n    global wanted\n", ":2: the name 'wanted'"),
        ("def f(a, b, c): ...\nf(1, 2, 3)\n", ":2: name the arguments of f from the third one on"),
        ("class A:\n    c: int\n\nA(1, 2, 3)\n", ":4: name the arguments of A from the third"),
        ("class A:\n    def f(self, x, y, z): self.f(1, 2, 3)\n", ":2: name the arguments of f"),
        ("x = [a for b in c for a in b]\n", ":1: nested comprehension"),
        ("x = [[a for a in b] for b in c]\n", ":1: nested comprehension"),
        ('"""Of the rows, the newest."""\n', ":1: docstring starts with 'Of'"),
        ('def f():\n    """Those that failed."""\n', ":2: docstring starts with 'Those'"),
        *[
            (f'"""{word} it."""\n', f":1: docstring starts with {word!r}")
            for word in ("Via", "Than", "Because", "Given", "Due", "Near", "Along")
        ],
        (f"# {'word ' * 26}\nx = 1\n", ":1: sentence of 26 words"),
        (f"raise ValueError('{'word ' * 25}.')\n", ":1: sentence of 25 words"),
        (f"x = f'Short. A {'word ' * 23}{{y + z:>5}} {{a}}.'\n", ":1: sentence of 26 words"),
        (f'"""First.\n\n{"word " * 26}\n"""\n', ":3: sentence of 26 words"),
    ],
)
def test_a_violation_is_named_with_its_line(
    check: Callable[[str, str], tuple[int, str]], source: str, message: str
) -> None:
    code, output = check("module.py", source)
    assert code == 1
    assert f"module.py{message}" in output
    assert output.count("\n") == 1


def test_plain_code_has_no_violation(check: Callable[[str, str], tuple[int, str]]) -> None:
    source = (
        '"""Trials of a sweep."""\n\n\ndef parse_log(text: str) -> list[str]:\n'
        '    """Return the lines."""\n    return [line for line in text.splitlines()]\n'
    )
    source += f'HELP = "{"word " * 24}."\n'
    assert check("module.py", source) == (0, "Names and prose follow the rules.\n")


def test_parameters_of_a_docstring_are_separate_sentences(
    check: Callable[[str, str], tuple[int, str]],
) -> None:
    words = "word " * 15
    source = f'"""Do it.\n\nArgs:\n    a: {words}\n    **b: {words}\n"""\n'
    assert check("module.py", source)[0] == 0
    code, output = check("module.py", source.replace("**b: word", f"b: {words}"))
    assert code == 1
    assert "module.py:5: sentence of" in output


def test_code_and_tables_of_a_page_are_no_long_sentences(
    check: Callable[[str, str], tuple[int, str]],
) -> None:
    words = "word " * 15
    code_block = f"```sh\n{words * 2}\n```\n"
    page = f"# {words * 2}\n\n{code_block}\n| {words} | {words} |\n\n- {words}\n- {words}\n"
    assert check("page.md", page)[0] == 0
    code, output = check("page.md", f"Short.\n\n{words.capitalize()}\n{words}.\n")
    assert code == 1
    assert "page.md:3: sentence of 30 words" in output


def test_figures_count_names_comprehensions_calls_and_docstrings(
    readability: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = '"""With care."""\nfound = f(1, 2, 3, 4, 5)\nrows = [a for b in c for a in b]\n'
    (tmp_path / "module.py").write_text(source)
    assert readability.main([str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "25.00 % of 4" in output
    assert output.count("333.3 per 1,000 lines") == 2
    assert "100.0 % of 1" in output
