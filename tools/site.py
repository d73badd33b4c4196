"""Hooks of MkDocs: what the website has beyond the pages in docs/."""

import posixpath
import re
from html import escape, unescape
from itertools import cycle
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>\.\.[^)#]*)\)")

TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
HEADING = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
FEWEST_STACKED_COLUMNS = 3


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the changelog, which stands beside docs/."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "changelog.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Name the project's files instead of linking to them: the website does not have them."""
    folder = posixpath.dirname(page.file.src_uri)

    def name_file(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link["target"]))
        if path.startswith("docs/"):
            return link[0]
        return f"`{path}`" if link["text"] in path else f"{link['text']} (`{path}`)"

    return LINK.sub(name_file, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Label the cells of wide tables, whose rows the style sheet stacks on a narrow screen."""
    return TABLE.sub(_label_cells, html)


def _label_cells(table: re.Match[str]) -> str:
    headings = [re.sub("<[^>]*>", "", heading) for heading in HEADING.findall(table[0])]
    if len(headings) < FEWEST_STACKED_COLUMNS:
        return table[0]
    labels = cycle(escape(unescape(heading)) for heading in headings)
    labelled = re.sub("<td", lambda _: f'<td data-label="{next(labels)}"', table[0])
    return labelled.replace("<table>", "<table data-stacked>", 1)
