"""The layers of a network as rows, for comparison with Larq Zoo's networks.

`python -m tests.models.layer_tables` writes those of Larq Zoo to `larq_zoo/`, beside this file. It
needs larq-zoo 2.4.0, whose metadata forbid the TensorFlow that runs it: install it elsewhere with
`pip install --no-deps --target`, and put that folder on PYTHONPATH.
"""

import csv
from pathlib import Path
from typing import Any

from harness.models.environment import settle_environment

FOLDER = Path(__file__).parent / "larq_zoo"
HEADER = ("layer", "output", "weights", "one_bit_weights", "macs")
_COMPARED = {
    "AveragePooling2D", "BatchNormalization", "Conv2D", "Dense", "DepthwiseConv2D", "MaxPooling2D"
}  # fmt: skip


def list_layers(model: Any) -> list[tuple[str, ...]]:
    """Return a row for each layer with weights or a window, with figures by Larq's summary.

    Larq's layers without quantizers compute what Keras's do, so `Quant` is left out of their names.
    The pool over the whole image is left out: Larq Zoo builds it from another layer than we do.
    """
    from larq.models import LayerProfile

    rows: list[tuple[str, ...]] = []
    for layer in model.layers:
        kind = type(layer).__name__.removeprefix("Quant")
        if kind in _COMPARED and not (kind == "AveragePooling2D" and layer.output_shape[1] == 1):
            profile = LayerProfile(layer)
            rows.append(
                (
                    kind,
                    "x".join(str(side) for side in layer.output_shape[1:]),
                    str(profile.weight_count()),
                    str(profile.weight_count(1)),
                    str(profile.op_count("mac")),
                )
            )
    return rows


def read_table(name: str) -> list[tuple[str, ...]]:
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == HEADER
    return [tuple(row) for row in rows]


def write_tables() -> None:
    settle_environment()
    from larq_zoo.literature import BiRealNet  # type: ignore[import-not-found]
    from larq_zoo.sota import QuickNet  # type: ignore[import-not-found]

    FOLDER.mkdir(exist_ok=True)
    for name, make in {"birealnet": BiRealNet, "quicknet": QuickNet}.items():
        with (FOLDER / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(HEADER)
            writer.writerows(list_layers(make(weights=None, input_shape=(224, 224, 3))))


if __name__ == "__main__":
    write_tables()
