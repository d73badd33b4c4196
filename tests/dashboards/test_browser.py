"""The page in a real browser, from a file, as a manager opens it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from harness.report.page.content import Content
from harness.report.page.page import page as page_of
from tests.dashboards.conftest import MADE_AT
from tests.sample import MODELS, SWEEP

WIDE, NARROW = 1600, 390
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
FIRST_LATENCY = "figure:has(figcaption:text-matches('^Accuracy against latency'))"
# The smallest contrast for text, and the least for what is drawn: WCAG 2.2, 1.4.3 and 1.4.11.
TEXT_CONTRAST, DRAWN_CONTRAST = 4.5, 3.0
# Everything drawn at once, which else waits until it is scrolled to.
DRAW_ALL = "plots.filter((place) => !place.layout).forEach((place) => { near.unobserve(place); draw(place); })"
CUT_LABELS = """() => plots.flatMap((place) => {
  const frame = place.getBoundingClientRect();
  return [...place.querySelectorAll("svg text")].filter((label) => {
    const box = label.getBoundingClientRect();
    const cut = box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    return box.width > 0 && cut;
  }).map((label) => `${place.dataset.figure}: ${label.textContent}`);
})"""
PLOT_SHARES = """() => [...document.querySelectorAll("#fleet .plot")].map((place) =>
  place.querySelector(".nsewdrag").getBoundingClientRect().width / place.getBoundingClientRect().width)"""
CONTRAST = """([color, on]) => {
  const light = (text) => {
    const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [one, other] = [light(color), light(on)].sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}"""


@dataclass
class Opened:
    """A page, what it asked for, and what its console said."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def file(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html)
    return file


@pytest.fixture(
    scope="module",
    params=[(width, scheme) for width in (WIDE, NARROW) for scheme in SCHEMES],
    ids=lambda one: f"{one[0]}-{one[1]}",
)
def opened(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Opened]:
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = Opened(page)
    page.on("request", lambda asked: opened.requests.append(asked.url))
    page.on("console", lambda message: opened.said.append(message.text))
    page.on("pageerror", lambda error: opened.said.append(str(error)))
    page.goto(file.as_uri())
    yield opened
    page.close()


def draw_all(page: Page) -> None:
    page.evaluate(DRAW_ALL)
    for place in page.locator(".plot").all():
        place.locator(".main-svg").first.wait_for(state="attached")


def test_it_fits_the_screen_says_nothing_and_asks_for_nothing(opened: Opened) -> None:
    draw_all(opened.page)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert opened.page.evaluate(CUT_LABELS) == []
    assert opened.said == []
    assert [one for one in opened.requests if not one.startswith(("file:", "data:", "blob:"))] == []


def test_a_very_long_name_leaves_the_plot_half_of_its_figure_on_a_phone(
    browser: Browser, shown: Content, tmp_path: Path
) -> None:
    file, name = tmp_path / "report.html", "a-board-" + "x" * 192
    long = {
        key: getattr(shown, key).replace({"device": {"pi5": name}})
        for key in ("results", "measured", "troubles")
    }
    file.write_text(page_of(replace(shown, **long), "sample", made_at=MADE_AT))
    page = browser.new_page(viewport={"width": 375, "height": 900})
    page.goto(file.as_uri())
    draw_all(page)
    assert page.evaluate(CUT_LABELS) == []
    shares = page.evaluate(PLOT_SHARES)
    assert len(shares) == 3
    assert min(shares) >= 0.5
    page.close()


def test_what_is_written_and_drawn_can_be_seen(opened: Opened) -> None:
    page = opened.page
    figure = page.locator(FIRST_LATENCY).first
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".xtitle")).to_have_css("fill", css(page.locator("body"), "color"))
    card = css(figure, "background-color")
    assert page.evaluate(CONTRAST, [css(page.locator("body"), "color"), card]) >= TEXT_CONTRAST
    points = figure.locator(".scatterlayer path.point").all()
    assert points
    for color in {css(point, "stroke") for point in points}:
        assert page.evaluate(CONTRAST, [color, card]) >= DRAWN_CONTRAST


def css(part: Locator, name: str) -> str:
    return str(part.evaluate(f"one => getComputedStyle(one)['{name}']"))


def test_hovering_a_point_tells_its_trial(opened: Opened, shown: Content) -> None:
    page = opened.page
    figure = page.locator(FIRST_LATENCY).first
    figure.scroll_into_view_if_needed()
    point = figure.locator(".scatterlayer .point").last
    point.wait_for()
    box = point.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = figure.locator(".hoverlayer .hovertext")
    told.first.wait_for()
    words = " ".join(told.all_text_contents())
    device = sorted(model.device.id for model in MODELS)[0]
    trials = shown.results[shown.results["device"] == device]["trial"]
    assert any(f"trial {trial}" in words for trial in trials)
    assert "quality: " in words


def test_a_chosen_device_is_the_only_one_that_is_shown(opened: Opened) -> None:
    page, rows = opened.page, opened.page.locator("#results tbody tr")
    of_pi5 = rows.filter(has=page.get_by_role("cell", name="pi5", exact=True)).count()
    page.select_option("#device", "pi5")
    for devices in page.locator("[data-devices]:visible").evaluate_all(
        "all => all.map((one) => one.dataset.devices)"
    ):
        assert "pi5" in json.loads(devices)
    assert rows.filter(visible=True).count() == of_pi5
    energy = page.locator("figure:visible").filter(has_text="Accuracy against energy: pi5")
    energy.scroll_into_view_if_needed()
    energy.locator(".scatterlayer .point").first.wait_for()
    page.select_option("#device", "")
    assert rows.filter(visible=True).count() == rows.count() > of_pi5


def test_how_opens_the_commands_of_a_row(opened: Opened) -> None:
    row = opened.page.locator("#results tbody tr").first
    row.locator("summary").click()
    commands = row.locator("pre:visible").all_text_contents()
    assert [one.split()[1] for one in commands] == ["submit", "bench"]
    assert f"jobs/{SWEEP}.yaml" in commands[0]


def test_the_figures_turn_dark_with_the_page(browser: Browser, file: Path) -> None:
    page = browser.new_page(color_scheme="light")
    page.goto(file.as_uri())
    page.locator(".plot .xtitle").first.wait_for()
    light = css(page.locator("body"), "color")
    page.emulate_media(color_scheme="dark")
    dark = css(page.locator("body"), "color")
    assert dark != light
    expect(page.locator(".plot .xtitle").first).to_have_css("fill", dark)
    page.close()


def test_every_table_is_there_without_javascript(
    browser: Browser, file: Path, shown: Content
) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    assert page.locator("#results tbody tr").count() == len(shown.results)
    assert page.locator("noscript").inner_text().startswith("The figures need JavaScript")
    page.close()
