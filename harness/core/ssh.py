"""Addresses and public keys, as people write them for SSH."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from ipaddress import IPv6Address

_HOST_NAME = re.compile(r"""(?!-)[^\s\x00-\x1f\x7f@:,/\\\[\]"'`$;&<>|(){}*?!]+""")
_USER_NAME = re.compile(r"(?!-)[^\s\x00-\x1f\x7f:/]+")
_BRACKETED = re.compile(r"\[([^\[\]]+)\](?::(.*))?")
_LENGTH_BYTES = 4
_MOST_FIELDS = 8
CERTIFICATE_MARK = "-cert-"
"""Part of the type of every certificate."""


@dataclass(frozen=True)
class SshAddress:
    """A host, with the user and the port if the text names them."""

    host: str
    user: str | None = None
    port: int | None = None


def parse_address(text: str) -> SshAddress:
    """Parse `[user@]host[:port]`, maybe after `ssh://`.

    An IPv6 address that has a port stands in brackets. Raises ValueError, whose text says what is
    wrong.
    """
    user, has_user, rest = text.removeprefix("ssh://").rpartition("@")
    if has_user and not _USER_NAME.fullmatch(user):
        raise ValueError(f"{user!r} is not a user name")
    host, port = _split_port(rest)
    if not _is_ipv6(host) and not _is_host_name(host):
        raise ValueError(f"{host!r} is neither a host name nor an address")
    return SshAddress(host, user=user or None, port=None if port is None else _parse_port(port))


def _split_port(text: str) -> tuple[str, str | None]:
    if match := _BRACKETED.fullmatch(text):
        return match[1], match[2]
    if _is_ipv6(text):
        return text, None
    host, has_port, port = text.partition(":")
    return host, port if has_port else None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    try:
        text.encode("idna")  # as the resolver will: each part has 1 to 63 characters
    except UnicodeError:
        return False
    return _HOST_NAME.fullmatch(text) is not None


def _parse_port(text: str) -> int:
    if re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"{text!r} is not a port from 1 to 65535; an IPv6 address needs brackets")


@dataclass(frozen=True)
class PublicKey:
    """A public key or a certificate: its type and its bytes, as the protocol sends them."""

    type: str
    blob: bytes

    def __str__(self) -> str:
        return f"{self.type} {b64encode(self.blob).decode()}"


def parse_public_key(text: str) -> PublicKey:
    """Parse `type base64 [comment]`, as in a `.pub` file. Raises ValueError."""
    fields = text.split(maxsplit=2)
    if len(fields) < 2:
        raise ValueError("it is not of the form `type base64`")
    try:
        blob = b64decode(fields[1], validate=True)
    except ValueError as error:
        raise ValueError(f"its base64 is damaged or cut ({error})") from error
    if not _is_key(fields[0], blob):
        raise ValueError(f"its base64 is not a whole key of the type {fields[0]}")
    return PublicKey(fields[0], blob)


def _is_key(key_type: str, blob: bytes) -> bool:
    """Tell whether the bytes are a key of this type, and not cut.

    A key is a sequence of fields, each after its length in four bytes (RFC 4253, 6.6), and its
    type is the first. A certificate has other fields, too: only its first two are checked.
    """
    most_fields = 2 if CERTIFICATE_MARK in key_type else _MOST_FIELDS
    fields: list[bytes] = []
    position = 0
    while position < len(blob) and len(fields) < most_fields:
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(blob[position:start], "big")
        fields.append(blob[start:position])
    return position <= len(blob) and len(fields) > 1 and fields[0] == key_type.encode()
