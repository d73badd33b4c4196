"""Boards over SSH. Only this module imports Fabric and paramiko."""

import select
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore

from fabric import Config, Connection
from paramiko import (
    AuthenticationException,
    BadHostKeyException,
    Channel,
    PKey,
    RejectPolicy,
    SSHException,
    Transport,
)

from harness.core.device import SshDevice
from harness.core.errors import ConfigError, Unreachable, first_line
from harness.devices.link import CommandResult

_CONNECT_TIMEOUT_S = 30
_KEEPALIVE_S = 15
_SILENCE_MS = 45_000  # data unacknowledged for this long means that the link is lost
_CHUNK_BYTES = 1 << 15
# Connecting costs some 50 ms of CPU on both sides: hundreds at once would exceed their limits.
_CONNECTING = BoundedSemaphore(16)


class SshLink:
    """A link over SSH, through the host `jump` if there is one."""

    def __init__(self, device: SshDevice, jump: SshDevice | None = None) -> None:
        self._device = device
        self._jump = jump
        self._connection: Connection | None = None

    def open(self) -> None:
        """Connect unless connected. Raises Unreachable."""
        if self._connection is not None and self._connection.is_connected:
            return
        self.close()
        connection = _make_connection(self._device, self._jump)
        with _CONNECTING:
            _open(connection, self._device)
        self._connection = connection

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
        """Run a line of POSIX shell, as `Link.execute`."""
        self.open()
        connection = self._connection
        if connection is None:
            raise Unreachable("the connection was closed")
        try:
            return _execute(connection, command, deadline=time.monotonic() + timeout_s, stdin=stdin)
        except (SSHException, OSError, EOFError) as error:
            self.close()
            raise Unreachable(f"the connection was lost ({first_line(error)})") from error
        except Unreachable:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and those to its jump hosts."""
        connection, self._connection = self._connection, None
        while isinstance(connection, Connection):
            with suppress(Exception):  # closing a broken connection may fail
                connection.close()
            connection = connection.gateway


def _execute(
    connection: Connection, command: str, deadline: float, stdin: Path | None
) -> CommandResult:
    with connection.create_session() as channel:
        channel.settimeout(_SILENCE_MS / 1000)
        channel.exec_command(command)
        if stdin is not None:
            _send(channel, stdin)
        channel.shutdown_write()
        stdout, stderr = _read(channel, deadline)
        if (code := channel.recv_exit_status()) == -1:
            raise Unreachable("the connection was lost during a command")
        return CommandResult(code, stdout, stderr=stderr)


def _send(channel: Channel, source: Path) -> None:
    """Send a file; stop if the command ends before it reads all: its exit code tells why."""
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            try:
                channel.sendall(chunk)
            except TimeoutError:
                raise
            except OSError:
                return


def _read(channel: Channel, deadline: float) -> tuple[bytes, bytes]:
    """Read both streams as they come, so that a command never waits for one to be read."""
    streams: tuple[list[bytes], list[bytes]] = ([], [])
    ready = select.poll()
    ready.register(channel.fileno(), select.POLLIN)
    while not (channel.eof_received or channel.closed):
        if (remaining_s := deadline - time.monotonic()) <= 0:
            raise Unreachable("it did not answer in time")
        ready.poll(min(remaining_s, 10) * 1000)
        _drain(channel, streams)
    channel.status_event.wait(max(deadline - time.monotonic(), 1))
    _drain(channel, streams)
    return b"".join(streams[0]), b"".join(streams[1])


def _drain(channel: Channel, streams: tuple[list[bytes], list[bytes]]) -> None:
    while channel.recv_ready():
        streams[0].append(channel.recv(1 << 20))
    while channel.recv_stderr_ready():
        streams[1].append(channel.recv_stderr(1 << 20))


def _make_connection(device: SshDevice, jump: SshDevice | None) -> Connection:
    connect_kwargs = {"key_filename": str(Path(device.key).expanduser())} if device.key else {}
    connection = Connection(
        device.host,
        user=device.user,
        port=device.port,
        config=Config(),  # reads ~/.ssh/config
        gateway=_make_connection(jump, None) if jump else None,
        connect_timeout=_CONNECT_TIMEOUT_S,
        connect_kwargs={
            **connect_kwargs,
            "banner_timeout": _CONNECT_TIMEOUT_S,
            "auth_timeout": _CONNECT_TIMEOUT_S,
        },
    )
    _refuse_unknown_keys(connection, device.host_key)
    return connection


def _refuse_unknown_keys(connection: Connection, host_key: str | None) -> None:
    """Refuse unknown host keys on every hop: Fabric accepts any key by default."""
    hop: object = connection
    while isinstance(hop, Connection):
        hop.client.set_missing_host_key_policy(RejectPolicy())
        if hop is connection and host_key is not None:
            name = hop.host if hop.port == 22 else f"[{hop.host}]:{hop.port}"
            key = _parse_public_key(host_key)
            hop.client.get_host_keys().add(name, key.get_name(), key)
        else:
            hop.client.load_system_host_keys()
        hop = hop.gateway


def _parse_public_key(text: str) -> PKey:
    """Parse a line of a known_hosts file without its host. Raises ConfigError if it is invalid."""
    from base64 import b64decode

    try:
        kind, encoded = text.split()[:2]
        return PKey.from_type_string(kind, b64decode(encoded))
    except Exception as error:
        raise ConfigError(
            f"host_key {text[:40]!r} is not a public key; "
            "record the device's key with `harness devices trust`."
        ) from error


def _open(connection: Connection, device: SshDevice) -> None:
    """Connect and log in. Raises Unreachable; only a wrong key or user does not pass by itself."""
    try:
        connection.open()
    except BadHostKeyException as error:
        message = (
            f"its host key has changed (now {describe_key(error.key)}): find out why; "
            f"if the device was reinstalled, run `harness devices trust {device.id}`"
        )
        raise Unreachable(message, passing=False) from error
    except AuthenticationException as error:
        message = (
            f"it refuses the login ({first_line(error)}): "
            "check `user`, `key` and the keys of your SSH agent"
        )
        raise Unreachable(message, passing=False) from error
    except SSHException as error:
        if "not found in known_hosts" in str(error):
            message = f"its host key is unknown: verify it with `harness devices trust {device.id}`"
            raise Unreachable(message, passing=False) from error
        raise Unreachable(f"no SSH connection ({first_line(error)})") from error
    except (OSError, EOFError) as error:
        raise Unreachable(f"no SSH connection ({first_line(error)})") from error
    _tune(connection.transport)


def _tune(transport: Transport) -> None:
    """Set keepalive and time limits, so that a cut link is noticed soon.

    Turn off Nagle's algorithm: its delay of small packets costs each command 40 ms.
    """
    transport.set_keepalive(_KEEPALIVE_S)
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)


def describe_key(key: PKey) -> str:
    """Return the type and fingerprint of a key, as `ssh-keygen -l` shows them."""
    return f"{key.get_name()} {key.fingerprint}"


def fetch_host_key(device: SshDevice, jump: SshDevice | None = None) -> PKey:
    """Return the host key that the device shows, without logging in. Raises Unreachable."""
    connection = _make_connection(device, jump)
    try:
        sock = connection.open_gateway() if connection.gateway else _open_socket(connection)
        with Transport(sock) as transport:
            transport.start_client(timeout=_CONNECT_TIMEOUT_S)
            return transport.get_remote_server_key()
    except (SSHException, OSError, EOFError) as error:
        raise Unreachable(f"no SSH connection ({first_line(error)})") from error
    finally:
        connection.close()


def _open_socket(connection: Connection) -> socket.socket:
    return socket.create_connection((connection.host, connection.port), _CONNECT_TIMEOUT_S)
