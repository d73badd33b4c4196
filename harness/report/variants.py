"""Short labels for rows that name only the settings in which the rows differ."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.bench import parse_inputs
from harness.core.comparison import ResultRow


def label_rows(rows: Sequence[ResultRow]) -> list[str]:
    """Return a label for each row: the model, and the settings that differ between these rows.

    An example is `mlp units=128 seed=1`. A model file of the user's own is labelled by its
    name, and the inputs that were chosen.
    """
    settings = [_flatten_settings(row) for row in rows]
    names: dict[str, None] = {}
    for row_settings in settings:
        names.update(dict.fromkeys(row_settings))
    distinguishing = [name for name in names if _differs(name, settings)]
    return [
        _label(row, row_settings, names=distinguishing)
        for row, row_settings in zip(rows, settings, strict=True)
    ]


def _differs(name: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    values = {repr(row_settings.get(name)) for row_settings in settings if row_settings}
    return len(values) > 1


def _label(row: ResultRow, settings: Mapping[str, Any], names: Sequence[str]) -> str:
    if row["model"] is None:
        return " ".join([str(row["file"] or row["artifact"][:12]), *_list_inputs(row)])
    parts = [f"{name}={_shorten(settings[name])}" for name in names if name in settings]
    return " ".join([row["model"], *parts])


def _list_inputs(row: ResultRow) -> list[str]:
    """Return `NAME:SIZES` for each input that was chosen, with its range or file if it has one."""
    return list(map(str, parse_inputs(row["inputs"])))


def _flatten_settings(row: ResultRow) -> dict[str, Any]:
    """Return the model's parameters, the recipe, the seed and the data set in one dictionary.

    It is empty for a model file of the user's own.
    """
    if row["model"] is None:
        return {}
    return {
        **json.loads(row["parameters"]),
        **json.loads(row["recipe"]),
        "seed": row["seed"],
        "dataset": row["dataset"],
    }


def _shorten(value: Any) -> str:
    if isinstance(value, Mapping):
        return "/".join(str(part) for part in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)
