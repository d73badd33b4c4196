"""Commands that train a trial or measure a result again."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from harness.core.bench import PROTOCOLS, ModelInput, parse_inputs
from harness.core.comparison import ResultRow
from harness.core.ids import to_plain
from harness.core.recipe import Recipe
from harness.data import DATASETS

_SWITCHES = {True: "on", False: "off"}
_DEFAULT_RECIPE = to_plain(Recipe(epochs=1))


def format_submit_command(row: ResultRow) -> str | None:
    """Return the command that trains only the trial of this row of `results`.

    The database has a sweep's name but not its file, which is assumed to have the same name.
    The settings in the command replace what the sweep varies.
    The result is None for a model file of the user's own.
    """
    if row["trial"] is None:
        return None
    recipe = json.loads(row["recipe"])
    settings = {
        "model": {"name": row["model"], **json.loads(row["parameters"])},
        "train": {
            key: value
            for key, value in recipe.items()
            if key == "epochs" or value != _DEFAULT_RECIPE.get(key)
        },
        "precision": [row["precision"]],
        "seeds": [row["seed"]],
        "search": {},
        **({"dataset": row["dataset"]} if row["dataset"] in DATASETS else {}),
    }
    argv = ["harness", "submit", "sweep", f"jobs/{row['sweep']}.yaml"]
    for key, value in settings.items():
        argv += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(argv)


def format_bench_command(row: ResultRow) -> str:
    """Return the command that measures the artifact of this row of `results` in the same way.

    It takes the artifact's file from the workspace.
    """
    inputs = parse_inputs(row["inputs"])
    files = [
        f"--input-file {shlex.quote(entry.name)}:{_format_path(entry.values, 'values')}"
        for entry in inputs
        if entry.values
    ]
    options = ["--device", row["device"], "--threads", str(row["threads"])]
    options += _format_input_options(inputs)
    options += ["--protocol", format_protocol(json.loads(row["protocol_settings"])), "--force"]
    model = _format_path(row["artifact"], "tflite")
    return " ".join(["harness bench", model, *files, shlex.join(options)])


def _format_path(sha256: str, suffix: str) -> str:
    return f'"${{HARNESS_HOME:-.harness}}"/artifacts/{sha256[:2]}/{sha256}.{suffix}'


def _format_input_options(inputs: Sequence[ModelInput]) -> list[str]:
    options = []
    for entry in inputs:
        if entry.shape:  # a scalar has no sizes to give
            options += ["--input-shape", f"{entry.name}:{','.join(map(str, entry.shape))}"]
        if entry.bounds is not None:
            options += ["--input-range", f"{entry.name}:{entry.low},{entry.high}"]
    return options


def format_protocol(settings: Mapping[str, Any]) -> str:
    """Return a protocol as `--protocol` takes it.

    Examples are `quick` and `standard,processes=20,gates.max_temperature_c=45`.
    """
    base = settings["name"] if settings["name"] in PROTOCOLS else "standard"
    defaults = to_plain(PROTOCOLS[base])
    parts = [base]
    parts += [
        f"{key}={_format_value(value)}"
        for key, value in settings.items()
        if value != defaults[key] and key not in ("name", "threads", "gates")
    ]
    gates = settings.get("gates", defaults["gates"])
    if gates is None:
        return ",".join([*parts, "gates=off"])
    parts += [
        f"gates.{key}={_format_value(value)}"
        for key, value in gates.items()
        if value != defaults["gates"][key]
    ]
    return ",".join(parts)


def _format_value(value: Any) -> str:
    return _SWITCHES[value] if isinstance(value, bool) else f"{value}"
