"""Many SSH endpoints in one process; tests can delay, freeze and cut their connections."""

import asyncio
import platform
import resource
from collections.abc import Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from uuid import uuid4

import asyncssh
from ruamel.yaml import YAML

from tests.simulated.command import Commands
from tests.simulated.processes import find_processes, kill_all
from tests.simulated.server import USER, Keys, Server
from tests.simulated.wire import Wire, run_in_loop

_PATH = "/usr/local/bin:/usr/bin:/bin"
_FILES = 256
_FILES_PER_ENDPOINT = 32  # its listener, and a few commands on each of a few connections
_START_S = 60.0


class Endpoint:
    """One simulated device; faults are set on its `wire`."""

    def __init__(
        self,
        name: str,
        folder: Path,
        fleet: str,
        keys: Keys,
        options: asyncssh.SSHServerConnectionOptions,
        seed: int,
    ) -> None:
        self.name = name
        self.home = folder / name / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        # Names are only unique within a fleet.
        marks = {"SIMULATED_DEVICE": name, "SIMULATED_FLEET": fleet}
        self.commands = Commands(
            self.home, {"PATH": _PATH, "HOME": str(self.home), "LC_ALL": "C.UTF-8", **marks}
        )
        self.server = Server(keys, options, commands=self.commands)
        self.wire = Wire(self.server.serve, f"{seed} {name}")
        self._marks = frozenset(f"{key}={value}".encode() for key, value in marks.items())

    @property
    def port(self) -> int:
        return self.wire.port

    def processes(self) -> set[int]:
        """Return its processes, with those that outlived their command and connection."""
        return find_processes(self._marks, frozenset(self.commands.running))

    def stop_processes(self) -> None:
        """Kill all its processes, as a reboot does; connections stay but refuse commands."""
        run_in_loop(self.wire.loop, self._stop)

    async def _stop(self) -> None:
        self.commands.accepting = False
        try:
            await kill_all(self._marks, lambda: self.commands.running)
        finally:
            self.commands.accepting = True


class SimulatedFleet:
    """A context manager in which `endpoints` listen, in a thread of this process."""

    def __init__(self, count: int, folder: Path, *, prefix: str = "sim", seed: int = 0) -> None:
        self.folder = folder.resolve()
        self.endpoints: tuple[Endpoint, ...] = ()
        self._names = [f"{prefix}{number:03}" for number in range(count)]
        self._seed = seed
        self._id = uuid4().hex
        self._pool = ThreadPoolExecutor(1, "simulated-fleet")
        self._ready: Future[None] = Future()
        self._stop = asyncio.Event()

    def __enter__(self) -> "SimulatedFleet":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._keys = Keys.in_folder(self.folder)
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        _allow_files(_FILES + _FILES_PER_ENDPOINT * len(self._names))
        self._done = self._pool.submit(asyncio.run, self._serve())
        wait([self._ready, self._done], _START_S, FIRST_COMPLETED)
        if not self._ready.done():
            self._end()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def __getitem__(self, name: str) -> Endpoint:
        return next(endpoint for endpoint in self.endpoints if endpoint.name == name)

    @property
    def client_key(self) -> Path:
        return self._keys.client_file

    @property
    def host_key(self) -> str:
        """The public host key of all endpoints, in the format of known_hosts without the host."""
        return self._keys.host

    def write_devices(self, path: Path, **settings: str) -> None:
        """Write a registry of the endpoints; `settings` are further keys of each entry."""
        devices = [
            {
                "id": endpoint.name,
                "kind": "ssh",
                "host": "127.0.0.1",
                "port": endpoint.port,
                "user": USER,
                "key": str(self.client_key),
                "host_key": self.host_key,
                "abi": platform.machine(),
                "tags": ["simulated"],
                **settings,
            }
            for endpoint in self.endpoints
        ]
        yaml = YAML()
        yaml.width = 4096  # a key stays on its line
        yaml.dump({"devices": devices}, path)

    def _end(self) -> None:
        try:
            if not self._done.done():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._done.result()
        finally:
            self._pool.shutdown()
            resource.setrlimit(resource.RLIMIT_NOFILE, self._files)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
            self._ready.set_result(None)
            await self._stop.wait()
        finally:
            await self._close()

    async def _open(self) -> None:
        options = self._keys.options()
        self.endpoints = tuple(
            Endpoint(
                name, self.folder, fleet=self._id, keys=self._keys, options=options, seed=self._seed
            )
            for name in self._names
        )
        for endpoint in self.endpoints:
            await endpoint.wire.listen()

    async def _close(self) -> None:
        """Close connections first, so that none starts a command while all processes are killed."""
        for endpoint in self.endpoints:
            endpoint.commands.accepting = False
            endpoint.wire.close()
        await kill_all(frozenset({f"SIMULATED_FLEET={self._id}".encode()}), self._running_pids)
        await asyncio.gather(*(endpoint.server.wait_closed() for endpoint in self.endpoints))

    def _running_pids(self) -> Set[int]:
        return frozenset().union(*(endpoint.commands.running for endpoint in self.endpoints))


def _allow_files(count: int) -> None:
    """Raise the soft limit of open files, usually 1,024, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
