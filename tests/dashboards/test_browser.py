"""The page as a reader opens it: from a file, in a real browser."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from harness.report.page.content import PageContent
from harness.report.page.page import render_page
from tests.dashboards.conftest import MADE_AT
from tests.sample import DEVICES, SWEEP

WIDE, NARROW = 1600, 390
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FIRST_LATENCY = "figure:has(figcaption:text-matches('^Accuracy against latency'))"
# The minimum contrast of text and of graphics: WCAG 2.2, 1.4.3 and 1.4.11.
MIN_TEXT_CONTRAST, MIN_GRAPHICS_CONTRAST = 4.5, 3.0
# Draw all figures at once instead of when they scroll into view.
DRAW_ALL = """() => plots.filter((plot) => !plot.layout).forEach((plot) => {
  observer.unobserve(plot);
  draw(plot);
})"""
CUT_LABELS = """() => plots.flatMap((plot) => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll("svg text")].filter((label) => {
    const box = label.getBoundingClientRect();
    const isCut = box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    return box.width > 0 && isCut;
  }).map((label) => `${plot.dataset.figure}: ${label.textContent}`);
})"""
PLOT_SHARES = """() => [...document.querySelectorAll("#fleet .plot")].map((plot) => {
  const area = plot.querySelector(".nsewdrag");
  return area.getBoundingClientRect().width / plot.getBoundingClientRect().width;
})"""
CONTRAST = """([foreground, background]) => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [lighter, darker] = [luminance(foreground), luminance(background)].sort((a, b) => b - a);
  return (lighter + 0.05) / (darker + 0.05);
}"""


@dataclass
class OpenPage:
    """A page, the URLs that it requested, and the messages of its console."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def file(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html)
    return file


@pytest.fixture(
    scope="module",
    params=list(product((WIDE, NARROW), SCHEMES)),
    ids=lambda parameters: "-".join(map(str, parameters)),
)
def open_page(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[OpenPage]:
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    open_page = OpenPage(page)
    page.on("request", lambda request: open_page.requests.append(request.url))
    page.on("console", lambda message: open_page.messages.append(message.text))
    page.on("pageerror", lambda error: open_page.messages.append(str(error)))
    page.goto(file.as_uri())
    yield open_page
    page.close()


def draw_all(page: Page) -> None:
    page.evaluate(DRAW_ALL)
    for plot in page.locator(".plot").all():
        plot.locator(".main-svg").first.wait_for(state="attached")


@pytest.mark.full
def test_it_fits_the_screen_without_messages_or_requests(open_page: OpenPage) -> None:
    draw_all(open_page.page)
    assert open_page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert open_page.page.evaluate(CUT_LABELS) == []
    assert open_page.messages == []
    local = ("file:", "data:", "blob:")
    assert [url for url in open_page.requests if not url.startswith(local)] == []


@pytest.mark.full
def test_a_very_long_name_leaves_the_plot_half_of_its_figure_on_a_phone(
    browser: Browser, content: PageContent, tmp_path: Path
) -> None:
    file, name = tmp_path / "report.html", "a-board-" + "x" * 192
    renamed = {
        key: getattr(content, key).replace({"device": {"pi5": name}})
        for key in ("results", "measured", "coverage")
    }
    file.write_text(render_page(replace(content, **renamed), "sample", made_at=MADE_AT))
    page = browser.new_page(viewport={"width": 375, "height": 900})
    page.goto(file.as_uri())
    draw_all(page)
    assert page.evaluate(CUT_LABELS) == []
    shares = page.evaluate(PLOT_SHARES)
    assert len(shares) == 3
    assert min(shares) >= 0.5
    page.close()


def test_text_and_markers_have_enough_contrast(open_page: OpenPage) -> None:
    page = open_page.page
    figure = page.locator(FIRST_LATENCY).first
    figure.scroll_into_view_if_needed()
    text_color = read_css(page.locator("body"), "color")
    expect(figure.locator(".xtitle")).to_have_css("fill", text_color)
    background = read_css(figure, "background-color")
    assert page.evaluate(CONTRAST, [text_color, background]) >= MIN_TEXT_CONTRAST
    points = figure.locator(".scatterlayer path.point").all()
    assert points
    for color in {read_css(point, "stroke") for point in points}:
        assert page.evaluate(CONTRAST, [color, background]) >= MIN_GRAPHICS_CONTRAST


def read_css(locator: Locator, name: str) -> str:
    return str(locator.evaluate(f"element => getComputedStyle(element)['{name}']"))


def test_hovering_over_a_point_shows_its_trial(open_page: OpenPage, content: PageContent) -> None:
    page = open_page.page
    figure = page.locator(FIRST_LATENCY).first
    figure.scroll_into_view_if_needed()
    point = figure.locator(".scatterlayer .point").last
    point.wait_for()
    box = point.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    labels = figure.locator(".hoverlayer .hovertext")
    labels.first.wait_for()
    text = " ".join(labels.all_text_contents())
    device = sorted(sample.device.id for sample in DEVICES)[0]
    trials = content.results[content.results["device"] == device]["trial"]
    assert any(f"trial {trial}" in text for trial in trials)
    assert "quality: " in text


def test_only_the_selected_device_is_shown(open_page: OpenPage) -> None:
    page, rows = open_page.page, open_page.page.locator("#results tbody tr")
    of_pi5 = rows.filter(has=page.get_by_role("cell", name="pi5", exact=True)).count()
    page.select_option("#device", "pi5")
    for devices in page.locator("[data-devices]:visible").evaluate_all(
        "elements => elements.map((element) => element.dataset.devices)"
    ):
        assert "pi5" in json.loads(devices)
    assert rows.filter(visible=True).count() == of_pi5
    energy = page.locator("figure:visible").filter(has_text="Accuracy against energy: pi5")
    energy.scroll_into_view_if_needed()
    energy.locator(".scatterlayer .point").first.wait_for()
    page.select_option("#device", "")
    assert rows.filter(visible=True).count() == rows.count() > of_pi5


def test_a_row_opens_its_commands(open_page: OpenPage) -> None:
    row = open_page.page.locator("#results tbody tr").first
    row.locator("summary").click()
    commands = row.locator("pre:visible").all_text_contents()
    assert [command.split()[1] for command in commands] == ["submit", "bench"]
    assert f"jobs/{SWEEP}.yaml" in commands[0]


def test_the_figures_turn_dark_with_the_page(browser: Browser, file: Path) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(file.as_uri())
    page.locator(".plot .xtitle").first.wait_for()
    light = read_css(page.locator("body"), "color")
    page.emulate_media(color_scheme="dark")
    dark = read_css(page.locator("body"), "color")
    assert dark != light
    expect(page.locator(".plot .xtitle").first).to_have_css("fill", dark)
    page.close()


def test_every_table_is_there_without_javascript(
    browser: Browser, file: Path, content: PageContent
) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    assert page.locator("#results tbody tr").count() == len(content.results)
    assert page.locator("noscript").inner_text().startswith("The figures need JavaScript")
    page.close()
