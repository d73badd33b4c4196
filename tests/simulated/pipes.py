"""A command's pipes in the loop: nothing blocks, and neither side is read faster than the other one takes."""

import asyncio
import os
from collections.abc import Callable
from typing import IO

_CHUNK_BYTES = 64 * 2**10


class Input:
    """The command's standard input. What the pipe does not take is held, and the client made to wait."""

    def __init__(self, pipe: IO[bytes], hold: Callable[[bool], None]) -> None:
        self._pipe = pipe
        self._hold = hold
        self._held = bytearray()
        self._ending = False
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)

    def write(self, data: bytes) -> None:
        if not self._pipe.closed:
            self._held += data
            self._flush()

    def end(self) -> None:
        self._ending = True
        self._flush()

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_writer(self._pipe)
            self._pipe.close()
            self._held.clear()
            self._hold(False)

    def _flush(self) -> None:
        if self._pipe.closed:
            return
        try:
            while self._held:
                del self._held[: os.write(self._pipe.fileno(), self._held)]
        except BlockingIOError:
            self._loop.add_writer(self._pipe, self._flush)
            self._hold(True)
        except OSError:  # nobody reads it any more; what comes is dropped
            self.close()
        else:
            self._loop.remove_writer(self._pipe)
            if self._ending:
                self.close()
            else:
                self._hold(False)  # last, for it brings more data at once


class Output:
    """One of the command's outputs, read while the channel takes more."""

    def __init__(
        self, pipe: IO[bytes], send: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        self._pipe = pipe
        self._send = send
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)

    @property
    def open(self) -> bool:
        return not self._pipe.closed

    def resume(self) -> None:
        if self.open:
            self._loop.add_reader(self._pipe, self._read)

    def pause(self) -> None:
        if self.open:
            self._loop.remove_reader(self._pipe)

    def close(self) -> None:
        self.pause()
        self._pipe.close()

    def _read(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), _CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self._send(data)
        else:
            self.close()
            self._ended()
