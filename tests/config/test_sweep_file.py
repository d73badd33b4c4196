import re
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config.search import draw_points
from harness.config.sweep_file import Point, build_point, read_sweep
from harness.core.errors import ConfigError
from harness.core.recipe import Schedule
from harness.core.search import Constraint, Objective, Range, Search
from harness.core.sweep import Precision

BASE = """\
name: small
dataset: digits
model: {name: mlp, layers: 2}
precision: [binary, float32]
seeds: [0]
train:
  epochs: 5
  learning_rate: 0.001
"""
NEXT_LINE = 9
"""The line after BASE."""


def write_sweep(folder: Path, text: str | bytes) -> Path:
    path = folder / "sweep.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_sweep(path, overrides)
    return str(caught.value)


def is_one_sentence(message: str) -> bool:
    return "\n" not in message and message.endswith(".") and not re.search(r"\.\s+[A-Z]", message)


@pytest.mark.parametrize(
    ("original", "replacement", "line", "key"),
    [
        pytest.param("", "colour: red\n", NEXT_LINE, "colour", id="unknown key at the top"),
        pytest.param("", "3: red\n", NEXT_LINE, "3", id="a number as a key"),
        pytest.param("", "  colour: red\n", NEXT_LINE, "train.colour", id="unknown key in train"),
        pytest.param(
            "0.001",
            "\n    schedule: cosine\n    initial: 0.1\n    colour: 1",
            11,
            "train.learning_rate.colour",
            id="unknown key in a nested schedule",
        ),
        pytest.param("epochs: 5", 'epochs: "five"', 7, "train.epochs", id="a string for a number"),
        pytest.param("epochs: 5", 'epochs: "5"', 7, "train.epochs", id="a quoted number"),
        pytest.param("epochs: 5", "epochs: 1.5", 7, "train.epochs", id="part of an epoch"),
        pytest.param("epochs: 5", "epochs: true", 7, "train.epochs", id="true epochs"),
        pytest.param("epochs: 5", "epochs: -5", 7, "train.epochs", id="negative epochs"),
        pytest.param("epochs: 5", "epochs: 0", 7, "train.epochs", id="no epochs"),
        pytest.param("epochs: 5", "epochs:", 7, "train.epochs", id="epochs without a value"),
        pytest.param("epochs: 5", "epochs: [5]", 7, "train.epochs", id="a list of epochs"),
        pytest.param(
            "epochs: 5", "epochs: 2020-01-01", 7, "train.epochs", id="a date for a number"
        ),
        pytest.param("  epochs: 5\n", "", 6, "train.epochs", id="epochs missing"),
        pytest.param("0.001", "yes", 8, "train.learning_rate", id="learning rate yes"),
        pytest.param("0.001", "true", 8, "train.learning_rate", id="learning rate true"),
        pytest.param("0.001", ".nan", 8, "train.learning_rate", id="learning rate NaN"),
        pytest.param("0.001", ".inf", 8, "train.learning_rate", id="learning rate infinite"),
        pytest.param("0.001", "1e400", 8, "train.learning_rate", id="learning rate beyond floats"),
        pytest.param("0.001", "0", 8, "train.learning_rate", id="learning rate 0"),
        pytest.param("0.001", "-1", 8, "train.learning_rate", id="negative learning rate"),
        pytest.param(
            "0.001",
            "{schedule: cosine}",
            8,
            "train.learning_rate.initial",
            id="schedule without a start",
        ),
        pytest.param(
            "0.001",
            "{schedule: quadratic, initial: 1}",
            8,
            "train.learning_rate.schedule",
            id="unknown schedule",
        ),
        pytest.param("seeds: [0]", "seeds: 3", 5, "seeds", id="one seed without a list"),
        pytest.param("seeds: [0]", "seeds: []", 5, "seeds", id="no seed"),
        pytest.param("seeds: [0]", "seeds: [0, -1]", 5, "seeds.1", id="negative seed"),
        pytest.param(
            "[binary, float32]", "[binary, ternary]", 4, "precision.1", id="unknown precision"
        ),
        pytest.param(
            "[binary, float32]", "binary", 4, "precision", id="one precision without a list"
        ),
        pytest.param(
            "", "  optimizer: adamw\n", NEXT_LINE, "train.optimizer", id="unknown optimizer"
        ),
        pytest.param("", "  loss: hinge\n", NEXT_LINE, "train.loss", id="unknown loss"),
        pytest.param(
            "", "  initializer: zeros\n", NEXT_LINE, "train.initializer", id="unknown initializer"
        ),
        pytest.param(
            "", "  validation: 1\n", NEXT_LINE, "train.validation", id="everything for validation"
        ),
        pytest.param(
            "", "bench: {protocol: fast}\n", NEXT_LINE, "bench.protocol", id="unknown protocol"
        ),
        pytest.param("", "bench:\n  threads: [1, 0]\n", 10, "bench.threads.1", id="no thread"),
        pytest.param(
            "",
            "resources: {gpu: much}\n",
            NEXT_LINE,
            "resources.gpu",
            id="a string for a GPU count",
        ),
        pytest.param("", "resources:\n  cpu: 0\n", 10, "resources.cpu", id="no CPU"),
        pytest.param(
            "", "convert: {formats: [onnx]}\n", NEXT_LINE, "convert.formats.0", id="unknown format"
        ),
        pytest.param("", "grid: {}\n", NEXT_LINE, "grid", id="empty grid"),
        pytest.param(
            "", "grid:\n  model.units: []\n", 10, "grid.model.units", id="axis without values"
        ),
        pytest.param(
            "", "grid: {model.units: 3}\n", NEXT_LINE, "grid.model.units", id="axis without a list"
        ),
        pytest.param("", "points: []\n", NEXT_LINE, "points", id="no points"),
        pytest.param(
            "", "points:\n- {model.units: 1}\n- 3\n", 11, "points.1", id="a point that is a number"
        ),
        pytest.param(
            "model: {name: mlp, layers: 2}", "model: [mlp]", 3, "model", id="a list for a model"
        ),
        pytest.param(
            "dataset: digits", "dataset: [digits]", 2, "dataset", id="a list for a data set"
        ),
        pytest.param("name: small", "name: ''", 1, "name", id="empty name"),
        pytest.param("name: small", "name: 3", 1, "name", id="a number for a name"),
    ],
)
def test_a_wrong_value_is_refused_with_its_file_line_and_key(
    tmp_path: Path, original: str, replacement: str, line: int, key: str
) -> None:
    text = BASE.replace(original, replacement, 1) if original else BASE + replacement
    path = write_sweep(tmp_path, text)
    message = read_refused(path)
    assert message.startswith(f"{path}:{line}: {key} ")
    assert is_one_sentence(message)


