import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.core.device import LocalDevice
from harness.core.errors import CaseFailed, Reason
from harness.report.page.content import Content, content
from harness.report.page.page import MOST_ROWS, page
from harness.store.database import open_database
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from tests.dashboards.conftest import MADE_AT
from tests.harness_cli import Cli
from tests.sample import MODELS, SWEEP
from tests.store.examples import make_case, stored_trial


class Read(HTMLParser):
    """The tags of a page, and its text by the tag around it."""

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

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def read(html: str) -> Read:
    return Read(html)


@pytest.fixture(scope="module")
def small(shown: Content) -> Content:
    """Three results of one device, and nothing else: a page that is quickly made."""
    rows = shown.results.head(3)
    rest = {
        name: value.iloc[:0]
        for name, value in vars(shown).items()
        if isinstance(value, pd.DataFrame)
    }
    return replace(
        shown,
        **{**rest, "results": rows, "devices": shown.devices.head(1), "names": ("workstation",)},
    )


def test_the_page_asks_for_nothing_elsewhere(read: Read) -> None:
    asked = [
        attributes.get(name)
        for _, attributes in read.tags
        for name in ("src", "href", "action", "data")
    ]
    assert all(one is None or one.startswith(("#", "data:")) for one in asked)
    assert not re.search(r"url\(|@import", "".join(read.text["style"]))
    (policy,) = [meta["content"] for meta in read.all("meta") if meta.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_plotly_is_there_once(html: str) -> None:
    assert html.count("plotly.js v") == 1


def test_links_within_the_page_lead_somewhere(read: Read) -> None:
    ids = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    assert {str(link["href"])[1:] for link in read.all("a")} <= ids


def test_its_title_has_the_workspace_and_the_date(read: Read) -> None:
    assert read.text["title"][0] == "sample: benchmark report of 2026-11-24"
    assert read.text["h1"][0] == "sample"


def test_every_figure_has_a_caption_and_its_data(read: Read) -> None:
    figures = {
        str(one["id"]): json.loads(text)
        for one, text in zip(_data(read), _data_texts(read), strict=True)
    }
    wanted = [one["data-figure"] for one in read.all("div") if "data-figure" in one]
    assert set(figures) == set(wanted)
    assert len(read.all("figcaption")) == len(wanted) == len(set(wanted)) > len(MODELS)


def _data(read: Read) -> list[dict[str, str | None]]:
    return [one for one in read.all("script") if one.get("type") == "application/json"]


def _data_texts(read: Read) -> list[str]:
    return [text for text in read.text["script"] if text.startswith('{"data"')]


def test_every_device_has_its_facts_and_can_be_chosen(read: Read, html: str) -> None:
    assert [one["value"] for one in read.all("option")] == [
        "",
        *sorted(model.device.id for model in MODELS),
    ]
    for model in MODELS:
        assert str(model.facts.get("model") or model.facts["cpu"]) in html
        assert model.tool.sha256 in html
    assert "max_processes 10" in html


def test_every_result_is_a_row_with_its_commands(read: Read, shown: Content) -> None:
    commands = [text for text in read.text["pre"] if text.startswith("harness ")]
    assert len(shown.results) < MOST_ROWS
    assert len(commands) == 2 * len(shown.results)
    for start in ("harness submit sweep", "harness bench"):
        assert sum(one.startswith(start) for one in commands) == len(shown.results)


def test_what_failed_and_what_to_do_stands_there(html: str) -> None:
    for told in ("The loss became nan in epoch 3", "is the board busy?", "plug it in again"):
        assert told in html


def test_a_device_with_two_data_sets_has_a_trade_off_for_each_and_one_speed_up(
    shown: Content,
) -> None:
    rows = shown.results[shown.results["device"] == "pi5"]
    other = rows.assign(
        dataset="digits", accuracy=rows["accuracy"] / 2, trial="f" + rows["trial"].str[1:]
    )
    told = page(replace(shown, results=pd.concat([rows, other])), "sample", made_at=MADE_AT)
    captions = [text for text in Read(told).text["figcaption"] if text.strip()]
    for dataset in ("digits", "fashion_mnist"):
        assert f"Accuracy against latency: pi5, {dataset}" in captions
        assert f"Accuracy against size: all devices, {dataset}" in captions
    assert [one for one in captions if one.startswith("Speed-up")] == ["Speed-up: pi5"]


def test_commands_in_sentences_are_code(shown: Content) -> None:
    told = page(replace(shown, left_out=("See `harness query <b>`.",)), "sample", made_at=MADE_AT)
    assert "See <code>harness query &lt;b&gt;</code>." in told


def test_published_numbers_stand_apart_where_there_are_some(small: Content) -> None:
    assert 'id="published"' not in page(small, "sample", made_at=MADE_AT)
    row = {
        "model": "QuickNet",
        "device": "Pixel 1",
        "latency_us": 20_800.0,
        "source": "a README",
        "dated": None,
    }
    told = page(replace(small, published=pd.DataFrame([row])), "sample", made_at=MADE_AT)
    section = told[told.index('id="published"') : told.index('id="results"')]
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


def named(small: Content, device: str, variant: str, workspace: str) -> Read:
    warning = "spread: " + variant.replace(";", ",")  # which would be two warnings
    rows = small.results.assign(device=device, model=variant, quality=warning)
    return Read(page(replace(small, results=rows, names=(device,)), workspace, made_at=MADE_AT))


@pytest.fixture(scope="module")
def plainly_named(small: Content) -> Read:
    return named(small, "device", variant="variant", workspace="workspace")


@settings(
    max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate]
)  # shrinking takes minutes
@given(device=names, variant=names, workspace=names)
def test_a_name_is_only_ever_text(
    small: Content, plainly_named: Read, device: str, variant: str, workspace: str
) -> None:
    read = named(small, device, variant=variant, workspace=workspace)
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plainly_named.tags]
    assert read.all("option")[1]["value"] == device
    assert "".join(read.text["h1"]).strip() == workspace.strip()
    assert json.loads(str(read.all("figure")[-1]["data-devices"])) == [device]
    for text in _data_texts(read):
        assert "<" not in text
        json.loads(text)


