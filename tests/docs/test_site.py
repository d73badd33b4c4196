"""The website builds without a warning, and works from disk without a network."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import open_browser

LOADED = {"script": "src", "img": "src", "source": "srcset", "iframe": "src", "link": "href"}
PAGES = (
    "index.html",
    "start/first_sweep.html",
    "guides/measuring.html",
    "inside/where.html",
    "reference/schema.html",
    "reference/sweep_keys.html",
)
# The tables that a reader would have to scroll sideways.
WIDE_TABLES = """
[...document.querySelectorAll(".md-typeset__scrollwrap")].filter(
    wrapper => wrapper.scrollWidth > wrapper.clientWidth
).length
"""
NARROW = {"width": 375, "height": 800}


class _LoadedFiles(HTMLParser):
    """The addresses that a browser loads by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag in LOADED and values.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(values.get(LOADED[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = _build_site(repository, folder)
    assert (build.returncode, "WARNING" in build.stderr) == (0, False), build.stderr
    return folder


def _build_site(repository: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build as `make check` does. The option --quiet would hide the warnings that fail it."""
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        argv, cwd=repository, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


def test_every_document_has_a_page(site: Path, repository: Path) -> None:
    documents = (repository / "docs").rglob("*.md")
    pages = [file.relative_to(repository / "docs").with_suffix(".html") for file in documents]
    assert [
        str(page) for page in [*pages, Path("changelog.html")] if not (site / page).exists()
    ] == []


def test_dead_links_and_pages_that_are_missing_fail_the_build(
    repository: Path, tmp_path: Path
) -> None:
    shutil.copytree(repository / "docs", tmp_path / "docs")
    shutil.copy(repository / "CHANGELOG.md", tmp_path)
    (tmp_path / "tools").mkdir()
    shutil.copy(repository / "tools" / "site.py", tmp_path / "tools")
    settings = (repository / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(settings + "  - Gone: gone.md\n", encoding="utf-8")
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n[A page](nowhere.md) and [a heading](guides/fleet.md#nowhere)\n")
    build = _build_site(tmp_path, tmp_path / "site")
    assert build.returncode == 1
    for target in ("'gone.md'", "'nowhere.md'", "'guides/fleet.md#nowhere'"):
        assert re.search(f"WARNING.*{re.escape(target)}", build.stderr), build.stderr


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = _LoadedFiles()
        loaded.feed(page.read_text(encoding="utf-8"))
        foreign = [address for address in loaded.addresses if re.match(r"(https?:)?//", address)]
        assert foreign == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_request_nothing(browser: Browser, site: Path, scheme: str) -> None:
    dark = scheme == "dark"
    with browser.new_context(viewport=NARROW, color_scheme="dark" if dark else "light") as context:  # type: ignore[arg-type]
        page = context.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        for name in PAGES:
            page.goto((site / name).as_uri())
            expect(page.locator("body")).to_have_attribute(
                "data-md-color-scheme", "slate" if dark else "default"
            )
            assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], name
            assert page.locator(".md-typeset__scrollwrap").count() > 0, name
            assert page.evaluate(WIDE_TABLES) == 0, name
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_search_works_from_disk(browser: Browser, site: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        page.locator("input.md-search__input").click()
        page.keyboard.type("canary")
        results = page.locator(".md-search-result__item")
        expect(results.first).to_be_visible(timeout=20_000)
        expect(results.filter(has_text="How a number is measured").first).to_be_visible()