def test_a_number_where_a_section_belongs_is_refused(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, BASE.split("train:", maxsplit=1)[0] + "train: 5\n")
    message = read_refused(path)
    assert message.startswith(f"{path}:6: train ")
    assert is_one_sentence(message)


@pytest.mark.parametrize("key", ["name", "dataset", "model", "precision"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    """A missing key has no line."""
    path = write_sweep(
        tmp_path,
        "".join(line for line in BASE.splitlines(keepends=True) if not line.startswith(f"{key}:")),
    )
    assert read_refused(path) == f"{path}: {key} is missing; add it."


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    path = write_sweep(
        tmp_path, BASE.replace("epochs: 5", "epochs: five").replace("seeds: [0]", "seeds: 0")
    )
    message = read_refused(path)
    assert message.startswith(f"{path}:7: train.epochs ")
    assert message.endswith("(also wrong: seeds).")


def test_a_wrong_gpu_is_refused_with_a_hint_at_auto(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, BASE + "resources: {gpu: much}\n")
    assert "auto" in read_refused(path).removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(BASE + " train: 3\n   x: 1\n", ":9", id="bad indentation"),
        pytest.param(BASE + "bench:\n\tprotocol: quick\n", ":10", id="tab"),
        pytest.param(BASE + "seeds: [1]\n", ":9", id="duplicate key"),
        pytest.param(BASE + "  epochs: 6\n", ":9", id="duplicate key in a section"),
        pytest.param(BASE + "bench: *nowhere\n", ":9", id="undefined alias"),
        pytest.param(BASE + "---\n" + BASE, ":9", id="two documents"),
        pytest.param(BASE + "bench: {protocol: quick\n", ":10", id="brace never closed"),
        pytest.param("", ":1", id="empty"),
        pytest.param("# nothing but a comment\n", ":1", id="comment only"),
        pytest.param("- name: small\n", ":1", id="list at the top"),
        pytest.param("small\n", ":1", id="string at the top"),
        pytest.param(bytes(range(256)), "", id="binary"),
        pytest.param(BASE.encode("utf-16"), "", id="another encoding"),
        pytest.param(b"name: \x00\n", "", id="zero byte"),
    ],
)
def test_a_file_in_another_format_is_refused(tmp_path: Path, text: str | bytes, line: str) -> None:
    path = write_sweep(tmp_path, text)
    message = read_refused(path)
    assert message.startswith(f"{path}{line}: ")
    assert is_one_sentence(message)


