"""How to measure, as a sweep file or the command line says it → a protocol."""

from collections.abc import Mapping
from typing import Any

from harness.core.bench import PROTOCOLS, Protocol
from harness.core.errors import SpecError
from harness.core.ids import plain
from harness.spec.document import Document, KeyPath, check
from harness.spec.overrides import key_path, override, parse_override

_CUSTOM = "custom"
_SWITCH = {"on": True, "off": False}


def protocol_of(document: Document, words: str | Mapping[str, Any], path: KeyPath = ()) -> Protocol:
    """A named protocol, or one that is spelled out: what it does not say is as in its `base`. Raises SpecError."""
    if isinstance(words, str):
        return _named(document, words, path)
    given = {key: _value(value) for key, value in words.items()}
    base = plain(_named(document, given.pop("base", "standard"), (*path, "base")))
    if "threads" in given:
        raise document.error((*path, "threads"), "is no part of a protocol; say `threads` beside it.")
    gates = _gates(given.pop("gates", {}), base["gates"])
    return check(document, Protocol, {**base, "name": _CUSTOM, "gates": gates, **given}, path)


def protocol_from(text: str) -> Protocol:
    """`quick`, or `quick,processes=20,target=1%,gates=off`. Raises SpecError."""
    base, *settings = text.split(",")
    document = Document(f"--protocol {text}", {}, {}, {})
    if not settings and "=" not in base:
        return _named(document, base.strip(), ())
    if "=" in base:
        base, settings = "standard", [base, *settings]
    document = override(document, ("base",), base.strip(), document.name)
    for setting in settings:
        if "=" not in setting:
            raise SpecError(f"--protocol {text}: {setting!r} has to look like key=value, for example target=1%.")
        path, value = parse_override(setting)
        document = override(document, key_path(".".join(map(str, path))), value, document.name)
    return protocol_of(document, document.content)


def _named(document: Document, name: Any, path: KeyPath) -> Protocol:
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise document.error(path, f"is {name!r}, which is no protocol; known: {', '.join(PROTOCOLS)}.")
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
    if given is False:
        return None
    return (
        {**(base or {}), **{key: _value(value) for key, value in given.items()}}
        if isinstance(given, Mapping)
        else given
    )
