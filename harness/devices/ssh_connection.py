"""Connections to SSH hosts, over jump hosts and proxies, with every error in plain words."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fabric import Config, Connection
from paramiko import (
    AuthenticationException,
    BadAuthenticationType,
    Channel,
    ChannelException,
    IncompatiblePeer,
    Message,
    MissingHostKeyPolicy,
    PKey,
    ServiceRequestingTransport,
    SSHClient,
    SSHConfig,
    SSHException,
    Transport,
)
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST

from harness.core.device import NO_JUMP, SshDevice
from harness.core.errors import Unreachable, first_line
from harness.core.ssh import PublicKey, parse_address
from harness.devices.host_keys import HostTrust, read_trust
from harness.devices.ssh_identities import Identities, open_identities
from harness.devices.ssh_proxy import start_proxy
from harness.devices.ssh_settings import SshSettings, read_settings

# Paramiko's threads log what they also raise: without a handler, Python prints it as a traceback.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_MAX_JUMPS = 8
_LOGIN_TIMEOUT_S = 30
_MAX_GREETING_LINES = 1024  # as in OpenSSH
_KEEPALIVE_S = 15
_ALGORITHMS = {
    "no acceptable kex": ("KexAlgorithms", "ecdh-sha2-nistp256"),
    "no acceptable host key": ("HostKeyAlgorithms", "rsa-sha2-512"),
    "no acceptable ciphers": ("Ciphers", "aes256-ctr"),
    "no acceptable macs": ("MACs", "hmac-sha2-256"),
}
"""What paramiko reports → the option of the configuration, and an algorithm that paramiko has."""
SILENCE_MS = 45_000
"""Data unacknowledged for this long means that the link is lost."""


@dataclass(frozen=True)
class Hop:
    """A host to log in to: the device itself, or a jump host on the way to it."""

    device: SshDevice
    settings: SshSettings
    is_jump: bool

    @property
    def address(self) -> str:
        host, port = self.settings.hostname, self.settings.port
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plan_route(devices: Sequence[SshDevice]) -> list[Hop]:
    """Return the hops to the last device: those named, and those of the user's configuration.

    As in OpenSSH, only the first host's own jump hosts and proxy count: the others are reached
    through it. Raises Unreachable if the configuration of one can't be used.
    """
    return _plan(devices, target=devices[-1], jumps_left=_MAX_JUMPS)


def _plan(devices: Sequence[SshDevice], target: SshDevice, jumps_left: int) -> list[Hop]:
    hops: list[Hop] = []
    for device in devices:
        is_jump = device is not target
        directly = bool(hops) or device.jump == NO_JUMP
        with _naming(device, is_jump=is_jump):
            settings = read_settings(device, directly=directly)
            jumps = _parse_jumps(settings.proxy_jump)
            if len(jumps) > jumps_left:
                raise Unreachable("its jump hosts lead to each other", passing=False)
        if jumps:
            hops += _plan(jumps, target=target, jumps_left=jumps_left - len(jumps))
        hops.append(Hop(device, settings, is_jump=is_jump))
    return hops


def _parse_jumps(text: str | None) -> list[SshDevice]:
    jumps = []
    for name in (text or "").split(",") if text else ():
        try:
            address = parse_address(name)
        except ValueError as error:
            raise Unreachable(f"its ProxyJump can't be read: {error}", passing=False) from error
        jumps.append(SshDevice(id=name, **vars(address)))
    return jumps


@contextmanager
def _naming(device: SshDevice, *, is_jump: bool) -> Iterator[None]:
    """Name the jump host that an error is about; the caller names the device."""
    try:
        yield
    except Unreachable as error:
        if not is_jump:
            raise
        raise Unreachable(f"jump host {device.id}: {error}", passing=error.passing) from error


@contextmanager
def _translating(hop: Hop) -> Iterator[None]:
    """Translate what anything raises while a connection is opened. Raises Unreachable."""
    with _naming(hop.device, is_jump=hop.is_jump):
        start = f"no SSH connection to {hop.address}"
        try:
            yield
        except Unreachable:
            raise
        except IncompatiblePeer as error:
            message = f"{start} ({first_line(error)}): {_find_algorithm_remedy(error)}"
            raise Unreachable(message, passing=False) from error
        except (SSHException, OSError, EOFError) as error:
            message = f"{start} ({_describe(error)}): check that it is on and try again"
            raise Unreachable(message) from error
        except Exception as error:
            message = f"{start} ({type(error).__name__}: {first_line(error)}): correct its entry"
            raise Unreachable(message, passing=False) from error


def _describe(error: Exception) -> str:
    """Return an error's reason without the number that Python puts before it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return first_line(error)