def test_a_duplicate_key_is_named(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, BASE + "seeds: [1]\n")
    assert "seeds" in read_refused(path).removeprefix(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    assert read_refused(path).startswith(f"{path}: can't be read")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert read_refused(tmp_path).startswith(f"{tmp_path}: can't be read")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            BASE.replace("model: {name: mlp, layers: 2}", "model: &m {name: mlp}")
            + "grid:\n  model: [{<<: *m, layers: 4}]\n",
            id="in a swept value",
        ),
        pytest.param(
            BASE + "bench: &b {protocol: quick}\npoints:\n- {<<: {model.units: 3}}\n",
            id="in a point",
        ),
        pytest.param(
            BASE.replace("model: {name: mlp, layers: 2}", "model: {<<: {name: mlp}, layers: 2}"),
            id="in a section",
        ),
    ],
)
def test_merge_keys_of_yaml_are_read(tmp_path: Path, text: str) -> None:
    (point,) = read_sweep(write_sweep(tmp_path, text))
    assert point.values.model["name"] == "mlp"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            BASE.replace("epochs: 5", "epochs: " + "9" * 5000), id="number of 5000 digits"
        ),
        pytest.param(
            BASE + f"points: [{{model.units: {'[' * 2000}{']' * 2000}}}]\n",
            id="2000 nested lists",
        ),
    ],
)
def test_absurd_values_are_refused_too(tmp_path: Path, text: str) -> None:
    assert is_one_sentence(read_refused(write_sweep(tmp_path, text)))


def test_a_sweep_without_axes_is_one_point(tmp_path: Path) -> None:
    (point,) = read_sweep(write_sweep(tmp_path, BASE))
    assert point.values.model == {"name": "mlp", "layers": 2}
    assert point.values.precision == (Precision.BINARY, Precision.FLOAT32)
    assert (point.values.seeds, point.values.train.epochs, point.values.train.learning_rate) == (
        (0,),
        5,
        0.001,
    )


@pytest.mark.parametrize(
    ("notation", "rate"),
    [("1e-3", 0.001), ("1E-3", 0.001), ("5e-3", 0.005), ("1", 1.0), (".5", 0.5)],
)
def test_a_learning_rate_in_any_notation_is_a_float(
    tmp_path: Path, notation: str, rate: float
) -> None:
    (point,) = read_sweep(write_sweep(tmp_path, BASE.replace("0.001", notation)))
    (overridden,) = read_sweep(write_sweep(tmp_path, BASE), [f"train.learning_rate={notation}"])
    assert point.values.train.learning_rate == overridden.values.train.learning_rate == rate
    assert isinstance(point.values.train.learning_rate, float)


def test_a_schedule_is_read(tmp_path: Path) -> None:
    (point,) = read_sweep(
        write_sweep(
            tmp_path,
            BASE.replace("0.001", "{schedule: exponential, initial: 1e-2, decay_rate: 0.7}"),
        )
    )
    assert point.values.train.learning_rate == Schedule("exponential", 0.01, decay_rate=0.7)


SWEPT = (
    BASE
    + """\
grid:
  model.units: [1, 2, 3]
  train.learning_rate: [1e-3, 0.1]
points:
  - {model.layers: 1, train.epochs: 10}
  - {model.layers: 4, train.epochs: 40}
"""
)


def swept_values(points: Iterable[Point]) -> list[tuple[Any, ...]]:
    """Return layers, epochs, units and learning rate of each point."""
    return [
        (
            point.values.model["layers"],
            point.values.train.epochs,
            point.values.model["units"],
            point.values.train.learning_rate,
        )
        for point in points
    ]


