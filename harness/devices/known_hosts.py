"""The reader of `known_hosts` files, with the meaning that OpenSSH gives to each line (sshd(8))."""

import hmac
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from harness.core.ssh import PublicKey, parse_public_key

_MAX_BYTES = 16_000_000
_SSH_PORT = 22
_MARKERS = ("@cert-authority", "@revoked")
_HASHED = re.compile(r"\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class KnownKey:
    """A key that a line states for a host; `place` is the file and line."""

    key: PublicKey
    place: str


@dataclass(frozen=True)
class KnownHost:
    """The statements of the files about one host.

    `revoked` keys are never trusted. `damaged` lines name the host, but their keys can't be read.
    """

    trusted: tuple[KnownKey, ...] = ()
    authorities: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()
    damaged: tuple[str, ...] = ()


def read_known_host(files: Sequence[Path], name: str, port: int | None) -> KnownHost:
    """Return what the files state about a host, by its name or alias.

    An entry `[name]:port` counts before one without a port. `port` is None for an alias, which
    stands for itself. Unreadable files count as empty, as for OpenSSH.
    """
    plain = name.lower()
    if port in (None, _SSH_PORT):
        return _select(files, plain)
    exact, general = _select(files, f"[{plain}]:{port}"), _select(files, plain)
    return KnownHost(
        exact.trusted or general.trusted,
        authorities=exact.authorities or general.authorities,
        revoked=exact.revoked + general.revoked,
        damaged=exact.damaged + general.damaged,
    )


def _select(files: Sequence[Path], name: str) -> KnownHost:
    keys: dict[str, list[KnownKey]] = {"": [], **{marker: [] for marker in _MARKERS}}
    damaged = []
    for place, line in _read_lines(files):
        marker, patterns, text = _split(line)
        if marker not in keys or not _matches(patterns, name):
            continue
        try:
            keys[marker].append(KnownKey(parse_public_key(text), place))
        except ValueError:
            damaged.append(place)
    return KnownHost(
        tuple(keys[""]),
        authorities=tuple(keys["@cert-authority"]),
        revoked=tuple(keys["@revoked"]),
        damaged=tuple(damaged),
    )


def _read_lines(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each line; comments may be in any encoding."""
    for file in files:
        try:
            if not file.is_file():
                continue
            with file.open("rb") as stream:
                content = stream.read(_MAX_BYTES)
        except OSError:
            continue
        for number, line in enumerate(content.split(b"\n"), 1):
            yield f"{file}:{number}", line.decode("utf-8", errors="replace").strip(" \t\r")


def _split(line: str) -> tuple[str, str, str]:
    """Return a line's marker or "", its host patterns, and its key; "" for what is missing."""
    fields = line.split(maxsplit=2 if line.startswith("@") else 1)
    if line.startswith("#") or len(fields) < 2:
        return "", "", ""
    if line.startswith("@"):
        return fields[0], fields[1], fields[2] if len(fields) > 2 else ""
    return "", fields[0], fields[1]


def _matches(patterns: str, name: str) -> bool:
    """Tell whether host patterns include a name: with wildcards, after `!` for an exception."""
    if patterns.startswith("|"):
        return _matches_hash(patterns, name)
    is_included = False
    # A bracket stands for itself: around a host that has a port.
    for pattern in patterns.lower().replace("[", "[[]").split(","):
        if fnmatchcase(name, pattern.removeprefix("!")):
            if pattern.startswith("!"):
                return False
            is_included = True
    return is_included


def _matches_hash(pattern: str, name: str) -> bool:
    if (match := _HASHED.fullmatch(pattern)) is None:
        return False
    try:
        salt, digest = b64decode(match[1]), b64decode(match[2])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
