"""Boards over SSH: the only door to Fabric and paramiko."""

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
_SILENCE_MS = 45_000  # what was sent and is not acknowledged for so long: the cable is out
_CHUNK_BYTES = 1 << 15
# Each costs some 50 ms of CPU on both sides; hundreds at once would all run into their time limits.
_CONNECTING = BoundedSemaphore(16)


class SshLink:
    """`jump` is the way to the device where it is not direct."""

    def __init__(self, device: SshDevice, jump: SshDevice | None = None) -> None:
        self._device = device
        self._jump = jump
        self._connection: Connection | None = None

    def open(self) -> None:
        if self._connection is not None and self._connection.is_connected:
            return
        self.close()
        connection = _connection(self._device, self._jump)
        with _CONNECTING:
            _open(connection, self._device)
        self._connection = connection

    def execute(self, command: str, timeout_s: float, stdin: Path | None = None) -> CommandResult:
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
        connection, self._connection = self._connection, None
        while isinstance(connection, Connection):
            with suppress(Exception):  # of a broken connection nothing more is wanted
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
            raise Unreachable("the connection was lost in the middle of a command")
        return CommandResult(code, stdout, stderr=stderr)


def _send(channel: Channel, source: Path) -> None:
    """A command that has ended before it read all of it tells why by its exit code."""
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            try:
                channel.sendall(chunk)
            except TimeoutError:
                raise
            except OSError:
                return


def _read(channel: Channel, deadline: float) -> tuple[bytes, bytes]:
    """Both streams as they come: a command that fills one must not wait for the other to be read."""
    streams: tuple[list[bytes], list[bytes]] = ([], [])
    ready = select.poll()
    ready.register(channel.fileno(), select.POLLIN)
    while not (channel.eof_received or channel.closed):
        if (left_s := deadline - time.monotonic()) <= 0:
            raise Unreachable("no answer in time")
        ready.poll(min(left_s, 10) * 1000)
        _drain(channel, streams)
    channel.status_event.wait(max(deadline - time.monotonic(), 1))
    _drain(channel, streams)
    return b"".join(streams[0]), b"".join(streams[1])


def _drain(channel: Channel, streams: tuple[list[bytes], list[bytes]]) -> None:
    while channel.recv_ready():
        streams[0].append(channel.recv(1 << 20))
    while channel.recv_stderr_ready():
        streams[1].append(channel.recv_stderr(1 << 20))


def _connection(device: SshDevice, jump: SshDevice | None) -> Connection:
    connect_kwargs = {"key_filename": str(Path(device.key).expanduser())} if device.key else {}
    connection = Connection(
        device.host,
        user=device.user,
        port=device.port,
        config=Config(),  # reads ~/.ssh/config
        gateway=_connection(jump, None) if jump else None,
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
    """Fabric takes any key by default, on every hop of the way."""
    hop: object = connection
    while isinstance(hop, Connection):
        hop.client.set_missing_host_key_policy(RejectPolicy())
        if hop is connection and host_key is not None:
            name = hop.host if hop.port == 22 else f"[{hop.host}]:{hop.port}"
            key = _public_key(host_key)
            hop.client.get_host_keys().add(name, key.get_name(), key)
        else:
            hop.client.load_system_host_keys()
        hop = hop.gateway


def _public_key(text: str) -> PKey:
    """Raises ConfigError where it is none."""
    from base64 import b64decode

    try:
        kind, encoded = text.split()[:2]
        return PKey.from_type_string(kind, b64decode(encoded))
    except Exception as error:
        raise ConfigError(
            f"host_key {text[:40]!r}: is no public key; record it with `harness devices trust`."
        ) from error


def _open(connection: Connection, device: SshDevice) -> None:
    """Raises Unreachable: a wrong key or user does not mend itself, all else may."""
    try:
        connection.open()
    except BadHostKeyException as error:
        message = (
            f"its host key is not the one that is known (now {describe_key(error.key)}): find out why; "
            f"if it was set up anew, `harness devices trust {device.id}`"
        )
        raise Unreachable(message, passing=False) from error
    except AuthenticationException as error:
        message = f"it refuses the login ({first_line(error)}): check user and key, or what your SSH agent holds"
        raise Unreachable(message, passing=False) from error
    except SSHException as error:
        if "not found in known_hosts" in str(error):
            message = (
                f"its host key is not known: look at it with `harness devices trust {device.id}`"
            )
            raise Unreachable(message, passing=False) from error
        raise Unreachable(f"no SSH connection ({first_line(error)})") from error
    except (OSError, EOFError) as error:
        raise Unreachable(f"no SSH connection ({first_line(error)})") from error
    _tune(connection.transport)


def _tune(transport: Transport) -> None:
    """Without traffic, a link that was cut is never noticed; without a limit, after a quarter of an hour.

    A small packet that waits for the one before to be acknowledged costs each command 40 ms.
    """
    transport.set_keepalive(_KEEPALIVE_S)
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)


def describe_key(key: PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def fetch_host_key(device: SshDevice, jump: SshDevice | None = None) -> PKey:
    """The key that the device shows, before anyone logs in. Raises Unreachable."""
    connection = _connection(device, jump)
    try:
        sock = connection.open_gateway() if connection.gateway else _socket(connection)
        with Transport(sock) as transport:
            transport.start_client(timeout=_CONNECT_TIMEOUT_S)
            return transport.get_remote_server_key()
    except (SSHException, OSError, EOFError) as error:
        raise Unreachable(f"no SSH connection ({first_line(error)})") from error
    finally:
        connection.close()


def _socket(connection: Connection) -> socket.socket:
    return socket.create_connection((connection.host, connection.port), _CONNECT_TIMEOUT_S)