def test_a_sweep_is_the_product_of_its_grid_for_each_of_its_points(tmp_path: Path) -> None:
    assert swept_values(read_sweep(write_sweep(tmp_path, SWEPT))) == [
        (1, 10, 1, 0.001),
        (1, 10, 1, 0.1),
        (1, 10, 2, 0.001),
        (1, 10, 2, 0.1),
        (1, 10, 3, 0.001),
        (1, 10, 3, 0.1),
        (4, 40, 1, 0.001),
        (4, 40, 1, 0.1),
        (4, 40, 2, 0.001),
        (4, 40, 2, 0.1),
        (4, 40, 3, 0.001),
        (4, 40, 3, 0.1),
    ]


def test_precisions_and_seeds_can_be_swept(tmp_path: Path) -> None:
    points = read_sweep(
        write_sweep(tmp_path, BASE + "grid:\n  precision: [float32, binary]\n  seeds: [7, 8]\n")
    )
    assert [(point.values.precision, point.values.seeds) for point in points] == [
        ((Precision.FLOAT32,), (7,)),
        ((Precision.FLOAT32,), (8,)),
        ((Precision.BINARY,), (7,)),
        ((Precision.BINARY,), (8,)),
    ]


@pytest.mark.parametrize(
    ("section", "line", "key"),
    [
        pytest.param("grid:\n  train.epochs: [1, two]\n", 10, "train.epochs", id="wrong value"),
        pytest.param(
            "grid:\n  model.units: [1]\n  train.epochs: [1, two]\n",
            11,
            "train.epochs",
            id="second axis",
        ),
        pytest.param(
            "grid:\n  train.learning_rate: [.inf]\n", 10, "train.learning_rate", id="infinite"
        ),
        pytest.param("grid:\n  train.colour: [1]\n", 10, "train.colour", id="unknown key"),
        pytest.param("grid:\n  colour: [1]\n", 10, "colour", id="unknown key at the top"),
        pytest.param("grid:\n  trian.epochs: [1]\n", 10, "trian", id="unknown section"),
        pytest.param("grid:\n  dataset.x: [1]\n", 10, "dataset", id="below a string"),
        pytest.param("grid:\n  precision: [ternary]\n", 10, "precision", id="unknown precision"),
        pytest.param("grid:\n  seeds: [0, -1]\n", 10, "seeds", id="negative seed"),
        pytest.param(
            "grid:\n  train: [{epochs: none}]\n", 10, "train.epochs", id="in a whole section"
        ),
        pytest.param(
            "points:\n- {train.epochs: 1}\n- {train.epochs: two}\n",
            11,
            "train.epochs",
            id="in a point",
        ),
        pytest.param("grid:\n  name: [a, b]\n", 10, "grid.name", id="name"),
        pytest.param("grid:\n  resources.cpu: [1]\n", 10, "grid.resources.cpu", id="resources"),
        pytest.param(
            "points:\n- {}\n- {bench.threads: [1]}\n", 11, "points.1.bench.threads", id="bench"
        ),
    ],
)
def test_a_wrong_swept_value_is_refused_with_its_line(
    tmp_path: Path, section: str, line: int, key: str
) -> None:
    path = write_sweep(tmp_path, BASE + section)
    message = read_refused(path)
    assert message.startswith(f"{path}:{line}: {key}")
    assert is_one_sentence(message)


def test_an_override_sets_a_nested_key(tmp_path: Path) -> None:
    schedule = BASE.replace("0.001", "{schedule: cosine, initial: 0.1}")
    (point,) = read_sweep(
        write_sweep(tmp_path, schedule),
        ["train.epochs=1", "train.learning_rate.initial=0.5", "seeds=[1, 2]", "model.units=9"],
    )
    assert point.values.train.epochs == 1
    assert point.values.train.learning_rate == Schedule("cosine", 0.5)
    assert point.values.seeds == (1, 2)
    assert point.values.model == {"name": "mlp", "layers": 2, "units": 9}


def test_the_last_override_of_a_key_counts(tmp_path: Path) -> None:
    (point,) = read_sweep(write_sweep(tmp_path, BASE), ["train.epochs=1", "train.epochs=2"])
    assert point.values.train.epochs == 2


def test_an_override_creates_a_missing_section(tmp_path: Path) -> None:
    (point,) = read_sweep(write_sweep(tmp_path, BASE), ["bench.protocol=quick"])
    assert point.values.bench.protocol == "quick"


