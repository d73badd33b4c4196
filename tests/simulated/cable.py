"""A wire in front of a real server, to simulate faults of its cable."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from tests.simulated.wire import Wire

_START_S = 30.0


@contextmanager
def cable_to(port: int) -> Iterator[Wire]:
    """Yield a wire whose `port` leads to `port` of this machine."""
    ready, wires, stop = Event(), list[Wire](), asyncio.Event()

    async def serve_until_stopped() -> None:
        wire = Wire(lambda sock: _serve(sock, port), "cable")
        await wire.listen()
        wires.append(wire)
        ready.set()
        await stop.wait()
        wire.close()

    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_until_complete, args=(serve_until_stopped(),), name="cable")
    thread.start()
    assert ready.wait(_START_S)
    try:
        yield wires[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def _serve(sock: socket.socket, port: int) -> None:
    from_wire, to_wire = await asyncio.open_connection(sock=sock)
    from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
    loop = asyncio.get_running_loop()
    _TASKS.update(
        loop.create_task(_copy(*ends)) for ends in ((from_wire, to_server), (from_server, to_wire))
    )


_TASKS: set["asyncio.Task[None]"] = set()  # the loop itself may lose a task without references


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()
    task = asyncio.current_task()
    if task is not None:
        _TASKS.discard(task)
