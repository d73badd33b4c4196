"""The SSH server of an endpoint: asyncssh with one host key, one user and one client key."""

import asyncio
import socket
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakSet

import asyncssh

from tests.simulated.command import Commands, CommandSession

USER = "bench"


@dataclass(frozen=True)
class Keys:
    """The keys of a fleet, made once in its folder and kept for later fleets."""

    client_file: Path
    client: str  # public, as in authorized_keys
    host: str  # public, as in known_hosts
    host_private: asyncssh.SSHKey

    @classmethod
    def in_folder(cls, folder: Path) -> "Keys":
        client = _load_key(folder / "client")
        host = _load_key(folder / "host")
        return cls(folder / "client", _format_public_key(client), _format_public_key(host), host)

    def options(self) -> asyncssh.SSHServerConnectionOptions:
        """Return the options for all endpoints: they take longer to make than an endpoint."""
        return asyncssh.SSHServerConnectionOptions(
            server_host_keys=[self.host_private],
            # The cheapest that OpenSSH and paramiko share. There is no choice, as the order of the
            # client decides, and some clients prefer one that is slow in Python.
            kex_algs=["curve25519-sha256", "curve25519-sha256@libssh.org"],
            encryption_algs=["aes128-gcm@openssh.com"],
            mac_algs=["hmac-sha2-256-etm@openssh.com"],
            compression_algs=["none"],
            signature_algs=["ssh-ed25519"],
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            agent_forwarding=False,
            line_editor=False,
            encoding=None,
        )


class Server:
    """The SSH connections with the clients of one endpoint."""

    def __init__(
        self, keys: Keys, options: asyncssh.SSHServerConnectionOptions, commands: Commands
    ) -> None:
        self._options = copy(options)
        self._options.protocol_factory = partial(
            _Login, commands, asyncssh.import_public_key(keys.client)
        )
        self._connections: WeakSet[asyncssh.SSHServerConnection] = WeakSet()

    async def serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.connect_accepted_socket(
            partial(_Connection, loop, self._options), sock
        )
        self._connections.add(connection)

    async def wait_closed(self) -> None:
        """Wait for the end of all connections, which their wire closes."""
        await asyncio.gather(*(connection.wait_closed() for connection in self._connections))


class _Connection(asyncssh.SSHServerConnection):
    async def reload_config(self) -> None:
        """Do nothing: asyncssh would make all options again for each login, in a thread."""


class _Login(asyncssh.SSHServer):
    def __init__(self, commands: Commands, key: asyncssh.SSHKey) -> None:
        self._commands = commands
        self._key = key

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key == self._key

    def session_requested(self) -> CommandSession:
        return CommandSession(self._commands)


def _load_key(file: Path) -> asyncssh.SSHKey:
    if not file.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="simulated-fleet")
        file.touch(mode=0o600)
        file.write_bytes(key.export_private_key())
        key.write_public_key(file.with_name(f"{file.name}.pub"))
    return asyncssh.read_private_key(file)


def _format_public_key(key: asyncssh.SSHKey) -> str:
    """Return the type and the key, without the comment."""
    return " ".join(key.export_public_key().decode().split()[:2])