def test_an_override_replaces_an_axis_of_the_grid(tmp_path: Path) -> None:
    points = read_sweep(write_sweep(tmp_path, SWEPT), ["model.units=7"])
    assert swept_values(points) == [
        (1, 10, 7, 0.001),
        (1, 10, 7, 0.1),
        (4, 40, 7, 0.001),
        (4, 40, 7, 0.1),
    ]


def test_an_override_replaces_the_only_axis(tmp_path: Path) -> None:
    (point,) = read_sweep(
        write_sweep(tmp_path, BASE + "grid: {model.units: [1, 2]}\n"), ["model.units=7"]
    )
    assert point.values.model["units"] == 7


def test_an_override_replaces_the_values_of_points(tmp_path: Path) -> None:
    points = read_sweep(
        write_sweep(tmp_path, SWEPT), ["train.epochs=1", "model.units=1", "train.learning_rate=1"]
    )
    assert swept_values(points) == [(1, 1, 1, 1.0), (4, 1, 1, 1.0)]


def test_points_that_an_override_makes_equal_become_one(tmp_path: Path) -> None:
    text = BASE + "points:\n- {model.units: 1}\n- {model.units: 2}\n"
    (point,) = read_sweep(write_sweep(tmp_path, text), ["model.units=7"])
    assert point.values.model["units"] == 7


def test_an_override_replaces_swept_precisions(tmp_path: Path) -> None:
    (point,) = read_sweep(
        write_sweep(tmp_path, BASE + "grid: {precision: [binary, float32]}\n"),
        ["precision=[float32]"],
    )
    assert point.values.precision == (Precision.FLOAT32,)


def test_an_override_can_replace_the_values_of_an_axis(tmp_path: Path) -> None:
    points = read_sweep(
        write_sweep(tmp_path, BASE + "grid: {model.units: [1, 2]}\n"),
        ["grid.model.units=[5, 6, 7]"],
    )
    assert [point.values.model["units"] for point in points] == [5, 6, 7]


