"""The pipes of a command in the loop: nothing blocks, and no side is read too fast."""

import asyncio
import os
from collections.abc import Callable
from typing import IO, Protocol

_CHUNK_BYTES = 64 * 2**10


class SetPaused(Protocol):
    """A function that pauses or resumes the client."""

    def __call__(self, *, paused: bool) -> None: ...


class Input:
    """The command's standard input. It buffers what the pipe rejects, and pauses the client."""

    def __init__(self, pipe: IO[bytes], set_paused: SetPaused) -> None:
        self._pipe = pipe
        self._set_paused = set_paused
        self._buffer = bytearray()
        self._ending = False
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe.fileno(), False)

    def write(self, data: bytes) -> None:
        if not self._pipe.closed:
            self._buffer += data
            self._flush()

    def end(self) -> None:
        self._ending = True
        self._flush()

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_writer(self._pipe)
            self._pipe.close()
            self._buffer.clear()
            self._set_paused(paused=False)

    def _flush(self) -> None:
        if self._pipe.closed:
            return
        try:
            while self._buffer:
                del self._buffer[: os.write(self._pipe.fileno(), self._buffer)]
        except BlockingIOError:
            self._loop.add_writer(self._pipe, self._flush)
            self._set_paused(paused=True)
        except OSError:  # nobody reads the pipe any more: drop further input
            self.close()
        else:
            self._loop.remove_writer(self._pipe)
            if self._ending:
                self.close()
            else:
                self._set_paused(paused=False)  # last, as more data arrives at once


class Output:
    """One output of the command, read while the channel takes more."""

    def __init__(
        self, pipe: IO[bytes], send: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._pipe = pipe
        self._send = send
        self._on_end = on_end
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
            self._on_end()