def test_of_many_devices_and_results_the_newest_are_shown_and_the_page_says_so(
    home: Path, shown: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.report.page.content.MOST_DEVICES", 2)
    monkeypatch.setattr("harness.report.page.content.MOST_RESULTS", 9)
    few = content(f"sqlite:///{home / 'harness.db'}")
    last = shown.results.groupby("device")["measured_at"].max().nlargest(2)
    assert few.results.groupby("device").size().to_dict() == dict.fromkeys(last.index, 9)
    for device, rows in few.results.groupby("device"):
        all_of_it = shown.results[shown.results["device"] == device]
        assert rows["measured_at"].max() == all_of_it["measured_at"].max()
        cut = [
            twin
            for twin, some in rows.groupby("twin")
            if len(some) < sum(all_of_it["twin"] == twin)
        ]
        assert len(cut) <= 1, "twins stay together"
    assert (
        few.extremes["accuracy"].max()
        == shown.results[shown.results["device"].isin(last.index)]["accuracy"].max()
    )
    assert "This page shows 18 of 207 results, on 2 of 6 devices: those measured last." in page(
        few, "few", made_at=MADE_AT
    )


def test_of_many_rows_the_most_accurate_are_in_the_table(shown: Content) -> None:
    twice = pd.concat([shown.results, shown.results.assign(accuracy=0.1)], ignore_index=True)
    told = page(replace(shown, results=twice), "sample", made_at=MADE_AT)
    assert f"The {MOST_ROWS} most accurate of {len(twice)} results." in told
    assert told.count("10.0 %</td>") == MOST_ROWS - len(shown.results)


def test_a_report_of_one_device_is_of_that_device(home: Path) -> None:
    shown = content(f"sqlite:///{home / 'harness.db'}", device="pi5")
    for frame in (
        shown.results,
        shown.pairs,
        shown.canaries,
        shown.devices,
        shown.profile,
        shown.troubles,
    ):
        assert set(frame["device"]) <= {"pi5"}
    assert not shown.left_out


def test_the_command_writes_the_page_and_says_where(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "fleet.html"
    ended = Cli(home).run("report", "--out", out, "--sweep", SWEEP)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{out}: open it in a browser; it needs nothing beside it.\n"
    assert Read(out.read_text()).text["h1"][0] == home.name


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--device", "nobody"),
            "error: nobody: nothing was measured; `harness status` tells more.\n",
        ),
        (("--out", "nowhere/report.html"), "error: --out nowhere/report.html: can't be written"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    home: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = Cli(home).run("report", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(told)
    assert not list(tmp_path.iterdir())


def test_without_a_database_the_command_says_what_to_do(tmp_path: Path) -> None:
    ended = Cli(tmp_path / "none").run("report", cwd=tmp_path)
    assert ended.returncode == 2
    assert "submit a sweep first" in ended.stderr


def test_an_empty_workspace_has_a_page_of_sentences(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "workspace")
    assert cli.run("db", "upgrade").returncode == 0
    shown = content(f"sqlite:///{cli.home / 'harness.db'}")
    told = page(shown, "empty", made_at=MADE_AT)
    drawn: list[Any] = [json.loads(text) for text in _data_texts(Read(told))]
    assert all(not figure["data"] and figure["layout"]["annotations"] for figure in drawn)
    for section in told.split("<section")[1:]:
        assert re.search('class="note"|<figure|yet', section), section


def test_where_all_failed_the_page_says_so_and_names_the_device(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "workspace")
    engine = open_database(f"sqlite:///{cli.home / 'harness.db'}")
    _, outcome = stored_trial(engine)
    local = LocalDevice(id="here")
    DeviceRows(engine).mark_ready(local, {"cpu": "a CPU", "cpus": "2"})
    failed = make_case(outcome.artifacts[0].sha256, local.id)
    CaseRows(engine).fail(failed, local.kind, CaseFailed(Reason.CRASHED, "It broke."))
    engine.dispose()
    told = page(content(str(engine.url)), "broken", made_at=MADE_AT)
    read = Read(told)
    assert '<a href="#failures">what failed, and what to do</a>' in told
    assert 'id="failures"' in told
    assert [option["value"] for option in read.all("option")] == ["", "here"]
    shown = "".join(
        text for tag, texts in read.text.items() if tag not in ("script", "style") for text in texts
    )
    assert "It broke." in shown
    for wrong in ("No device was seen yet", "0 artifacts", "no sweep", "harness –", "`"):
        assert wrong not in shown