@pytest.mark.parametrize(
    "text",
    [
        "train.epochs=many",
        "train.epochs=",
        "train.epochs=[1",
        "train.epochs=2020-01-01",
        "train.epochs",
        "=1",
        "train.colour=1",
        "colour=1",
        "trian.epochs=1",
        "train.colour.deep=1",
        "train.epochs.deep=1",
        "train..epochs=1",
        "train=5",
        "train={epochs: none}",
        "train.learning_rate=.inf",
        "seeds=1",
        "seeds=[-1]",
        "seeds.9=3",
        "precision=[ternary]",
        "bench.protocol=fast",
        "grid={}",
        "grid.model.units=[]",
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, text: str) -> None:
    message = read_refused(write_sweep(tmp_path, BASE), text)
    assert message.startswith(f"--set {text}: ")
    assert is_one_sentence(message)


BY_SGD = BASE + "  optimizer: sgd\n"
SEARCH = """\
search:
  method: {method}
  trials: 40
  seed: 3
  space:
    train.learning_rate: {{low: 1e-4, high: 0.1, log: true}}
    train.momentum: {{low: 0.0, high: 0.9}}
    model.units: {{low: 32, high: 128, step: 32}}
    model.layers: {{low: 1, high: 3}}
    train.kernel_quantizer: [ste_sign, dorefa]
    precision: [binary, float32]
"""


def test_a_random_search_draws_the_same_points_from_its_space_each_time(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, BY_SGD + SEARCH.format(method="random"))
    points = read_sweep(path)
    same_seed, other_seed = read_sweep(path), read_sweep(path, ["search.seed=4"])
    assert [point.values for point in points] == [point.values for point in same_seed]
    assert [point.values for point in points] != [point.values for point in other_seed]
    assert len(points) == 40
    rates = [point.values.train.learning_rate for point in points]
    assert all(isinstance(rate, float) and 1e-4 <= rate <= 0.1 for rate in rates)
    assert 10 < sum(isinstance(rate, float) and rate < 3e-3 for rate in rates) < 30, (
        "even in the logarithm"
    )
    assert {point.values.model["units"] for point in points} == {32, 64, 96, 128}
    assert {point.values.model["layers"] for point in points} == {1, 2, 3}
    assert {point.values.train.kernel_quantizer for point in points} == {"ste_sign", "dorefa"}
    assert {point.values.precision for point in points} == {
        (Precision.BINARY,),
        (Precision.FLOAT32,),
    }


def test_a_search_that_adapts_starts_with_the_corners_of_its_space(
    tmp_path: Path,
) -> None:
    points = read_sweep(write_sweep(tmp_path, BY_SGD + SEARCH.format(method="optuna")))
    assert {point.values.model["units"] for point in points} == {32, 128}
    assert {point.values.precision for point in points} == {
        (Precision.BINARY,),
        (Precision.FLOAT32,),
    }
    built = build_point(
        points[0].document, {"model.units": 64, "train.learning_rate": 0.02, "precision": "float32"}
    )
    assert built.values.model["units"] == 64
    assert (built.values.train.learning_rate, built.values.precision) == (
        0.02,
        (Precision.FLOAT32,),
    )


SPACE = "search: {method: optuna, trials: 3, space: "


@pytest.mark.parametrize("method", ["random", "optuna"])
@pytest.mark.parametrize(
    ("space", "key"),
    [
        pytest.param(
            "{model.units: [1], train.momentum: [0.5, 2]}", "train.momentum", id="second choice"
        ),
        pytest.param("{train.momentum: {low: 0, high: 1.5}}", "train.momentum", id="upper end"),
        pytest.param("{train.momentum: {low: -1, high: 0.5}}", "train.momentum", id="lower end"),
        pytest.param("{train.colour: [1]}", "train.colour", id="unknown key"),
        pytest.param(
            "{bench.threads: [1]}", "search.space.bench.threads", id="a key that can't be swept"
        ),
        pytest.param("{model.units: []}", "search.space.model.units", id="no choice"),
        pytest.param(
            "{model.units: {low: 3, high: 1}}", "search.space.model.units", id="low over high"
        ),
        pytest.param(
            "{model.units: {low: 0, high: 1, log: true}}",
            "search.space.model.units",
            id="logarithm of 0",
        ),
        pytest.param(
            "{model.units: {from: 0, to: 1}}", "search.space.model.units", id="unknown bounds"
        ),
    ],
)
def test_a_wrong_space_is_refused_at_once(
    tmp_path: Path, method: str, space: str, key: str
) -> None:
    path = write_sweep(tmp_path, BY_SGD + SPACE.replace("optuna", method) + space + "}\n")
    message = read_refused(path)
    assert message.startswith(f"{path}:10: {key}")
    assert is_one_sentence(message)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("search: {method: random, trials: 3}", "need both trials and space"),
        ("search: {method: optuna, space: {model.units: [1]}}", "need both trials and space"),
        ("search: {trials: 3}", "grid takes neither"),
        (
            SPACE + "{model.units: [1]}}\ngrid: {model.layers: [1]}",
            "move the keys of grid and points into it",
        ),
        (
            SPACE + "{model.units: [1]}, asha: {}, objectives: [accuracy, size]}",
            "asha compares accuracy only",
        ),
        (
            SPACE.replace("optuna", "random")
            + "{model.units: [1]}, objectives: [{metric: energy, on: pi4}]}",
            "random tries all its points; move the devices' objectives to constraints",
        ),
        (SPACE + "{seeds: [1, 2]}}", "seeds can't be searched"),
        (SPACE + "{seeds.0: {low: 1, high: 9}}}", "seeds can't be searched"),
        (SPACE + "{model.units: {low: 1, high: 3, step: 3}}}", "step must be at most high - low"),
        (SPACE + "{model.units: {low: 1, high: 9, step: 0.5}}}", "step must be a whole number"),
        (
            SPACE + "{train.optimizer: [sgd, adam], train.momentum: [0.5]}}",
            "momentum has no effect with adam",
        ),
        (
            "  momentum: 0.9",
            "momentum has no effect with adam; remove it, or set train.optimizer to sgd.",
        ),
        (SPACE + "{train.validation: [0.0, 0.1]}}", "needs validation images"),
        ("  validation: 0\nsearch: {asha: {}}", "needs validation images"),
        ("  validation: 0\n  early_stopping: {patience: 2}", "needs validation images"),
    ],
)
def test_inconsistent_keys_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    message = read_refused(write_sweep(tmp_path, f"{BASE}{text}\n"))
    assert problem in message
    assert is_one_sentence(message)


