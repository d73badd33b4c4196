"""Phones that the real adb program finds but can't use: two states that a real adbd never has."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread

# adb's protocol.txt: command, two arguments, length, checksum, magic
_HEADER = struct.Struct("<6I")
_CONNECT, _AUTHENTICATE = b"CNXN", b"AUTH"
_TOKEN, _PUBLIC_KEY = 1, 3


@contextmanager
def make_stubborn_phone(*, answers: bool) -> Iterator[str]:
    """Yield the serial of a phone that trusts no key (unauthorized) or never answers (offline)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=partial(_accept, server, answers=answers), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, *, answers: bool) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            Thread(target=partial(_serve, connection, answers=answers), daemon=True).start()


def _serve(connection: socket.socket, *, answers: bool) -> None:
    """Send a token for each greeting and each signature; a public key would be for its owner."""
    with connection, suppress(OSError, struct.error):
        while True:
            command, kind, _, length, _, _ = _HEADER.unpack(
                connection.recv(_HEADER.size, socket.MSG_WAITALL)
            )
            connection.recv(length, socket.MSG_WAITALL)
            greeting = command == int.from_bytes(_CONNECT, "little")
            if answers and (greeting or kind != _PUBLIC_KEY):
                connection.sendall(_make_message(_AUTHENTICATE, _TOKEN, payload=bytes(range(20))))


def _make_message(command: bytes, argument: int, payload: bytes) -> bytes:
    number = int.from_bytes(command, "little")
    fields = (number, argument, 0, len(payload), sum(payload), number ^ 0xFFFFFFFF)
    return _HEADER.pack(*fields) + payload
