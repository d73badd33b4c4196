import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.config.protocol import parse_protocol
from harness.config.sweep_file import read_sweep
from harness.conversion.anatomy import Tensor
from harness.conversion.inputs import choose_inputs, parse_choices
from harness.core.bench import PROTOCOLS, Gates, ModelInput, Protocol
from harness.core.ids import to_plain
from harness.report.frames import to_records
from harness.report.page.content import PageContent
from harness.report.reproduce import (
    format_bench_command,
    format_protocol,
    format_submit_command,
)
from harness.sweep.trials import build_sweep
from tests.rows import own_model_row
from tests.sample import SWEEP

SWEEP_FILE = f"""
name: {SWEEP}
dataset: digits
model: {{name: mlp, layers: 3}}
precision: [binary, float32, int8]
seeds: [0, 1]
grid:
  model.units: [64, 256, 1024, 4096]
  train.batch_size: [50, 100]
  dataset: [digits, fashion_mnist]
train: {{epochs: 12, learning_rate: 0.003}}
"""


def read_rows(content: PageContent) -> list[dict[str, Any]]:
    return to_records(content.results.drop_duplicates("trial"), list(content.results.columns))


def test_the_submit_command_trains_exactly_the_trial(content: PageContent, tmp_path: Path) -> None:
    file = tmp_path / f"{SWEEP}.yaml"
    file.write_text(SWEEP_FILE)
    for row in read_rows(content):
        command = format_submit_command(row)
        assert command is not None
        argv = shlex.split(command)
        assert argv[:4] == ["harness", "submit", "sweep", f"jobs/{SWEEP}.yaml"]
        overrides = [argument for argument in argv[4:] if argument != "--set"]
        assert [trial.id for trial in build_sweep(read_sweep(file, overrides)).trials] == [
            row["trial"]
        ]


def test_the_bench_command_has_the_artifact_the_device_and_the_protocol(
    content: PageContent,
) -> None:
    for row in read_rows(content):
        argv = shlex.split(format_bench_command(row))
        assert argv[2].endswith(f"/artifacts/{row['artifact'][:2]}/{row['artifact']}.tflite")
        options = dict(zip(argv[3:-1:2], argv[4:-1:2], strict=True))
        assert options["--device"] == row["device"]
        parsed = parse_protocol(options["--protocol"])
        measured = json.loads(row["protocol_settings"])
        assert (
            to_plain(replace(parsed, name=measured["name"], threads=int(options["--threads"])))
            == measured
        )


def test_a_users_own_model_has_no_submit_command() -> None:
    assert format_submit_command(own_model_row()) is None
    assert own_model_row()["artifact"] in format_bench_command(own_model_row())


def test_the_bench_command_chooses_the_same_inputs() -> None:
    inputs = (
        ModelInput("it's:0", (1, 12), low=0, high=99),
        ModelInput("image", (1, 64, 32, 3), resized=True),
        ModelInput("scale", ()),
    )
    row = own_model_row(inputs=json.dumps(to_plain(inputs)))
    argv = shlex.split(format_bench_command(row))
    options = list(zip(argv[3:-1:2], argv[4:-1:2], strict=True))
    shapes = [value for name, value in options if name == "--input-shape"]
    ranges = [value for name, value in options if name == "--input-range"]
    tensors = (
        Tensor("it's:0", (1, 12), dtype="int32"),
        Tensor("image", (1, 1, 1, 3), dtype="float32", dynamic=(1, 2)),
        Tensor("scale", (), dtype="float32"),
    )
    assert choose_inputs("own.tflite", tensors, choices=parse_choices(shapes, ranges)) == inputs


def test_the_bench_command_takes_values_from_the_workspace() -> None:
    sha256 = "c" * 64
    row = own_model_row(inputs=json.dumps(to_plain([ModelInput("a b", (1, 2), values=sha256)])))
    argv = shlex.split(format_bench_command(row))
    assert argv[argv.index("--input-file") + 1].startswith("a b:")
    assert argv[argv.index("--input-file") + 1].endswith(f"/artifacts/cc/{sha256}.values")


def test_names_with_spaces_and_quotes_stay_one_argument(content: PageContent) -> None:
    row = {**read_rows(content)[0], "device": "it's; a $(device)", "sweep": "my sweep"}
    assert "it's; a $(device)" in shlex.split(format_bench_command(row))
    assert "jobs/my sweep.yaml" in shlex.split(str(format_submit_command(row)))


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
def test_a_formatted_protocol_is_parsed_as_the_same_protocol(protocol: Protocol) -> None:
    parsed = parse_protocol(format_protocol(to_plain(protocol)))
    assert replace(parsed, name=protocol.name) == protocol


def test_a_predefined_protocol_is_formatted_as_its_name() -> None:
    for name, protocol in PROTOCOLS.items():
        assert format_protocol(to_plain(protocol)) == name