METRICS = """\
search:
  method: optuna
  trials: 3
  space: {model.units: [1, 2]}
  objectives: [accuracy, size, {metric: latency, on: pi4}]
  constraints:
    - {metric: memory, on: phones, threads: 1, at_most: 64 MiB}
    - metric: size
      at_most: 1 MB
"""


def test_objectives_and_constraints_are_read_with_their_devices_and_units(tmp_path: Path) -> None:
    point, *_ = read_sweep(write_sweep(tmp_path, BASE + METRICS))
    assert point.values.search.objectives == (
        Objective("accuracy"),
        Objective("size"),
        Objective("latency", on="pi4"),
    )
    assert point.values.search.constraints == (
        Constraint("memory", 64 * 2**20, on="phones", threads=1),
        Constraint("size", 1e6),
    )
    rebuilt = build_point(point.document, {"model.units": 2})
    assert rebuilt.values.search == point.values.search


def test_an_option_may_set_an_objective_and_the_limit_of_a_constraint(tmp_path: Path) -> None:
    overrides = ["search.objectives.1=energy", "search.constraints.1.at_most=2 kB"]
    path = write_sweep(tmp_path, BASE + METRICS)
    assert read_refused(path, *overrides) == (
        "--set search.objectives.1=energy: search.objectives.1 is inconsistent: "
        "energy is measured on a device; add its id or tag as on."
    )
    point, *_ = read_sweep(path, overrides[1:])
    assert point.values.search.constraints[1] == Constraint("size", 2000.0)


@pytest.mark.parametrize("method", ["grid", "random, trials: 3, space: {model.units: [1, 2]}"])
def test_every_method_takes_constraints(tmp_path: Path, method: str) -> None:
    text = f"{BASE}search: {{method: {method}, constraints: [{{metric: size, at_most: 9 kB}}]}}\n"
    points = read_sweep(write_sweep(tmp_path, text))
    assert {point.values.search.constraints for point in points} == {(Constraint("size", 9000.0),)}


@pytest.mark.parametrize(
    ("text", "replacement", "line", "problem"),
    [
        ("64 MiB", "64", 15, "constraints.0.at_most is 64, without a unit; "
         "write for example 64 MB."),
        ("64 MiB", "5 ms", 15, 'constraints.0.at_most is "5 ms", but memory has the units '
         "B, kB, KB, MB, GB, KiB, MiB, GiB; write for example 64 MB."),
        ("1 MB", "small", 17, 'constraints.1.at_most is "small", but must be a number with a '
         "unit, for example 1 MB."),
        ("      at_most: 1 MB\n", "", 16, "constraints.1.at_most is missing; add it."),
        ("metric: memory, ", "", 15, "constraints.0.metric is missing; "
         "choose from latency, energy, memory, size."),
        ("memory", "accuracy", 15, 'constraints.0.metric is "accuracy"; '
         "choose from latency, energy, memory, size."),
        (" on: phones, threads: 1,", "", 15, "constraints.0 is inconsistent: memory is measured "
         "on a device; add its id or tag as on."),
        ("metric: size\n", "metric: size\n      on: pi4\n", 16, "constraints.1 is inconsistent: "
         "size is the same on all devices; remove on and threads."),
        ("threads: 1", "threads: 2", 15, "constraints.0.threads is 2, but bench.threads has 1; "
         "choose from it, or add it."),
        ("on: pi4", "at: pi4", 13, "objectives.2.at is not a known key; check its spelling."),
        ("[accuracy, size,", "[accuracy, speed,", 13, 'objectives.1.metric is "speed", but must be '
         "'accuracy', 'size', 'latency', 'energy' or 'memory'."),
        ("[accuracy, size,", "[accuracy, 5,", 13, "objectives.1 must be a mapping of keys to "
         "values."),
        ("[accuracy, size,", "[size, size,", 13, "objectives.1 repeats search.objectives.0; "
         "remove one of them."),
        ("on: pi4}", "on: pi4}, {metric: latency, on: pi4, threads: 1}", 13,
         "objectives.3 repeats search.objectives.2; remove one of them."),
    ],
)  # fmt: skip
def test_a_wrong_metric_is_refused_with_its_line(
    tmp_path: Path, text: str, replacement: str, line: int, problem: str
) -> None:
    wrong = METRICS.replace(text, replacement)
    assert wrong != METRICS
    path = write_sweep(tmp_path, BASE + wrong)
    message = read_refused(path)
    assert message == f"{path}:{line}: search.{problem}"
    assert is_one_sentence(message)


