import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.core.device import LocalDevice
from harness.core.errors import CaseFailed, Reason
from harness.core.units import count_noun
from harness.report.page.content import PageContent, read_content
from harness.report.page.page import MAX_ROWS, render_page
from harness.store.database import open_database
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from tests.dashboards.conftest import MADE_AT
from tests.harness_cli import Cli
from tests.sample import DEVICES, SWEEP
from tests.store.examples import make_case, store_trial


class ParsedPage(HTMLParser):
    """The tags of a page, and its texts by the tag around them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.text.setdefault(self._open, []).append(data)

    def list_attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of each tag with this name."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def parsed(html: str) -> ParsedPage:
    return ParsedPage(html)


@pytest.fixture(scope="module")
def small(content: PageContent) -> PageContent:
    """Return three results of one device and nothing else, which take little time to render."""
    frames = {
        name: value.iloc[:0]
        for name, value in vars(content).items()
        if isinstance(value, pd.DataFrame)
    }
    frames |= {"results": content.results.head(3), "devices": content.devices.head(1)}
    return replace(content, **frames, device_ids=("workstation",))


def test_the_page_loads_nothing_from_elsewhere(parsed: ParsedPage) -> None:
    for _, attributes in parsed.tags:
        for name in ("src", "href", "action", "data"):
            url = attributes.get(name)
            assert url is None or url.startswith(("#", "data:"))
    assert not re.search(r"url\(|@import", "".join(parsed.text["style"]))
    metas = parsed.list_attributes("meta")
    (policy,) = [meta["content"] for meta in metas if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_page_contains_plotly_once(html: str) -> None:
    assert html.count("plotly.js v") == 1


def test_links_within_the_page_have_targets(parsed: ParsedPage) -> None:
    ids = {attributes["id"] for _, attributes in parsed.tags if "id" in attributes}
    assert {str(link["href"])[1:] for link in parsed.list_attributes("a")} <= ids


def test_its_title_has_the_workspace_and_the_date(parsed: ParsedPage) -> None:
    assert parsed.text["title"][0] == "sample: benchmark report of 2026-11-24"
    assert parsed.text["h1"][0] == "sample"


def test_every_figure_has_a_caption_and_its_data(parsed: ParsedPage) -> None:
    scripts = parsed.list_attributes("script")
    ids = [script["id"] for script in scripts if script.get("type") == "application/json"]
    data = [json.loads(text) for text in _list_figure_data(parsed)]
    assert len(ids) == len(data)
    divs = parsed.list_attributes("div")
    plots = [div["data-figure"] for div in divs if "data-figure" in div]
    assert set(ids) == set(plots)
    captions = parsed.list_attributes("figcaption")
    assert len(captions) == len(plots) == len(set(plots)) > len(DEVICES)


def _list_figure_data(parsed: ParsedPage) -> list[str]:
    return [text for text in parsed.text["script"] if text.startswith('{"data"')]


def test_every_device_has_its_facts_and_can_be_selected(parsed: ParsedPage, html: str) -> None:
    options = [option["value"] for option in parsed.list_attributes("option")]
    assert options == ["", *sorted(sample.device.id for sample in DEVICES)]
    for sample in DEVICES:
        assert str(sample.facts.get("model") or sample.facts["cpu"]) in html
        assert sample.tool.sha256 in html
    assert "max_processes 10" in html


def test_every_result_is_a_row_with_its_commands(parsed: ParsedPage, content: PageContent) -> None:
    commands = [text for text in parsed.text["pre"] if text.startswith("harness ")]
    assert len(content.results) < MAX_ROWS
    assert len(commands) == 2 * len(content.results)
    for start in ("harness submit sweep", "harness bench"):
        assert sum(command.startswith(start) for command in commands) == len(content.results)


def test_failures_are_shown_with_what_to_do(html: str) -> None:
    for text in ("The loss became nan in epoch 3", "is the board busy?", "plug it in again"):
        assert text in html


def test_a_device_with_two_data_sets_has_a_trade_off_for_each_and_one_speed_up(
    content: PageContent,
) -> None:
    rows = content.results[content.results["device"] == "pi5"]
    other = rows.assign(
        dataset="digits", accuracy=rows["accuracy"] / 2, trial="f" + rows["trial"].str[1:]
    )
    two_data_sets = replace(content, results=pd.concat([rows, other]))
    html = render_page(two_data_sets, "sample", made_at=MADE_AT)
    captions = [text for text in ParsedPage(html).text["figcaption"] if text.strip()]
    for dataset in ("digits", "fashion_mnist"):
        assert f"Accuracy against latency: pi5, {dataset}" in captions
        assert f"Accuracy against size: all devices, {dataset}" in captions
    assert [caption for caption in captions if caption.startswith("Speed-up")] == ["Speed-up: pi5"]


def test_the_page_says_how_pairs_of_different_batches_were_compared(content: PageContent) -> None:
    words = "compared through 1f2e3d4c5b6a, measured 2 hours apart"
    pairs = content.pairs.assign(basis="through a reference", differences=words)
    html = render_page(replace(content, pairs=pairs), "bridged", made_at=MADE_AT)
    assert (
        f"{len(pairs)} of {count_noun(len(pairs), 'pair')}: "
        "compared through a reference that both batches measured."
    ) in html
    assert words in html, "shown when the mouse is over the marker"
    assert "through a reference" not in render_page(content, "together", made_at=MADE_AT)


def test_commands_in_sentences_are_code(content: PageContent) -> None:
    noted = replace(content, omissions=("See `harness query <b>`.",))
    html = render_page(noted, "sample", made_at=MADE_AT)
    assert "See <code>harness query &lt;b&gt;</code>." in html


def test_published_numbers_have_a_section_of_their_own(small: PageContent) -> None:
    assert 'id="published"' not in render_page(small, "sample", made_at=MADE_AT)
    row = {
        "model": "QuickNet",
        "device": "Pixel 1",
        "latency_us": 20_800.0,
        "source": "a README",
        "dated": None,
    }
    published = replace(small, published=pd.DataFrame([row]))
    html = render_page(published, "sample", made_at=MADE_AT)
    section = html[html.index('id="published"') : html.index('id="results"')]
    assert "a README" in section
    assert "None" not in section


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30
) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "</script><img src=x onerror=alert(1)>",
        "\"' onload='x",
        "<!--",
        "π ≈ 3 & ü",
        "{{ 7 * 7 }}",
    ]
)


def render_names(small: PageContent, device: str, variant: str, workspace: str) -> ParsedPage:
    warning = "spread: " + variant.replace(";", ",")  # a semicolon would begin a second warning
    rows = small.results.assign(device=device, model=variant, quality=warning)
    content = replace(small, results=rows, device_ids=(device,))
    return ParsedPage(render_page(content, workspace, made_at=MADE_AT))


@pytest.fixture(scope="module")
def with_plain_names(small: PageContent) -> ParsedPage:
    return render_names(small, "device", variant="variant", workspace="workspace")


# Without shrinking, which takes minutes.
@pytest.mark.full
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(device=names, variant=names, workspace=names)
def test_a_name_is_always_text_and_never_html(
    small: PageContent, with_plain_names: ParsedPage, device: str, variant: str, workspace: str
) -> None:
    parsed = render_names(small, device, variant=variant, workspace=workspace)
    assert [tag for tag, _ in parsed.tags] == [tag for tag, _ in with_plain_names.tags]
    assert parsed.list_attributes("option")[1]["value"] == device
    assert "".join(parsed.text["h1"]).strip() == workspace.strip()
    assert json.loads(str(parsed.list_attributes("figure")[-1]["data-devices"])) == [device]
    for text in _list_figure_data(parsed):
        assert "<" not in text
        json.loads(text)


def test_the_newest_devices_and_results_are_shown_and_the_page_says_so(
    home: Path, content: PageContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.report.page.content.MAX_DEVICES", 2)
    monkeypatch.setattr("harness.report.page.content.MAX_RESULTS", 9)
    limited = read_content(f"sqlite:///{home / 'harness.db'}")
    newest = content.results.groupby("device")["measured_at"].max().nlargest(2).index
    assert limited.results.groupby("device").size().to_dict() == dict.fromkeys(newest, 9)
    for device, rows in limited.results.groupby("device"):
        all_rows = content.results[content.results["device"] == device]
        assert rows["measured_at"].max() == all_rows["measured_at"].max()
        incomplete = [
            twin
            for twin, group in rows.groupby("twin")
            if len(group) < sum(all_rows["twin"] == twin)
        ]
        assert len(incomplete) <= 1, "twins stay together"
    of_newest = content.results[content.results["device"].isin(newest)]
    assert limited.extremes["accuracy"].max() == of_newest["accuracy"].max()
    html = render_page(limited, "limited", made_at=MADE_AT)
    assert "This page shows the newest 18 of 207 results, on 2 of 6 devices." in html


def test_the_table_has_the_most_accurate_results(content: PageContent) -> None:
    inaccurate = content.results.assign(accuracy=0.1)
    results = pd.concat([content.results, inaccurate], ignore_index=True)
    html = render_page(replace(content, results=results), "sample", made_at=MADE_AT)
    assert f"The {MAX_ROWS} most accurate of {len(results)} results." in html
    assert html.count("10.0 %</td>") == MAX_ROWS - len(content.results)


def test_a_report_on_one_device_has_only_data_of_that_device(home: Path) -> None:
    content = read_content(f"sqlite:///{home / 'harness.db'}", device="pi5")
    for frame in (
        content.results,
        content.pairs,
        content.canaries,
        content.devices,
        content.profile,
        content.coverage,
    ):
        assert set(frame["device"]) <= {"pi5"}
    assert not content.omissions


def test_the_command_writes_the_page_and_says_where(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "fleet.html"
    ended = Cli(home).run("report", "--out", out, "--sweep", SWEEP)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{out}: open it in a browser; it needs no other file.\n"
    assert ParsedPage(out.read_text()).text["h1"][0] == home.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--device", "nobody"),
            "error: Nothing was measured for nobody. `harness status` lists sweeps and devices.\n",
        ),
        (("--out", "nowhere/report.html"), "error: --out nowhere/report.html: can't be written"),
    ],
)
def test_a_wrong_option_is_an_error_message(
    home: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = Cli(home).run("report", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(message)
    assert not list(tmp_path.iterdir())


def test_without_a_database_the_command_says_what_to_do(tmp_path: Path) -> None:
    ended = Cli(tmp_path / "none").run("report", cwd=tmp_path)
    assert ended.returncode == 2
    assert "submit a sweep first" in ended.stderr


def test_an_empty_workspace_has_a_page_of_sentences(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "workspace")
    assert cli.run("db", "upgrade").returncode == 0
    content = read_content(f"sqlite:///{cli.home / 'harness.db'}")
    html = render_page(content, "empty", made_at=MADE_AT)
    figures: list[Any] = [json.loads(text) for text in _list_figure_data(ParsedPage(html))]
    assert all(not figure["data"] and figure["layout"]["annotations"] for figure in figures)
    for section in html.split("<section")[1:]:
        assert re.search('class="note"|<figure|yet', section), section


def test_if_everything_failed_the_page_says_so_and_names_the_device(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "workspace")
    engine = open_database(f"sqlite:///{cli.home / 'harness.db'}")
    _, outcome = store_trial(engine)
    local = LocalDevice(id="here")
    DeviceRows(engine).mark_ready(local, {"cpu": "a CPU", "cpus": "2"})
    failed = make_case(outcome.artifacts[0].sha256, local.id)
    CaseRows(engine).fail(failed, local.kind, failure=CaseFailed(Reason.CRASHED, "It broke."))
    engine.dispose()
    html = render_page(read_content(str(engine.url)), "broken", made_at=MADE_AT)
    parsed = ParsedPage(html)
    assert '<a href="#failures">what failed, and what to do</a>' in html
    assert 'id="failures"' in html
    options = parsed.list_attributes("option")
    assert [option["value"] for option in options] == ["", "here"]
    visible = [texts for tag, texts in parsed.text.items() if tag not in ("script", "style")]
    text = "".join(chain.from_iterable(visible))
    assert "It broke." in text
    for wrong in ("No device has been used yet", "0 artifacts", "no sweep", "harness –", "`"):
        assert wrong not in text
