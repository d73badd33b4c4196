"""The pages of the keys of sweep files and of `devices.yaml`, from their JSON Schemas."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.config.quantity import PATTERN
from harness.config.schema import Schema, build_devices_schema, build_sweep_schema
from harness.core.bench import PROTOCOLS
from harness.core.ids import to_plain
from harness.data import DATASETS
from harness.models import ARCHITECTURES
from tools.reference.markdown import as_code, format_table

HEADER = ("key", "meaning", "type", "default", "example")
KINDS = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "keys",
}
BOUNDS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "multipleOf": "a multiple of",
}
EDITORS = """\
`harness schema {name}` prints these keys as a JSON Schema, by which editors complete and check
them. The repository has it as `harness/config/schemas/{name}.schema.json`. The shipped files name
it in their first line:

```yaml
# yaml-language-server: $schema={path}
```
"""
SEARCH_FORMS = {
    "Range": "A range of search.space",
    "Objective": "An objective of search.objectives",
    "Constraint": "A constraint of search.constraints",
}
SWEEP = """\
# Keys of a sweep file

[Sweeps](../guides/sweeps.md) explains how to use them. A wrong key or value gives a sentence with
its line.

"""
PROTOCOL = """\
A `protocol` is `quick`, `standard` or `thorough`, or these keys. A key that you leave out is as in
the `base`. A share may be written as `1%`, and a switch as `on` or `off`.
"""
DEVICES = """\
# Keys of devices.yaml

The file has one key, `devices`: a list of devices. [Register a board or a
phone](../start/register_a_board.md) shows how commands write them.

"""


def describe_sweep_keys() -> str:
    """Return the page of every key of a sweep file."""
    schema = build_sweep_schema(ARCHITECTURES, DATASETS)
    properties = schema["properties"]
    protocol = schema["$defs"]["BenchRequest"]["properties"]["protocol"]["anyOf"][1]
    sections = [
        EDITORS.format(name="sweep", path="../harness/config/schemas/sweep.schema.json"),
        _format_section("The file", schema, prefix="", root=schema, deep=False),
    ]
    model_name = _merge_model_names(properties["model"]["anyOf"])
    sections.append(_format_section("model", model_name, prefix="model.", root=schema))
    for form in properties["model"]["anyOf"]:
        if name := form.get("properties", {}).get("name", {}).get("const"):
            sections.append(_format_section(f"model: {name}", form, prefix="model.", root=schema))
    for key in ("train", "search", "resources", "convert", "bench"):
        form = _resolve(properties[key], schema)
        sections.append(_format_section(key, form, prefix=f"{key}.", root=schema))
        if key == "search":
            for name, heading in SEARCH_FORMS.items():
                form = schema["$defs"][name]
                sections.append(_format_section(heading, form, prefix="", root=schema))
    _add_defaults(protocol["properties"], [to_plain(value) for value in PROTOCOLS.values()])
    gates = [to_plain(value.gates) for value in PROTOCOLS.values()]
    _add_defaults(schema["$defs"]["Gates"]["properties"], gates)
    sections.append(
        _format_section("bench.protocol", protocol, prefix="", root=schema, note=PROTOCOL)
    )
    return SWEEP + "\n".join(sections)


def describe_device_keys() -> str:
    """Return the page of every key of a device."""
    schema = build_devices_schema()
    definitions = schema["$defs"]
    local = definitions["LocalDevice"]["properties"]
    common = {key: value for key, value in local.items() if key != "kind"}
    every_device = {"properties": common, "required": ["id"]}
    sections = [
        EDITORS.format(name="devices", path="harness/config/schemas/devices.schema.json"),
        _format_section("Every device", every_device, prefix="", root=schema),
    ]
    for kind in schema["properties"]["devices"]["items"]["oneOf"]:
        form = _resolve(kind, schema)
        special = {key: value for key, value in form["properties"].items() if key not in common}
        heading = f"kind: {form['properties']['kind']['const']}"
        sections.append(
            _format_section(heading, {**form, "properties": special}, prefix="", root=schema)
        )
    return DEVICES + "\n".join(sections)


def _add_defaults(keys: Schema, protocols: Sequence[Mapping[str, Any]]) -> None:
    """Note for each key of a protocol the values of the named protocols, in their order."""
    for key, value in keys.items():
        if "default" not in value:
            value["x-defaults"] = dict(
                zip(PROTOCOLS, (protocol[key] for protocol in protocols), strict=True)
            )


def _merge_model_names(forms: Sequence[Schema]) -> Schema:
    """Return the key `name` of all networks as one key."""
    names = [form["properties"]["name"] for form in forms if "properties" in form]
    architectures = [name["const"] for name in names if "const" in name]
    name = {
        "anyOf": [{"enum": architectures}, {"type": "string"}],
        "description": "A known network, or a function of your own: `module:function`.",
        "examples": ["mlp"],
    }
    return {"properties": {"name": name}, "required": ["name"]}


def _format_section(
    heading: str, form: Schema, prefix: str, *, root: Schema, note: str = "", deep: bool = True
) -> str:
    rows = list(_rows(form, prefix, root=root, deep=deep))
    parts = [f"## {heading}\n", note, format_table(HEADER, rows)]
    return "\n".join(part for part in parts if part)


def _rows(form: Schema, prefix: str, root: Schema, *, deep: bool) -> Iterator[tuple[str, ...]]:
    for name, value in form["properties"].items():
        if "const" in value and prefix == "model.":
            continue  # every network has the key `name`, which is listed once
        required = name in form.get("required", ())
        yield _format_key(f"{prefix}{name}", value, root=root, required=required)
        if not deep:
            continue
        for nested in [value, *value.get("anyOf", [])]:
            below = _resolve(nested, root)
            if "$ref" in nested and "properties" in below:
                yield from _rows(below, f"{prefix}{name}.", root=root, deep=True)


def _format_key(key: str, value: Schema, *, root: Schema, required: bool) -> tuple[str, ...]:
    unit = value.get("x-unit", "")
    meaning = value.get("description", "").removesuffix(f" Unit: {unit}.")
    default = "required" if required else _format_default(value)
    example = as_code(_format_value(_choose_example(value, root)))
    kind = _describe_type(value, root)
    return as_code(key), meaning, f"{kind}, in {unit}" if unit else kind, default, example


def _choose_example(value: Schema, root: Schema) -> Any:
    """Return the model's example; otherwise a choice other than the default, or the default."""
    if "examples" in value:
        return value["examples"][0]
    default = value.get("default", value.get("x-defaults", {}).get("standard"))
    choices: list[Any] = []
    for form in value.get("anyOf", [value]):
        resolved = _resolve(form, root)
        choices += [True, False] if resolved.get("type") == "boolean" else resolved.get("enum", [])
    others = [choice for choice in choices if choice != default]
    return others[0] if others else value.get("const", default)