def _find_algorithm_remedy(error: IncompatiblePeer) -> str:
    """Return what to do about a host with which paramiko shares no algorithm of some kind.

    Paramiko has none with SHA-1, even where the user's configuration allows them to `ssh`.
    """
    for problem, (option, algorithm) in _ALGORITHMS.items():
        if problem in str(error):
            return f"enable {algorithm} there, as the {option} of ~/.ssh/config are not used here"
    return "update its SSH server"


def open_route(hops: Sequence[Hop], resources: ExitStack) -> Connection:
    """Log in to each hop through the one before it, and return the connection to the last.

    `resources` closes everything that was opened. Raises Unreachable, which names the jump host
    that failed, and whether the failure may pass.
    """
    connection = None
    for hop in hops:
        with _socket_to(hop, through=connection, resources=resources) as sock:
            connection = _log_in(hop, sock, resources=resources)
    assert connection is not None
    return connection


def fetch_host_key(devices: Sequence[SshDevice]) -> PublicKey:
    """Return the host key that the last device shows, without logging in to it.

    Raises Unreachable.
    """
    device = devices[-1]
    try:
        *jumps, target = plan_route(devices)
        with ExitStack() as resources:
            through = open_route(jumps, resources) if jumps else None
            with _socket_to(target, through=through, resources=resources) as sock:
                transport = _Transport(sock)
                resources.callback(transport.close)
                transport.start_client(timeout=_LOGIN_TIMEOUT_S)
                key = transport.get_remote_server_key()
                return PublicKey(key.get_name(), key.asbytes())
    except Unreachable as error:
        raise Unreachable(f"device {device.id}: {error}.", passing=error.passing) from error


@contextmanager
def _socket_to(
    hop: Hop, through: Connection | None, resources: ExitStack
) -> Iterator[socket.socket | Channel]:
    """Yield a connected socket, and translate errors of connecting and of using it."""
    with _translating(hop):
        if through is not None:
            yield _open_channel(hop, through)
        elif hop.settings.proxy_command is None:
            sock = _connect(hop.settings)
            resources.callback(sock.close)
            yield sock
        else:
            proxy = start_proxy(hop.settings.proxy_command, resources)
            try:
                yield proxy.sock
            except (SSHException, OSError, EOFError) as error:
                if ending := proxy.describe_ending():
                    raise Unreachable(f"its ProxyCommand {ending}") from error
                raise


def _open_channel(hop: Hop, through: Connection) -> Channel:
    try:
        return through.transport.open_channel(
            "direct-tcpip",
            (hop.settings.hostname, hop.settings.port),
            ("", 0),
            timeout=hop.settings.connect_timeout_s,
        )
    except ChannelException as error:
        message = f"{through.host} can't connect to {hop.address} ({error.text})"
        is_forbidden = error.code == 1  # administratively prohibited (RFC 4254, 5.1)
        remedy = "set AllowTcpForwarding there" if is_forbidden else "check that it is on"
        raise Unreachable(f"{message}: {remedy}", passing=not is_forbidden) from error


def _connect(settings: SshSettings) -> socket.socket:
    addresses = socket.getaddrinfo(
        settings.hostname, settings.port, family=settings.family, type=socket.SOCK_STREAM
    )
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(settings.connect_timeout_s)
            if settings.bind_address is not None:
                sock.bind((settings.bind_address, 0))
            sock.connect(address)
        except OSError:
            sock.close()
            if index == len(addresses) - 1:
                raise
        else:
            return sock
    raise OSError("the name has no address")


