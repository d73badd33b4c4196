"""The reader of protocols, as a sweep file or the command line gives them."""

from collections.abc import Mapping
from typing import Any

from harness.config.document import Document, validate
from harness.config.overrides import override, parse_override, split_key
from harness.config.yaml_text import KeyPath, show_briefly
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.errors import ConfigError
from harness.core.ids import to_plain

CUSTOM_NAME = "custom"
_MAX_SETTINGS = 50
_SWITCHES = {"on": True, "off": False}


def resolve_protocol(
    document: Document, spec: str | Mapping[str, Any], path: KeyPath = ()
) -> Protocol:
    """Return the protocol with a name or with these settings.

    Missing settings are those of `base`, which is `standard` by default. Raises ConfigError.
    """
    if isinstance(spec, str):
        return _find_protocol(document, spec, path=path)
    settings = {key: _convert_value(value) for key, value in spec.items()}
    base_name = settings.pop("base", "standard")
    base = to_plain(_find_protocol(document, base_name, path=(*path, "base")))
    if isinstance(settings.get("name"), str) and settings["name"] in PROTOCOLS:
        raise document.error(
            (*path, "name"),
            f"is {settings['name']!r}, which is a built-in protocol; choose another name.",
        )
    if "threads" in settings:
        raise document.error(
            (*path, "threads"),
            "does not belong to a protocol; set bench.threads, or give --threads.",
        )
    gates = _merge_gates(settings.pop("gates", {}), base["gates"])
    value = {**base, "name": CUSTOM_NAME, "gates": gates, **settings}
    protocol = validate(document, Protocol, value=value, prefix=path)
    if "max_processes" in settings and protocol.max_processes < protocol.processes:
        raise document.error(
            (*path, "max_processes"),
            f"is {protocol.max_processes}, but must be at least processes, "
            f"which is {protocol.processes}.",
        )
    if protocol.min_secs > protocol.max_secs:
        raise document.error(
            (*path, "min_secs"),
            f"is {protocol.min_secs:g}, but must be at most max_secs, "
            f"which is {protocol.max_secs:g}.",
        )
    return protocol


def parse_protocol(text: str) -> Protocol:
    """Parse `quick`, or `quick,processes=20,target=1%,gates=off`. Raises ConfigError."""
    base, *settings = text.split(",")
    option = f"--protocol {show_briefly(text)}"
    if "=" in base:
        base, settings = "standard", [base, *settings]
    if base.strip() not in PROTOCOLS:
        raise ConfigError(
            f"{option}: unknown protocol {show_briefly(base.strip())!r}; "
            f"choose from: {', '.join(PROTOCOLS)}."
        )
    if not settings:
        return PROTOCOLS[base.strip()]
    if len(settings) > _MAX_SETTINGS:
        raise ConfigError(f"{option}: has more than {_MAX_SETTINGS} settings; give each once.")
    document = Document(option, {}, lines={})
    document = override(document, ("base",), value=base.strip(), origin=document.name)
    for setting in settings:
        if "=" not in setting:
            raise ConfigError(
                f"{option}: write {show_briefly(setting)!r} as key=value, for example target=1%."
            )
        path, value = parse_override(setting, option="--protocol")
        document = override(
            document, split_key(".".join(map(str, path))), value=value, origin=document.name
        )
    return resolve_protocol(document, document.content)


def _find_protocol(document: Document, name: Any, path: KeyPath) -> Protocol:
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise document.error(
            path,
            f"is {show_briefly(repr(name))}, not a known protocol; "
            f"choose from: {', '.join(PROTOCOLS)}.",
        )
    return PROTOCOLS[name]


def _convert_value(value: Any) -> Any:
    """Convert `on`, `off` and percentages; return any other value unchanged."""
    if isinstance(value, str) and value in _SWITCHES:
        return _SWITCHES[value]
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            return value
    return value


def _merge_gates(gates: Any, base: Mapping[str, Any] | None) -> Any:
    """Return the base's gates with these settings; `gates` may also be on or off."""
    if isinstance(gates, bool):
        return base if gates else None
    if not isinstance(gates, Mapping):
        return gates  # refused later, with its line
    return {**(base or {}), **{key: _convert_value(value) for key, value in gates.items()}}
