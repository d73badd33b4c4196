"""JSON Schemas of sweep files and of `devices.yaml`, by which editors complete and check keys.

They accept every file that the harness accepts. A few rules across keys are the harness's alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from harness.config.device_file import DeviceRegistry
from harness.config.protocol import CUSTOM_NAME
from harness.config.quantity import PATTERN
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.search import DEVICE_METRICS, Metric
from harness.core.sweep import SweepPoint

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_SWITCH: Schema = {"anyOf": [{"type": "boolean"}, {"enum": ["on", "off"]}]}
_PERCENTAGE: Schema = {"type": "string", "pattern": r"^[0-9.]+ *%$"}
_SWEPT_SECTIONS = ("dataset", "model", "train", "precision", "seeds", "convert")
_ONE_OR_ALL = ("precision", "seeds")  # lists in the file, of which a swept value may be an item


class _InWrittenOrder(GenerateJsonSchema):
    """Keeps the order in which keys are declared, as people write them."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        return value


def build_sweep_schema(architectures: Mapping[str, type], datasets: Iterable[str]) -> Schema:
    """Return the schema of a sweep file with these networks and data sets, or the user's own."""
    schema = _schema_of(SweepPoint)
    definitions, properties = schema["$defs"], schema["properties"]
    networks = {name: _schema_of(kind) for name, kind in sorted(architectures.items())}
    properties["model"] |= _model_schema(networks)
    properties["dataset"] |= {"anyOf": [{"enum": list(datasets)}, {"type": "string"}]}
    protocol = _protocol_schema(definitions)
    definitions["BenchRequest"]["properties"]["protocol"]["anyOf"][1] = protocol
    swept = {**_sweepable_keys(schema), **_sweepable_parameters(properties["model"]["anyOf"])}
    _allow_short_metrics(definitions)
    _offer_keys(properties, definitions["Search"]["properties"]["space"], swept=swept)
    return {"$schema": DRAFT, "title": "A sweep of harness", **schema}


def build_devices_schema() -> Schema:
    """Return the schema of a registry of devices."""
    schema = _schema_of(DeviceRegistry)
    del schema["properties"]["devices"]["items"]["discriminator"]  # a word of OpenAPI
    for definition in schema["$defs"].values():
        definition["required"] = ["kind", *definition["required"]]
    return {"$schema": DRAFT, "title": "Devices of harness", **schema}


def _schema_of(kind: Any) -> Schema:
    schema: Schema = _simplify(TypeAdapter(kind).json_schema(schema_generator=_InWrittenOrder))
    return schema