def _log_in(hop: Hop, sock: socket.socket | Channel, resources: ExitStack) -> Connection:
    settings = hop.settings
    trust = read_trust(hop.device, settings, is_jump=hop.is_jump)
    connection = Connection(
        settings.hostname,
        user=settings.user,
        port=settings.port,
        config=Config(ssh_config=SSHConfig(), lazy=True),  # `settings` have all of it
        gateway=False,
        connect_timeout=_LOGIN_TIMEOUT_S,
        connect_kwargs={
            "sock": sock,
            "transport_factory": partial(_make_transport, trust=trust),
            "auth_strategy": _KeyLogin(hop),
            "banner_timeout": _LOGIN_TIMEOUT_S,
            "auth_timeout": _LOGIN_TIMEOUT_S,
        },
    )
    connection.host = settings.hostname  # Fabric would replace tokens in it
    connection.client.set_missing_host_key_policy(_HostKeyCheck(trust))
    resources.callback(connection.client.close)
    connection.open()
    _tune(connection.transport)
    return connection


class _AuthHandler(AuthOnlyHandler):  # type: ignore[misc] # untyped
    """paramiko's requests to log in, without the race that misses an answer which comes at once."""

    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[Message], None] | None = None
    ) -> list[str]:
        """Return the methods that the host wants besides. Raises AuthenticationException."""
        self.auth_event = answered = threading.Event()
        self.auth_method, self.username = method, username
        message = Message()
        message.add_byte(cMSG_USERAUTH_REQUEST)
        for text in (username, "ssh-connection", method):
            message.add_string(text)
        if finish_message is not None:
            finish_message(message)
        self.transport._send_message(message)
        methods: list[str] = self.wait_for_response(answered)
        return methods


class _Transport(ServiceRequestingTransport):  # type: ignore[misc] # untyped
    """A transport that asks once for logins, as some hosts refuse a second request for that.

    It also keeps the host's reason for hanging up, which paramiko only logs.
    """

    hang_up_reason = ""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._accepted = threading.Event()
        super().__init__(*arguments, **options)

    def _check_banner(self) -> None:
        """Read the host's version, after as much other text in any encoding as `ssh` skips."""
        read_line = self.packetizer.readline
        deadline = time.monotonic() + _LOGIN_TIMEOUT_S
        self.packetizer.readline = lambda _timeout: _skip_greeting(read_line, deadline)
        super()._check_banner()

    def _parse_disconnect(self, message: Message) -> None:
        message.get_int()
        self.hang_up_reason = message.get_text()

    def ensure_session(self) -> None:
        """Ask for logins. Raises AuthenticationException; paramiko's own may wait for ever."""
        if self._service_userauth_accepted:
            return
        self.auth_handler = _AuthHandler(self)
        message = Message()
        message.add_byte(cMSG_SERVICE_REQUEST)
        message.add_string("ssh-userauth")
        self._send_message(message)
        deadline = time.monotonic() + _LOGIN_TIMEOUT_S
        while not self._accepted.wait(0.1):
            if not self.is_active() or time.monotonic() > deadline:
                raise AuthenticationException("timeout")

    def _parse_service_accept(self, message: Message) -> None:
        super()._parse_service_accept(message)
        self._accepted.set()


def _skip_greeting(read_line: Callable[[float], str], deadline: float) -> str:
    """Return the first line that states a version of SSH. Raises SSHException."""
    for _ in range(_MAX_GREETING_LINES):
        with suppress(UnicodeDecodeError):
            line = read_line(max(deadline - time.monotonic(), 0))
            if line.startswith("SSH-"):
                return line
    raise SSHException("it sends other text than an SSH server")


