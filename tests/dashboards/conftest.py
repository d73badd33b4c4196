"""A sample workspace, its page, and Debian's Chromium to look at it with."""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from harness.report.page.content import Content, content
from harness.report.page.page import page
from tests.browser import open_browser
from tests.sample import sample

MADE_AT = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample workspace: read it only."""
    home = tmp_path_factory.mktemp("sample")
    sample(home)
    return home


@pytest.fixture(scope="session")
def shown(home: Path) -> Content:
    return content(f"sqlite:///{home / 'harness.db'}")


@pytest.fixture(scope="session")
def html(shown: Content) -> str:
    return page(shown, "sample", made_at=MADE_AT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser
