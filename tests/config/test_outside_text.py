"""Any text from outside is read or refused in a sentence, within a second."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.config.device_edit import add_entry
from harness.config.device_file import read_devices
from harness.config.document import Document
from harness.config.overrides import apply_override
from harness.config.protocol import parse_protocol
from harness.config.published import COLUMNS, read_published
from harness.config.sweep_file import read_sweep
from harness.config.yaml_text import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES, read_yaml
from harness.core.errors import HarnessError
from tests.processor_time import bounded_time

SWEEP = """\
name: outside
dataset: digits
model: {name: mlp, layers: 2, units: 32}
precision: [binary]
seeds: [0]
train: {epochs: 1, batch_size: 100, optimizer: adam, learning_rate: 0.001}
"""
SEARCH = (
    SWEEP
    + """\
search:
  objectives: [accuracy, {metric: size}]
  constraints:
    - {metric: latency, on: pi4, threads: 1, at_most: 5 ms}
    - {metric: size, at_most: 1 MB}
"""
)
DEVICES = "devices:\n  - {id: pi4, kind: ssh, host: pi4.lab, tags: [a], cpus: [2, 3]}\n"
PUBLISHED = ",".join(COLUMNS) + "\nm,binary,pi4,1,10.5,0.5,10,paper,2020-01-01\n"
BASES = (SWEEP, SEARCH, DEVICES, PUBLISHED, "grid: {model.units: [1, 2]}\n", "")
TOKENS = (
    *"[]{}&*!|>'\"%@`-:,#?~<=.\n\t \\\r\0",
    *("- ", "? ", ": ", "<<: ", "&a ", "*a ", "!!int ", "!!python/name:os.system ", "--- ", "..."),
    *("%YAML 9.9\n", "1e", "0x", "_1", "9" * 50, "1e400", "NaN", ".nan", "-.inf", "2024-12-31"),
    *("{a: ", "[a, ", "a: &b [*b]\n", "model.", "grid.", "train."),
    *("\ufeff", "\u2028", "\U0001f600"),
)
DOCUMENT = Document("jobs/x.yaml", {"model": {"units": 1}, "grid": {"model.units": [1]}}, lines={})


@st.composite
def outside_texts(draw: st.DrawFn) -> str:
    """Return a text of random parts, each repeated up to many times, within a sound one."""
    base = draw(st.sampled_from(BASES))
    place = draw(st.integers(0, len(base)))
    parts = draw(
        st.lists(
            st.tuples(st.sampled_from(TOKENS) | st.text(max_size=20), st.integers(1, 3_000)),
            max_size=4,
        )
    )
    middle = "".join(token * number for token, number in parts)
    return base[:place] + middle + base[place + draw(st.integers(0, 10)) :]


def read_nothing_else(read: Callable[[], Any]) -> None:
    """Read something; fail for an error that is not ours, and for one that takes long."""
    with bounded_time(), suppress(HarnessError):
        read()


def many_examples(test: Callable[..., None]) -> Callable[..., None]:
    shared = settings(
        deadline=None,
        max_examples=60,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    return shared(test)


@pytest.mark.parametrize("read", [read_sweep, read_devices, read_published])
@many_examples
@given(text=outside_texts())
def test_any_file_is_read_or_refused(
    tmp_path: Path, read: Callable[[Path], object], text: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read_nothing_else(lambda: read(path))


@many_examples
@given(content=st.binary(max_size=2_000))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in (read_sweep, read_devices, read_published):
        read_nothing_else(lambda read=read: read(path))  # type: ignore[misc]


@many_examples
@given(key=st.sampled_from(["model.units", "grid", "seeds", "a.b", ""]), text=outside_texts())
def test_any_option_is_read_or_refused(key: str, text: str) -> None:
    read_nothing_else(lambda: apply_override(DOCUMENT, f"{key}={text}"))
    read_nothing_else(lambda: apply_override(DOCUMENT, text))
    read_nothing_else(lambda: parse_protocol(text))
    read_nothing_else(lambda: parse_protocol(f"quick,{key}={text}"))


@many_examples
@given(text=outside_texts())
def test_an_entry_is_added_to_any_registry_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read_nothing_else(lambda: add_entry(path, {"id": "new", "kind": "local"}))


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 30)
)
MERGES = (
    "a: &a {"
    + ", ".join(f"k{number}: 1" for number in range(1_000))
    + "}\n"
    + "".join(f"b{number}: {{<<: *a}}\n" for number in range(5_000))
)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "? " * 100_000,
        "a:\n" + "".join(" " * depth + "a:\n" for depth in range(1, 1_000)),
        LAUGHS,
        MERGES,
        "a: &a [*a]",
        "a: *missing",
        "a: " + "9" * 100_000,
        "a: 1_" + "_" * 100_000 + "x",
        "a: " + "1e" * 100_000,
        f"a: [{'1,' * MAX_VALUES}]",
        "a: " + "x" * MAX_CHARACTERS,
        "a: !!python/object/apply:os.system [ls]",
        "a: 1\n---\nb: 2",
    ],
    ids=range(16),
)
def test_yaml_that_would_take_long_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    for read in (read_sweep, read_devices):
        with bounded_time(), pytest.raises(HarnessError) as refused:
            read(path)
        assert len(str(refused.value)) < 400
    read_nothing_else(lambda: apply_override(DOCUMENT, f"model.units={text}"))
    read_nothing_else(lambda: parse_protocol(f"quick,gates={text}"))


def test_texts_up_to_the_bounds_are_read() -> None:
    with bounded_time():
        assert len(read_yaml(f"[{'1, ' * (MAX_VALUES - 1)}]").value) == MAX_VALUES - 1
    with bounded_time():
        assert len(read_yaml('"' + "\\n" * (MAX_CHARACTERS // 2 - 1) + '"').value) > 400_000
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    with bounded_time():
        assert read_yaml(deep).value == json.loads(deep)


@pytest.mark.parametrize(
    "option",
    [
        "a." * 1_000 + "a=1",
        "model" + ".units" * 350 + "=1",
        "model.units=" + "[" * 2_000,
        "model.units=" + "{a: " * 500,
        "model.units=&a [" + "*a, " * 500 + "]",
        "model.units.999999999999999999999999=1",
        "model.\udcff=1",
        "model.units=\udcff",
        "grid=" + "9" * 5_000,
        "grid.=1",
        "=",
        "",
    ],
)
def test_odd_options_are_read_or_refused(option: str) -> None:
    read_nothing_else(lambda: apply_override(DOCUMENT, option))
    read_nothing_else(lambda: parse_protocol(f"quick,{option}"))
