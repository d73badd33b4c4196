"""The very commands that train a trial again, and measure a result again."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from harness.core.bench import PROTOCOLS
from harness.core.comparison import ResultRow
from harness.core.ids import to_plain
from harness.core.recipe import Recipe
from harness.data import DATASETS

_SWITCHES = {True: "on", False: "off"}
_USUAL = to_plain(Recipe(epochs=1))


def submit_command(row: ResultRow) -> str | None:
    """Trains the trial of a row of `results`, and no other of its sweep; None for a model file of the user's own.

    The database knows a sweep by its name: its file is taken to have the same. The settings replace what it sweeps.
    """
    if row["trial"] is None:
        return None
    recipe = json.loads(row["recipe"])
    settings = {
        "model": {"name": row["model"], **json.loads(row["parameters"])},
        "train": {
            key: value
            for key, value in recipe.items()
            if key == "epochs" or value != _USUAL.get(key)
        },
        "precision": [row["precision"]],
        "seeds": [row["seed"]],
        "search": {},
        **({"dataset": row["dataset"]} if row["dataset"] in DATASETS else {}),
    }
    said = (
        word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")
    )
    return shlex.join(["harness", "submit", "sweep", f"jobs/{row['sweep']}.yaml", *said])


def bench_command(row: ResultRow) -> str:
    """Measures a row of `results` again, from the workspace's own file of the artifact, in the same way."""
    file = f'"${{HARNESS_HOME:-.harness}}"/artifacts/{row["artifact"][:2]}/{row["artifact"]}.tflite'
    way = ["--device", row["device"], "--threads", str(row["threads"])]
    protocol = ["--protocol", protocol_words(json.loads(row["protocol_settings"]))]
    return f"harness bench {file} {shlex.join([*way, *protocol, '--force'])}"


def protocol_words(settings: Mapping[str, Any]) -> str:
    """A protocol as `--protocol` takes it: `quick`, or `standard,processes=20,gates.max_temperature_c=45`."""
    base = settings["name"] if settings["name"] in PROTOCOLS else "standard"
    usual = to_plain(PROTOCOLS[base])
    told = {
        key: value
        for key, value in settings.items()
        if value != usual[key] and key not in ("name", "threads")
    }
    gates = told.pop("gates", usual["gates"])
    words = [f"{key}={_word(value)}" for key, value in told.items()]
    if gates is None:
        return ",".join([base, *words, "gates=off"])
    stricter = [
        f"gates.{key}={_word(value)}"
        for key, value in gates.items()
        if value != usual["gates"][key]
    ]
    return ",".join([base, *words, *stricter])


def _word(value: Any) -> str:
    return _SWITCHES[value] if isinstance(value, bool) else f"{value}"
