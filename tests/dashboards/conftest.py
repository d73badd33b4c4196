"""A sample workspace, its page, and Debian's Chromium to look at it with."""

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from harness.report.page.content import Content, content
from harness.report.page.page import page
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


@pytest.fixture(
    scope="module"
)  # while it is up, an event loop runs here, and other modules want one of their own
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing = "Chromium is not installed (Debian and Ubuntu: apt install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    unboxed = (
        ["--no-sandbox"] if os.geteuid() == 0 else []
    )  # which Chromium refuses to be run by root without
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=unboxed)
        yield browser
        browser.close()