def _make_transport(sock: socket.socket | Channel, trust: HostTrust, **options: Any) -> Transport:
    """Return a transport that asks first for those kinds of host keys that are known."""
    transport = _Transport(sock, **options)
    security = transport.get_security_options()
    supported = transport._key_info  # SecurityOptions lists no certificates
    preferred = [name for name in trust.list_algorithms() if name in supported]
    security.key_types = list(dict.fromkeys([*preferred, *security.key_types]))
    return transport


class _HostKeyCheck(MissingHostKeyPolicy):  # type: ignore[misc] # untyped
    """The check of a host key: paramiko is given none, so that it asks here about each."""

    def __init__(self, trust: HostTrust) -> None:
        self._trust = trust

    def missing_host_key(self, _client: SSHClient, _hostname: str, key: PKey) -> None:
        blob = key.public_blob
        self._trust.check(
            PublicKey(key.get_name(), key.asbytes()),
            certificate=None if blob is None else PublicKey(blob.key_type, blob.key_blob),
        )


class _KeyLogin:
    """The login with keys, in the place of one of paramiko's own strategies."""

    def __init__(self, hop: Hop) -> None:
        self._settings = hop.settings
        self._user = hop.settings.user
        self._device_key = Path(hop.device.key).expanduser() if hop.device.key else None

    def authenticate(self, transport: _Transport) -> None:
        """Log in without a key if the host allows that, as `ssh` does, or with the first that fits.

        Raises Unreachable if the host refuses all of them.
        """
        try:
            if not transport.auth_none(self._user):
                return
        except BadAuthenticationType as error:
            methods = ", ".join(error.allowed_types)
            if "publickey" not in error.allowed_types:
                raise self._refuse(f"it accepts only {methods}") from error
        except AuthenticationException as error:
            self._check_hang_up(transport, error, refused=0)
        with open_identities(self._settings, self._device_key) as identities:
            self._offer(transport, identities)

    def _offer(self, transport: _Transport, identities: Identities) -> None:
        """Offer the keys until the host is content; it may want several, in an order of its own."""
        problems = list(identities.problems)
        keys = list(identities.keys)
        count = accepted = 0
        while count < len(keys):
            key = keys[count]
            count += 1
            try:
                further_methods = transport.auth_publickey(self._user, key)
            except AuthenticationException as error:
                self._check_hang_up(transport, error, refused=count)
            except Exception as error:
                if not transport.is_active():
                    raise
                problems.append(f"the {key.public.type} key can't sign: {first_line(error)}")
            else:
                if not further_methods:
                    return
                if "publickey" not in further_methods:
                    raise self._refuse(f"it wants {' or '.join(further_methods)} besides a key")
                keys.remove(key)
                accepted, count = accepted + 1, 0
        raise self._refuse("; ".join([_describe_refusal(len(keys), accepted), *problems[:2]]))

    def _check_hang_up(
        self, transport: _Transport, error: AuthenticationException, refused: int
    ) -> None:
        """Raise Unreachable if the connection has ended, or the host does not answer in time."""
        if transport.is_active() and "timeout" not in str(error):
            return
        if transport.hang_up_reason:
            raise self._refuse(transport.hang_up_reason) from error
        if refused:
            raise self._refuse(f"it hung up after {refused} keys") from error
        raise Unreachable(f"it does not answer the login ({first_line(error)})") from error

    def _refuse(self, reason: str) -> Unreachable:
        return Unreachable(
            f"it refuses the login of {self._user} ({reason}): "
            "check `user`, `key` and the keys of your SSH agent",
            passing=False,
        )


def _describe_refusal(refused: int, accepted: int) -> str:
    if accepted:
        return f"it accepted {accepted} of the keys, but wants another one"
    if not refused:
        return "no key was offered"
    return f"it refused {refused} keys" if refused > 1 else "it refused the key"


def _tune(transport: Transport) -> None:
    """Set keepalive and time limits, so that a cut link is noticed soon.

    Turn off Nagle's algorithm: its delay of small packets costs each command 40 ms.
    """
    transport.set_keepalive(_KEEPALIVE_S)
    if isinstance(transport.sock, socket.socket) and transport.sock.family != socket.AF_UNIX:
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
