"""One connection through a wire: two ends, and a lane for each direction."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulated.wire import Wire

# The most that one direction of a connection buffers before it stops reading. It is more than SSH's
# windows of 2 MB, so that a delay slows transfers as it would slow SSH itself.
_MAX_BUFFERED_BYTES = 4 * 2**20
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Link:
    """One connection: the two directions between a client and the endpoint."""

    def __init__(self, wire: "Wire") -> None:
        self._wire = wire
        to_device = Lane(wire, partial(wire.pass_to_device, self))
        to_client = Lane(wire, partial(wire.pass_from_device, self))
        self.client_end = End(self, to_device, into=to_client)
        self.device_end = End(self, to_client, into=to_device)
        self._lanes = (to_device, to_client)
        self._alive = True

    def on_connected(self, end: "End") -> None:
        if end is self.client_end:
            self._wire.admit(self)
        elif self._alive:
            self.pump()
        else:
            self.device_end.close()  # cut before the device was connected

    def pump(self) -> None:
        for lane in self._lanes:
            lane.pump()

    def cut(self) -> None:
        """Reset the client's side, and close the device's after all that was passed on."""
        self._alive = False
        for lane in self._lanes:
            lane.drop()
        self.client_end.reset()
        self.device_end.close()
        self._wire.forget(self)

    def on_ended(self) -> None:
        if not (self.client_end.open or self.device_end.open):
            self._wire.forget(self)


class End(asyncio.Protocol):
    """One side of a link. `out` takes the data that it sends, and `into` brings the data for it."""

    def __init__(self, link: Link, out: "Lane", into: "Lane") -> None:
        self.open = False
        self._link = link
        self._out = out
        self._into = into
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = self._out.source = self._into.target = transport
        self.open = True
        self._link.on_connected(self)

    def data_received(self, data: bytes) -> None:
        self._out.put(data)

    def connection_lost(self, error: Exception | None) -> None:
        """End both directions, as SSH never closes just one."""
        self.open = False
        self._into.drop()
        self._out.put(b"")
        self._link.on_ended()

    def pause_writing(self) -> None:
        self._into.blocked = True

    def resume_writing(self) -> None:
        self._into.blocked = False
        # Not at once: asyncio does not support closing a transport within this call.
        asyncio.get_running_loop().call_soon(self._into.pump)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None and self.open:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()


class Lane:
    """One direction: chunks in order, each delayed by the wire. An empty chunk is the end."""

    def __init__(
        self, wire: "Wire", forward: Callable[[asyncio.WriteTransport, bytes], None]
    ) -> None:
        self.source: asyncio.ReadTransport | None = None
        self.target: asyncio.WriteTransport | None = None
        self.blocked = False
        self._wire = wire
        self._forward = forward
        self._buffer: deque[tuple[float, bytes]] = deque()
        self._buffered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._dropped = False

    def put(self, chunk: bytes) -> None:
        if self._dropped:
            return
        self._buffer.append((self._wire.loop.time(), chunk))
        self._buffered_bytes += len(chunk)
        if self._timer is None:
            self.pump()
        if self._buffered_bytes > _MAX_BUFFERED_BYTES and self.source is not None:
            self.source.pause_reading()

    def pump(self) -> None:
        """Pass on the chunks that are due by the current delay, not by that of their arrival."""
        self._stop_timer()
        while (
            self._buffer and self.target is not None and not self.blocked and not self._wire.freeze
        ):
            wait = self._buffer[0][0] + self._wire.delay_s - self._wire.loop.time()
            if wait > 0:
                self._timer = self._wire.loop.call_later(wait, self.pump)
                break
            _, chunk = self._buffer.popleft()
            self._buffered_bytes -= len(chunk)
            if chunk:
                self._forward(self.target, chunk)
            else:
                self.target.close()
        if self._buffered_bytes < _MAX_BUFFERED_BYTES // 2 and self.source is not None:
            self.source.resume_reading()

    def drop(self) -> None:
        """Drop all chunks, as the target is closed."""
        self._dropped = True
        self._stop_timer()
        self._buffer.clear()
        self._buffered_bytes = 0

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