def _format_default(value: Schema) -> str:
    if "x-defaults" in value:
        return _format_defaults(value["x-defaults"])
    default = value["default"]
    if isinstance(default, dict):
        return "its keys'"
    return "none" if default is None else as_code(_format_value(default))


def _format_defaults(defaults: Mapping[str, Any]) -> str:
    """Write the values of the named protocols, or the one that they share."""
    if any(isinstance(value, dict) for value in defaults.values()):
        return "its keys'"
    texts = {name: as_code(_format_value(value)) for name, value in defaults.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{text} ({name})" for name, text in texts.items())


def _format_value(value: Any) -> str:
    """Write a value as YAML has it in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_format_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_format_value, value)) + "]"
    if isinstance(value, str):
        return value
    return re.sub(r"^(\d+)e", r"\1.0e", json.dumps(value))  # to YAML, 1e-8 is a text


def _describe_type(value: Schema, root: Schema) -> str:
    forms = [form for form in value.get("anyOf", [value]) if form.get("type") != "null"]
    texts = [_describe_form(form, root) for form in forms]
    return " or ".join(dict.fromkeys(text for text in texts if text))


def _describe_form(form: Schema, root: Schema) -> str:
    form = _resolve(form, root)
    if "anyOf" in form:
        return _describe_type(form, root)
    if "const" in form or "enum" in form:
        choices = form.get("enum", [form.get("const")])
        return ", ".join(as_code(_format_value(choice)) for choice in choices)
    if form.get("type") == "array":
        return f"list of {_describe_form(form['items'], root)}".removesuffix(" of ")
    if form.get("pattern", "").endswith("%$"):
        return "percentage"
    if form.get("pattern") == PATTERN:
        return "number with unit"
    bounds = [f"{sign} {form[word]:,}" for word, sign in BOUNDS.items() if word in form]
    return " ".join([KINDS.get(form.get("type", ""), ""), ", ".join(bounds)]).strip()


def _resolve(value: Schema, root: Schema) -> Schema:
    if "$ref" not in value:
        return value
    definition: Schema = root["$defs"][value["$ref"].rpartition("/")[2]]
    return definition
