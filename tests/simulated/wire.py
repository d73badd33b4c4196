"""A TCP proxy in front of one endpoint. Tests set its faults from any thread, while connections are open."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from tests.simulated.link import Link

_ANSWER_S = 30.0

T = TypeVar("T")


def in_loop(loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[T]]) -> T:
    """Does it in the loop's thread and waits for it; for callers in other threads."""
    if loop.is_closed():
        raise RuntimeError("The simulated fleet is closed.")

    async def answer() -> T:
        return await work()

    return asyncio.run_coroutine_threadsafe(answer(), loop).result(_ANSWER_S)


class _Setting(Generic[T]):
    """A fault that any thread may set. It is in effect when the assignment returns."""

    def __init__(self, value: T, allowed: Callable[[T], bool] = lambda _: True) -> None:
        self._default = value
        self._allowed = allowed

    def __set_name__(self, owner: type["Wire"], name: str) -> None:
        self._name = name

    def __get__(self, wire: "Wire", owner: type["Wire"]) -> T:
        value: T = wire.settings.get(self._name, self._default)  # type: ignore[assignment]
        return value

    def __set__(self, wire: "Wire", value: T) -> None:
        if not self._allowed(value):
            raise ValueError(f"{self._name} cannot be {value!r}")
        wire.change(partial(wire.settings.__setitem__, self._name, value))


class Wire:
    """`serve` gets a connected socket for each client; what passes between them is delayed, counted, cut."""

    delay_s = _Setting(0.0, lambda value: value >= 0)  # one way, in both directions
    loss = _Setting(
        0.0, lambda value: 0 <= value <= 1
    )  # a chunk's chance to be the end of its connection
    refuse = _Setting(False)  # new connections are reset at once; open ones stay
    freeze = _Setting(False)  # nothing is passed on and nothing closes

    def __init__(self, serve: Callable[[socket.socket], Awaitable[None]], seed: str) -> None:
        self.bytes_to_device = 0
        self.bytes_from_device = 0
        self.connections = 0  # let in so far
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
        """Resets every open connection now."""
        self.change(self._cut_all)

    def cut_after(self, *, bytes_to_device: int) -> None:
        """Resets every open connection, once, as soon as that many more bytes went to the device."""
        if bytes_to_device < 1:
            raise ValueError("cut() is what cuts now")
        self.change(partial(setattr, self, "_until_cut", bytes_to_device))

    def change(self, action: Callable[[], None]) -> None:
        async def act() -> None:
            action()
            for link in tuple(self._links):
                link.pump()
            await asyncio.sleep(0)  # a reset goes out in the loop's next round

        in_loop(self.loop, act)

    # What follows is for the loop's thread.

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
            ours, theirs = socket.socketpair()
        except OSError:  # no more files to open: as a device would, too
            link.cut()
            return
        await self._serve(theirs)
        await self.loop.connect_accepted_socket(lambda: link.device_end, ours)

    def pass_from_device(self, link: Link, client: asyncio.WriteTransport, chunk: bytes) -> None:
        if self._loses():
            link.cut()
            return
        self.bytes_from_device += len(chunk)
        client.write(chunk)

    def pass_to_device(self, link: Link, device: asyncio.WriteTransport, chunk: bytes) -> None:
        if self._loses():
            link.cut()
            return
        chunk = chunk[: self._until_cut]
        self.bytes_to_device += len(chunk)
        device.write(chunk)
        if self._until_cut is not None:
            self._until_cut = self._until_cut - len(chunk) or None
            if self._until_cut is None:
                self._cut_all()

    def _loses(self) -> bool:
        return self.loss > 0 and self._random.random() < self.loss
