import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.config.protocol import parse_protocol
from harness.config.sweep_file import read_sweep
from harness.core.bench import PROTOCOLS, Gates, Protocol
from harness.core.ids import to_plain
from harness.report.frames import records
from harness.report.page.content import Content
from harness.report.reproduce import bench_command, protocol_words, submit_command
from harness.sweep.trials import build_sweep
from tests.rows import own_model_row
from tests.sample import SWEEP

SWEPT = f"""
name: {SWEEP}
dataset: digits
model: {{name: mlp, layers: 3}}
precision: [binary, float32, int8]
seeds: [0, 1]
grid: {{model.units: [64, 256, 1024, 4096], train.batch_size: [50, 100], dataset: [digits, fashion_mnist]}}
train: {{epochs: 12, learning_rate: 0.003}}
"""


def rows_of(shown: Content) -> list[dict[str, Any]]:
    return records(shown.results.drop_duplicates("trial"), list(shown.results.columns))


def test_the_submit_command_trains_the_very_trial(shown: Content, tmp_path: Path) -> None:
    file = tmp_path / f"{SWEEP}.yaml"
    file.write_text(SWEPT)
    for row in rows_of(shown):
        command = submit_command(row)
        assert command is not None
        words = shlex.split(command)
        assert words[:4] == ["harness", "submit", "sweep", f"jobs/{SWEEP}.yaml"]
        overrides = [word for word in words[4:] if word != "--set"]
        assert [trial.id for trial in build_sweep(read_sweep(file, overrides)).trials] == [
            row["trial"]
        ]


def test_the_bench_command_is_of_the_artifact_the_device_and_the_protocol(shown: Content) -> None:
    for row in rows_of(shown):
        words = shlex.split(bench_command(row))
        assert words[2].endswith(f"/artifacts/{row['artifact'][:2]}/{row['artifact']}.tflite")
        said = dict(zip(words[3:-1:2], words[4:-1:2], strict=True))
        assert said["--device"] == row["device"]
        again = parse_protocol(said["--protocol"])
        measured = json.loads(row["protocol_settings"])
        assert (
            to_plain(replace(again, name=measured["name"], threads=int(said["--threads"])))
            == measured
        )


def test_a_model_of_the_users_own_is_not_trained_again() -> None:
    assert submit_command(own_model_row()) is None
    assert own_model_row()["artifact"] in bench_command(own_model_row())


def test_names_with_spaces_and_quotes_stay_one_word(shown: Content) -> None:
    row = {**rows_of(shown)[0], "device": "it's; a $(device)", "sweep": "my sweep"}
    assert "it's; a $(device)" in shlex.split(bench_command(row))
    assert "jobs/my sweep.yaml" in shlex.split(str(submit_command(row)))


gates = st.builds(
    Gates,
    max_wait_s=st.floats(0, 1e4),
    max_temperature_c=st.floats(1, 100),
    max_busy=st.floats(0.01, 1),
    min_battery=st.integers(0, 100),
    unplugged=st.booleans(),
)
protocols = st.builds(
    Protocol,
    name=st.sampled_from(["custom", *PROTOCOLS]),
    warmup_runs=st.integers(0, 100),
    num_runs=st.integers(1, 1000),
    min_secs=st.floats(0, 100),
    max_secs=st.floats(100, 1000),
    processes=st.integers(1, 20),
    max_processes=st.integers(20, 40),
    target=st.floats(0, 0.99),
    order=st.sampled_from(["interleaved", "sequential"]),
    gates=st.none() | gates,
    canary=st.booleans(),
    answers=st.booleans(),
)


@given(protocols)
def test_a_protocol_in_words_is_read_as_what_it_was(protocol: Protocol) -> None:
    again = parse_protocol(protocol_words(to_plain(protocol)))
    assert replace(again, name=protocol.name) == protocol


def test_a_named_protocol_is_said_by_its_name() -> None:
    for name, protocol in PROTOCOLS.items():
        assert protocol_words(to_plain(protocol)) == name
