"""Names for rows that say what tells them apart, and no more."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def labels(rows: Sequence[Row]) -> list[str]:
    """One a row: the model, and the settings that differ between these rows, for example `mlp units=128 seed=1`."""
    settings = [_settings(row) for row in rows]
    names = list(dict.fromkeys(name for one in settings for name in one))
    telling = [name for name in names if len({repr(one.get(name)) for one in settings if one}) > 1]
    return [_label(row, one, telling=telling) for row, one in zip(rows, settings, strict=True)]


def _label(row: Row, settings: Mapping[str, Any], telling: Sequence[str]) -> str:
    if row["model"] is None:
        return str(row["file"] or row["artifact"][:12])
    return " ".join(
        [
            row["model"],
            *(f"{name}={_short(settings[name])}" for name in telling if name in settings),
        ]
    )


def _settings(row: Row) -> dict[str, Any]:
    """Flat: parameters of the model, the recipe's keys, the seed, and the data set.

    Empty for a file of the user's own.
    """
    if row["model"] is None:
        return {}
    return {
        **json.loads(row["parameters"]),
        **json.loads(row["recipe"]),
        "seed": row["seed"],
        "dataset": row["dataset"],
    }


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "/".join(str(part) for part in value.values())
    return f"{value:g}" if isinstance(value, float) else str(value)
