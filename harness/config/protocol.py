"""How to measure, as a sweep file or the command line says it → a protocol."""

from collections.abc import Mapping
from typing import Any

from harness.config.document import Document, KeyPath, validate
from harness.config.overrides import override, parse_override, split_key
from harness.core.bench import PROTOCOLS, Protocol
from harness.core.errors import ConfigError
from harness.core.ids import to_plain

_CUSTOM = "custom"
_SWITCH = {"on": True, "off": False}


def resolve_protocol(
    document: Document, words: str | Mapping[str, Any], path: KeyPath = ()
) -> Protocol:
    """A named protocol, or one that is spelled out: what it does not say is as in its `base`. Raises ConfigError."""
    if isinstance(words, str):
        return _named(document, words, path=path)
    given = {key: _value(value) for key, value in words.items()}
    base = to_plain(_named(document, given.pop("base", "standard"), path=(*path, "base")))
    if given.get("name") in PROTOCOLS:
        raise document.error(
            (*path, "name"),
            f"is {given['name']!r}, which means another; give it a name of its own.",
        )
    if "threads" in given:
        raise document.error(
            (*path, "threads"), "is no part of a protocol; say `threads` beside it."
        )
    gates = _gates(given.pop("gates", {}), base["gates"])
    made = validate(
        document, Protocol, value={**base, "name": _CUSTOM, "gates": gates, **given}, prefix=path
    )
    if "max_processes" in given and made.max_processes < made.processes:
        raise document.error(
            (*path, "max_processes"), f"is {made.max_processes}, under processes, {made.processes}."
        )
    if made.min_secs > made.max_secs:
        raise document.error(
            (*path, "min_secs"), f"is {made.min_secs:g}, over max_secs, {made.max_secs:g}."
        )
    return made


def parse_protocol(text: str) -> Protocol:
    """`quick`, or `quick,processes=20,target=1%,gates=off`. Raises ConfigError."""
    base, *settings = text.split(",")
    if "=" in base:
        base, settings = "standard", [base, *settings]
    if base.strip() not in PROTOCOLS:
        raise ConfigError(
            f"--protocol {text}: {base.strip()!r} is no protocol; known: {', '.join(PROTOCOLS)}."
        )
    if not settings:
        return PROTOCOLS[base.strip()]
    document = Document(f"--protocol {text}", {}, lines={}, origins={})
    document = override(document, ("base",), value=base.strip(), origin=document.name)
    for setting in settings:
        if "=" not in setting:
            raise ConfigError(
                f"--protocol {text}: {setting!r} has to look like key=value, for example target=1%."
            )
        path, value = parse_override(setting)
        document = override(
            document, split_key(".".join(map(str, path))), value=value, origin=document.name
        )
    return resolve_protocol(document, document.content)


def _named(document: Document, name: Any, path: KeyPath) -> Protocol:
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise document.error(
            path, f"is {name!r}, which is no protocol; known: {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]


def _value(value: Any) -> Any:
    """Switches and shares as people write them."""
    if isinstance(value, str) and value in _SWITCH:
        return _SWITCH[value]
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            return value
    return value


def _gates(given: Any, base: Mapping[str, Any] | None) -> Any:
    if isinstance(given, bool):
        return base if given else None
    return (
        {**(base or {}), **{key: _value(value) for key, value in given.items()}}
        if isinstance(given, Mapping)
        else given
    )
