"""A sample workspace, its page, and a browser that opens it."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from harness.report.page.content import PageContent, read_content
from harness.report.page.page import render_page
from tests.browser import open_browser
from tests.sample import write_sample
from tests.sample_search import write_search

MADE_AT = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample workspace, which tests must not change."""
    home = tmp_path_factory.mktemp("sample")
    write_sample(home)
    return home


@pytest.fixture(scope="session")
def searched_home(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample workspace with a search, which tests must not change."""
    searched_home = tmp_path_factory.mktemp("searched") / "workspace"
    shutil.copytree(home, searched_home)
    write_search(searched_home)
    return searched_home


@pytest.fixture(scope="session")
def content(home: Path) -> PageContent:
    return read_content(f"sqlite:///{home / 'harness.db'}")


@pytest.fixture(scope="session")
def html(content: PageContent) -> str:
    return render_page(content, "sample", made_at=MADE_AT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser
