import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from harness.store.files.workspace import DATABASE_VARIABLE, HOME_VARIABLE
from tests.conftest import REPOSITORY
from tests.harness_cli import Cli

NOTEBOOKS = sorted((REPOSITORY / "dashboards").glob("*.ipynb"))
PLOTLY = "application/vnd.plotly.v1+json"
# Paths, host names and addresses of a particular machine.
LOCAL_TEXT = re.compile(
    r"/(home|root|tmp|work|Users|mnt|opt|var)/|[A-Z]:\\\\|https?://|\blocalhost\b|\b\d+\.\d+\.\d+\.\d+\b"
)
every_notebook = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


def list_code_cells(book: Any) -> list[Any]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def test_there_is_a_notebook_for_each_subject() -> None:
    expected = {
        "overview",
        "trade_offs",
        "binary_against_float",
        "training",
        "device_health",
        "anatomy",
    }
    assert {file.stem for file in NOTEBOOKS} == expected


@pytest.mark.full
@every_notebook
def test_it_runs_from_top_to_bottom_and_shows_something_in_each_cell(
    file: Path, searched_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(searched_home))
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    book = nbformat.read(file, as_version=4)
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(file.parent)}}).execute()
    figures = []
    for cell in list_code_cells(book):
        shown_data = [output["data"] for output in cell["outputs"] if output.get("data")]
        assert shown_data, "each cell ends in a figure or a table"
        figures += [data[PLOTLY] for data in shown_data if PLOTLY in data]
    assert figures
    assert all(figure["data"] for figure in figures), "the sample workspace fills every figure"


@every_notebook
def test_outputs_are_stripped(file: Path) -> None:
    book = json.loads(file.read_text())
    nbformat.validate(book)
    for cell in list_code_cells(book):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        assert cell["metadata"] == {}
    assert set(book["metadata"]) == {"kernelspec", "language_info"}


@every_notebook
def test_it_names_no_path_or_host_of_a_machine(file: Path) -> None:
    assert not LOCAL_TEXT.search(file.read_text())


@every_notebook
def test_its_cells_are_short_as_the_library_does_the_work(file: Path) -> None:
    for cell in list_code_cells(json.loads(file.read_text())):
        lines = [line for line in cell["source"] if line.strip()]
        assert len([line for line in lines if not line.startswith("from ")]) <= 3


def test_the_command_starts_jupyterlab(tmp_path: Path) -> None:
    ended = Cli(tmp_path).run("dashboard", "--", "--version")
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", ended.stdout)
