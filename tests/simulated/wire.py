"""A TCP proxy in front of one endpoint; any thread can set its faults at any time."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from tests.simulated.link import Link

_RESULT_TIMEOUT_S = 30.0

T = TypeVar("T")


def run_in_loop(loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[T]]) -> T:
    """Do the work in the loop's thread and wait for it; for callers in other threads."""
    if loop.is_closed():
        raise RuntimeError("The simulated fleet is closed.")

    async def run() -> T:
        return await work()

    return asyncio.run_coroutine_threadsafe(run(), loop).result(_RESULT_TIMEOUT_S)


class _Setting(Generic[T]):
    """A fault that any thread may set; it takes effect before the assignment returns."""

    def __init__(self, *, default: T, is_valid: Callable[[T], bool] = lambda _: True) -> None:
        self._default = default
        self._is_valid = is_valid

    def __set_name__(self, owner: type["Wire"], name: str) -> None:
        self._name = name

    def __get__(self, wire: "Wire", owner: type["Wire"]) -> T:
        value: T = wire.settings.get(self._name, self._default)  # type: ignore[assignment]
        return value

    def __set__(self, wire: "Wire", value: T) -> None:
        if not self._is_valid(value):
            raise ValueError(f"{self._name} cannot be {value!r}")
        wire.change(partial(wire.settings.__setitem__, self._name, value))


class Wire:
    """The proxy. `serve` gets a connected socket for each client; faults affect its data."""

    # One way, in both directions.
    delay_s = _Setting(default=0.0, is_valid=lambda value: value >= 0)
    # The probability that a chunk ends its connection.
    loss = _Setting(default=0.0, is_valid=lambda value: 0 <= value <= 1)
    # New connections are reset at once; open ones stay.
    refuse = _Setting(default=False)
    # Nothing is passed on and nothing is closed.
    freeze = _Setting(default=False)

    def __init__(self, serve: Callable[[socket.socket], Awaitable[None]], seed: str) -> None:
        self.bytes_to_device = 0
        self.bytes_from_device = 0
        self.connections = 0  # accepted so far
        self.refused = 0
        self.port = 0
        self.settings: dict[str, object] = {}
        self.loop = asyncio.get_running_loop()
        self._serve = serve
        self._random = random.Random(seed)
        self._links: set[Link] = set()
        self._until_cut: int | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_connections(self) -> int:
        return len(self._links)

    def cut(self) -> None:
        """Reset every open connection now."""
        self.change(self._cut_all)

    def cut_after(self, *, bytes_to_device: int) -> None:
        """Reset every open connection once that many more bytes went to the device."""
        if bytes_to_device < 1:
            raise ValueError("use cut() to cut at once")
        self.change(partial(setattr, self, "_until_cut", bytes_to_device))

    def change(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()
            for link in tuple(self._links):
                link.pump()
            await asyncio.sleep(0)  # a reset is sent in the loop's next round

        run_in_loop(self.loop, act)

    # The methods below are for the loop's thread.

    async def listen(self) -> None:
        self._server = await self.loop.create_server(lambda: Link(self).client_end, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._cut_all()

    def _cut_all(self) -> None:
        for link in tuple(self._links):
            link.cut()

    def admit(self, link: Link) -> None:
        if self.refuse:
            self.refused += 1
            link.cut()
            return
        self.connections += 1
        self._links.add(link)
        task = self.loop.create_task(self._connect(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, link: Link) -> None:
        self._links.discard(link)

    async def _connect(self, link: Link) -> None:
        try:
            device_side, server_side = socket.socketpair()
        except OSError:  # no more files can be opened: a device would fail, too
            link.cut()
            return
        await self._serve(server_side)
        await self.loop.connect_accepted_socket(lambda: link.device_end, device_side)

    def pass_from_device(self, link: Link, client: asyncio.WriteTransport, chunk: bytes) -> None:
        if self._is_lost():
            link.cut()
            return
        self.bytes_from_device += len(chunk)
        client.write(chunk)

    def pass_to_device(self, link: Link, device: asyncio.WriteTransport, chunk: bytes) -> None:
        if self._is_lost():
            link.cut()
            return
        chunk = chunk[: self._until_cut]
        self.bytes_to_device += len(chunk)
        device.write(chunk)
        if self._until_cut is not None:
            self._until_cut = self._until_cut - len(chunk) or None
            if self._until_cut is None:
                self._cut_all()

    def _is_lost(self) -> bool:
        return self.loss > 0 and self._random.random() < self.loss