def test_a_metric_names_its_threads_if_the_sweep_measures_several(tmp_path: Path) -> None:
    several = f"{BASE}bench: {{threads: [1, 4]}}\n"
    path = write_sweep(tmp_path, several + METRICS)
    assert read_refused(path) == (
        f"{path}:14: search.objectives.2 needs threads, one of bench.threads: 1, 4."
    )
    with_threads = METRICS.replace(
        "on: pi4}", "on: pi4, threads: 4}, {metric: latency, on: pi4, threads: 1}"
    )
    point, *_ = read_sweep(write_sweep(tmp_path, several + with_threads))
    assert [metric.threads for metric in point.values.search.device_metrics] == [4, 1, 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            SPACE + "{model.units: {low: 2, high: 1}}}",
            " search.space.model.units is inconsistent: low must be less than high.",
        ),
        (
            SPACE + "{model.units: 3}}",
            " search.space.model.units is 3, but must be a list or a mapping.",
        ),
        (
            SPACE + "{model.units: []}}",
            " search.space.model.units is empty; give at least one value.",
        ),
        (
            "  initializer: {distribution: he_normal, scale: 0}",
            " train.initializer.scale is 0, but must be greater than 0.",
        ),
        ("resources: {gpu: -1}", " resources.gpu is -1, but must be greater than or equal to 0."),
        ("resources: {gpu: 2}", " resources.gpu is 2, but must be less than or equal to 1."),
        (
            "resources: {gpu: much}",
            " resources.gpu is \"much\", but must be a valid number or 'auto'.",
        ),
    ],
)
def test_a_key_with_several_forms_is_judged_by_the_form_that_it_has(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = write_sweep(tmp_path, f"{BASE}{text}\n")
    assert read_refused(path) == f"{path}:9:{problem}"


def test_a_step_may_equal_its_range_despite_rounding(
    tmp_path: Path,
) -> None:
    point, *_ = read_sweep(
        write_sweep(
            tmp_path, f"{BASE}{SPACE}{{model.units: {{low: 0.2, high: 0.3, step: 0.1}}}}}}\n"
        )
    )
    assert point.values.search.space == {"model.units": Range(0.2, 0.3, step=0.1)}


AXES = ("model.units", "model.layers", "train.epochs", "train.batch_size")
SMALL_AXES = st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True)


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(st.sampled_from(AXES), SMALL_AXES, min_size=1))
def test_a_grid_gives_the_products_number_of_distinct_points(
    tmp_path_factory: pytest.TempPathFactory, axes: dict[str, list[int]]
) -> None:
    grid = "".join(f"  {key}: {listed}\n" for key, listed in axes.items())
    points = read_sweep(write_sweep(tmp_path_factory.mktemp("grid"), f"{BASE}grid:\n{grid}"))
    assert len(points) == prod(map(len, axes.values()))
    distinct = {repr((sorted(point.values.model.items()), point.values.train)) for point in points}
    assert len(distinct) == len(points)


@settings(deadline=None)
@given(st.text())
def test_random_text_gives_a_sentence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write_sweep(tmp_path_factory.mktemp("random"), text.encode("utf-8", "surrogatepass"))
    assert read_refused(path).startswith(str(path))


@pytest.mark.parametrize(
    ("steps", "points"),
    [
        (Range(0.0, 0.3, step=0.1), [0.0, 0.1, 0.2, 0.3]),
        (Range(0.1, 0.35, step=0.1), [0.1, 0.2, 0.3]),
        (Range(1, 4), [1, 2, 3, 4]),
        (Range(32, 100, step=32), [32, 64, 96]),
    ],
)
def test_a_range_with_steps_includes_its_ends(steps: Range, points: list[float]) -> None:
    search = Search("random", 200, space={"x": steps})
    values = {point["x"] for point in draw_points(search)}
    assert sorted(values) == points
    assert all(type(value) is type(points[0]) for value in values)


def test_a_range_of_a_billion_values_is_never_listed() -> None:
    (point,) = draw_points(Search("random", 1, space={"x": Range(0, 10**9)}))
    assert 0 <= point["x"] <= 10**9