def _simplify(node: Any) -> Any:
    """Return a schema without generated titles, and in words that JSON Schema has."""
    if isinstance(node, list):
        return [_simplify(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("anyOf") == [{"type": "integer"}, {"type": "number"}]:
        node = {"type": "number", **{key: node[key] for key in node if key != "anyOf"}}
    if "x-unit" in node:
        node = {**node, "description": f"{node['description']} Unit: {node['x-unit']}."}
    is_title = isinstance(node.get("title"), str)
    return {
        "exclusiveMinimum" if key == "gt" else key: _simplify(value)
        for key, value in node.items()
        if not (key == "title" and is_title)
    }


def _model_schema(networks: Mapping[str, Schema]) -> Schema:
    """Return the forms of `model`: a known network, your own, or one whose name is swept."""
    architectures = [
        {
            **network,
            "properties": {"name": {"const": name}, **network["properties"]},
            "required": ["name"],
        }
        for name, network in networks.items()
    ]
    function = {
        "description": "A function of your own, `module:function`, and its parameters.",
        "properties": {
            "name": {"description": "The function's name.", "type": "string", "pattern": ":"}
        },
        "required": ["name"],
    }
    return {"anyOf": [*architectures, function, {"not": {"required": ["name"]}}]}


def _protocol_schema(definitions: Schema) -> Schema:
    """Return the schema of a protocol that is spelled out: it names only what differs."""
    protocol = _schema_of(Protocol)
    definitions |= protocol.pop("$defs")
    keys = protocol["properties"]
    del keys["threads"]  # stands beside the protocol
    for key in (*keys.values(), *definitions["Gates"]["properties"].values()):
        key.pop("default", None)  # the base has the others
    for switch in ("canary", "answers"):
        keys[switch] = {"description": keys[switch]["description"], **_SWITCH}
    gates = [{"$ref": "#/$defs/Gates"}, *_SWITCH["anyOf"]]
    keys["gates"] = {**keys["gates"], "anyOf": gates}
    keys["name"]["default"] = CUSTOM_NAME
    keys["name"]["not"] = {"enum": list(PROTOCOLS)}
    _allow_percentage(keys, "target")
    _allow_percentage(definitions["Gates"]["properties"], "max_busy")
    base = {
        "enum": list(PROTOCOLS),
        "default": "standard",
        "description": "The named protocol that all other settings come from.",
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {"base": base, **keys},
    }


def _allow_percentage(keys: Schema, name: str) -> None:
    number = {key: value for key, value in keys[name].items() if key != "description"}
    keys[name] = {"description": keys[name]["description"], "anyOf": [number, _PERCENTAGE]}


def _allow_short_metrics(definitions: Schema) -> None:
    """Allow the name of an objective in place of its keys, and require units in constraints."""
    objectives = definitions["Search"]["properties"]["objectives"]
    names = [name for name in get_args(Metric) if name not in DEVICE_METRICS]
    objectives["items"] = {"anyOf": [{"enum": names}, objectives["items"]]}
    objectives["default"] = [objective["metric"] for objective in objectives["default"]]
    at_most = definitions["Constraint"]["properties"]["at_most"]
    definitions["Constraint"]["properties"]["at_most"] = {
        "description": at_most["description"],
        "type": "string",
        "pattern": PATTERN,
        "examples": at_most["examples"],
    }


def _sweepable_keys(schema: Schema) -> dict[str, Schema]:
    """Return each key that may be swept, with its dots, and the schema of one swept value."""
    keys: dict[str, Schema] = {}
    for section in _SWEPT_SECTIONS:
        keys |= dict(_nested_keys(section, f"#/properties/{section}", root=schema))
    return {**keys, **{key: {} for key in _ONE_OR_ALL}}


def _nested_keys(key: str, pointer: str, root: Schema) -> Iterator[tuple[str, Schema]]:
    yield key, {"$ref": pointer}
    value = _resolve(pointer, root)
    for form in [value, *value.get("anyOf", [])]:
        if "$ref" in form:
            properties = _resolve(form["$ref"], root).get("properties", {})
            for name in properties:
                below = f"{form['$ref']}/properties/{name}"
                yield from _nested_keys(f"{key}.{name}", below, root=root)


def _resolve(pointer: str, root: Schema) -> Schema:
    node = root
    for part in pointer.removeprefix("#/").split("/"):
        node = node[part]
    return node


def _sweepable_parameters(forms: Sequence[Schema]) -> dict[str, Schema]:
    """Return the parameters of the known networks; each value fits one of them."""
    pointers: dict[str, list[Schema]] = {}
    for number, form in enumerate(forms):
        for name in form.get("properties", {}):
            pointer = f"#/properties/model/anyOf/{number}/properties/{name}"
            pointers.setdefault(f"model.{name}", []).append({"$ref": pointer})
    return {key: {"anyOf": values} for key, values in sorted(pointers.items())}


def _offer_keys(properties: Schema, space: Schema, swept: Mapping[str, Schema]) -> None:
    """Name the keys that may be swept where they are: in `grid`, `points` and `search.space`."""
    lists: Schema = {}
    ranges: Schema = {}
    for key, value in swept.items():
        lists[key] = {"type": "array", "minItems": 1, "items": value}
        ranges[key] = {"anyOf": [lists[key], {"$ref": "#/$defs/Range"}]}
    any_list = {"type": "array", "minItems": 1}
    _close(properties["grid"]["anyOf"][0], lists, parameter=any_list)
    _close(properties["points"]["anyOf"][0]["items"], swept, parameter={})
    any_choice = space["anyOf"][0]["additionalProperties"]
    _close(space["anyOf"][0], ranges, parameter=any_choice)


def _close(form: Schema, keys: Mapping[str, Schema], parameter: Schema) -> None:
    """Allow these keys, and any parameter of your own network."""
    form["properties"] = dict(keys)
    form["patternProperties"] = {r"^model\.": parameter}
    form["additionalProperties"] = False
