import sys
from pathlib import Path

import pytest

from harness.config.sweep_file import read_sweep
from harness.core.bench import PROTOCOLS, with_threads
from harness.core.errors import ConfigError
from harness.core.sweep import Precision, Resources, Sweep
from harness.sweep.trials import build_sweep

BASE = """\
name: small
dataset: digits
model:
  name: mlp
  units: 64
precision: [binary, float32]
seeds: [0, 1]
train: {epochs: 5}
resources: {cpu: 2, gpu: 0}
bench: {protocol: quick, threads: [1, 4]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def sweep(folder: Path, text: str, *overrides: str) -> Sweep:
    return build_sweep(read_sweep(write(folder, text), overrides))


def test_a_sweep_trains_every_precision_with_every_seed(tmp_path: Path) -> None:
    small = sweep(tmp_path, BASE)
    assert [(trial.seed, trial.precision) for trial in small.trials] == [
        (0, Precision.BINARY),
        (0, Precision.FLOAT32),
        (1, Precision.BINARY),
        (1, Precision.FLOAT32),
    ]
    assert (small.name, small.resources) == ("small", Resources(2.0, 0.0))
    assert small.protocols == with_threads(PROTOCOLS["quick"], (1, 4))


def test_a_trial_has_all_parameters_and_knows_the_chosen_ones(tmp_path: Path) -> None:
    trial = sweep(tmp_path, BASE).trials[0]
    assert trial.parameters == {"layers": 3, "units": 64}
    assert trial.chosen == {"units": 64}


def test_a_users_function_is_a_model_whose_trials_change_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "swept_nets", None)  # restored after the test
    monkeypatch.delitem(sys.modules, "swept_nets")
    text = BASE.replace("name: mlp", "name: swept_nets:tiny")
    plans = []
    for source in ("def tiny(task, units): ...", "def tiny(task, units): pass"):
        (tmp_path / "swept_nets.py").write_text(source)
        plans.append(sweep(tmp_path, text).trials)
    first, second = (trials[0] for trials in plans)
    assert first.architecture.startswith("swept_nets:tiny@")
    assert first.parameters == first.chosen == {"units": 64}
    assert len({trial.id for trial in (*plans[0], *plans[1])}) == 8
    assert first.twin == plans[0][1].twin != second.twin


def test_a_broken_file_of_the_users_own_data_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    data = tmp_path / "leaves.npz"
    data.write_bytes(b"not an archive")
    path = write(tmp_path, BASE.replace("dataset: digits", f"dataset: {data}"))
    message = rf"^{path}:2: dataset is '{data}': {data}: not a readable \.npz file of arrays: .*\.$"
    with pytest.raises(ConfigError, match=message):
        build_sweep(read_sweep(path))


@pytest.mark.parametrize("swept", ["  layers: 3\n", ""])
def test_a_default_that_is_written_out_makes_the_same_trials(tmp_path: Path, swept: str) -> None:
    written_out = sweep(tmp_path, BASE.replace("  units: 64\n", "  units: 64\n" + swept))
    assert [trial.id for trial in written_out.trials] == [
        trial.id for trial in sweep(tmp_path, BASE).trials
    ]


@pytest.mark.parametrize(
    ("axes", "points"),
    [
        pytest.param("grid: {model.units: [64, 64]}\n", 2, id="value given twice"),
        pytest.param(
            "grid: {model.layers: [3]}\npoints: [{model.units: 64}, {train.epochs: 5}]\n",
            2,
            id="defaults",
        ),
        pytest.param(
            "grid: {seeds: [0, 1]}\npoints: [{precision: binary}, {precision: float32}]\n",
            4,
            id="one by one",
        ),
    ],
)
def test_equal_points_collapse_to_one_trial(tmp_path: Path, axes: str, points: int) -> None:
    path = write(tmp_path, BASE + axes)
    assert len(read_sweep(path)) == points
    trial_ids = {trial.id for trial in build_sweep(read_sweep(path)).trials}
    assert trial_ids == {trial.id for trial in sweep(tmp_path, BASE).trials}
    assert len(build_sweep(read_sweep(path)).trials) == len(trial_ids)


@pytest.mark.parametrize(
    ("correct", "wrong", "line", "key"),
    [
        pytest.param("dataset: digits", "dataset: numbers", 2, "dataset", id="unknown data set"),
        pytest.param("name: mlp", "name: resnet", 4, "model.name", id="unknown model"),
        pytest.param("name: mlp", "name: 3", 4, "model.name", id="model named with a number"),
        pytest.param("name: mlp", "name: [mlp]", 4, "model.name", id="model named with a list"),
        pytest.param(
            "name: mlp", "name: {mlp: 1}", 4, "model.name", id="model named with a mapping"
        ),
        pytest.param("  name: mlp\n", "", 3, "model.name", id="model without a name"),
        pytest.param(
            "name: mlp",
            "name: 'nowhere:net'",
            4,
            "model.name",
            id="function of a missing module",
        ),
        pytest.param(
            "name: mlp",
            "name: 'base64:b64encode'",
            4,
            "model.name",
            id="function with other parameters",
        ),
        pytest.param("units: 64", "colour: 64", 5, "model.colour", id="unknown model parameter"),
        pytest.param("units: 64", "units: many", 5, "model.units", id="wrong type"),
        pytest.param("units: 64", "units: 0", 5, "model.units", id="out of bounds"),
        pytest.param("units: 64", "units: 6.4", 5, "model.units", id="part of a unit"),
        pytest.param("units: 64", "units:", 5, "model.units", id="left empty"),
    ],
)
def test_a_wrong_data_set_or_model_is_refused_with_its_file_line_and_key(
    tmp_path: Path, correct: str, wrong: str, line: int, key: str
) -> None:
    path = write(tmp_path, BASE.replace(correct, wrong, 1))
    with pytest.raises(ConfigError) as caught:
        build_sweep(read_sweep(path))
    assert str(caught.value).startswith(f"{path}:{line}: {key} ")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("swept", "key"),
    [
        ("grid:\n  model.units: [64, many]\n", "model.units"),
        ("grid:\n  dataset: [digits, numbers]\n", "dataset"),
        ("grid:\n  model.name: [mlp, resnet]\n", "model.name"),
        ("grid:\n  model: [{name: mlp, units: many}]\n", "model.units"),
        ("points:\n- {model.colour: 3}\n", "model.colour"),
    ],
)
def test_a_wrong_swept_model_is_located_where_it_is_swept(
    tmp_path: Path, swept: str, key: str
) -> None:
    path = write(tmp_path, BASE + swept)
    with pytest.raises(ConfigError) as caught:
        build_sweep(read_sweep(path))
    assert str(caught.value).startswith(f"{path}:12: {key} ")


@pytest.mark.parametrize(
    "text",
    [
        "model.units=many",
        "model.colour=1",
        "model.name=resnet",
        "dataset=numbers",
        "model={name: mlp, units: many}",
    ],
)
def test_the_error_of_a_wrong_override_names_the_override(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sweep(tmp_path, BASE, text)
    assert str(caught.value).startswith(f"--set {text}: ")
