"""Phones that the real adb program finds, but can't use: two of adb's states that a sound adbd never gets into."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

_HEADER = struct.Struct(
    "<6I"
)  # adb's protocol.txt: command, two arguments, length, checksum, magic
_CONNECT, _AUTHENTICATE = b"CNXN", b"AUTH"
_TOKEN, _PUBLIC_KEY = 1, 3


@contextmanager
def stubborn_phone(answers: bool) -> Iterator[str]:
    """The serial of one that trusts no key (adb calls it unauthorized), or never says a word (offline)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=_accept, args=(server, answers), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _accept(server: socket.socket, answers: bool) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            Thread(target=_listen, args=(connection, answers), daemon=True).start()


def _listen(connection: socket.socket, answers: bool) -> None:
    """A token for each greeting and each signature; of a new public key it would have to ask its owner."""
    with connection, suppress(OSError, struct.error):
        while True:
            command, kind, _, length, _, _ = _HEADER.unpack(
                connection.recv(_HEADER.size, socket.MSG_WAITALL)
            )
            connection.recv(length, socket.MSG_WAITALL)
            greeting = command == int.from_bytes(_CONNECT, "little")
            if answers and (greeting or kind != _PUBLIC_KEY):
                connection.sendall(_message(_AUTHENTICATE, _TOKEN, payload=bytes(range(20))))


def _message(command: bytes, argument: int, payload: bytes) -> bytes:
    number = int.from_bytes(command, "little")
    return (
        _HEADER.pack(number, argument, 0, len(payload), sum(payload), number ^ 0xFFFFFFFF) + payload
    )
