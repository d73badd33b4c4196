"""The keys to offer to an SSH host, in the order in which `ssh` offers them.

The order: certificates, configured keys that the agent holds, the agent's other keys unless
`IdentitiesOnly` is set, configured keys that only a file holds.
"""

import socket
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
)
from paramiko import ECDSAKey, Ed25519Key, Message, PKey, RSAKey
from paramiko.agent import AgentSSH
from paramiko.pkey import PublicBlob

from harness.core.errors import first_line
from harness.core.ssh import CERTIFICATE_MARK, PublicKey, parse_public_key
from harness.devices.ssh_settings import SshSettings

_AGENT_TIMEOUT_S = 60  # its user may have to confirm the use of a key
_MAX_KEY_BYTES = 100_000
_OPENSSH_MAGIC = b"openssh-key-v1\x00"


@dataclass(frozen=True, eq=False)
class OfferedKey:
    """A key or certificate to log in with, in the form in which paramiko uses keys."""

    public: PublicKey
    signer: PKey

    @property
    def public_blob(self) -> PublicBlob:
        return PublicBlob(self.public.type, self.public.blob)

    def sign_ssh_data(self, data: bytes, algorithm: str) -> bytes | Message:
        """Return the signature. Raises whatever an agent, a card or a damaged key leads to."""
        return self.signer.sign_ssh_data(data, algorithm)


@dataclass(frozen=True)
class Identities:
    """The keys to offer, and in words which configured keys can't be used."""

    keys: tuple[OfferedKey, ...]
    problems: tuple[str, ...]


class _Agent(AgentSSH):  # type: ignore[misc] # untyped
    """The agent that listens at a socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_AGENT_TIMEOUT_S)
        try:
            connection.connect(str(path))
            self._connect(connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        self._close()


@contextmanager
def open_identities(settings: SshSettings, device_key: Path | None) -> Iterator[Identities]:
    """Yield the keys to offer; those of the agent work until the end of the context.

    `device_key` is the file that the device's entry names, whose key comes first.
    """
    agent, problems = None, [settings.missing_keys] if settings.missing_keys else []
    if settings.agent is not None:
        try:
            agent = _Agent(settings.agent)
        except Exception as error:  # noqa: BLE001 (an agent may answer anything)
            problems.append(f"the SSH agent does not answer ({first_line(error)})")
    try:
        keys = agent.get_keys() if agent is not None else ()
        agent_keys = [OfferedKey(PublicKey(key.name, key.blob), key) for key in keys]
        yield _collect(settings, device_key, agent_keys=agent_keys, problems=problems)
    finally:
        if agent is not None:
            agent.close()


def _collect(
    settings: SshSettings,
    device_key: Path | None,
    agent_keys: Sequence[OfferedKey],
    problems: Sequence[str],
) -> Identities:
    device_paths = [] if device_key is None else [device_key]
    paths = list(dict.fromkeys([*device_paths, *settings.identities]))
    loaded, new_problems = _load_identities(paths, agent_keys)
    certificate_files = [*settings.certificates, *(Path(f"{path}-cert.pub") for path in paths)]
    certified = _certify(certificate_files, (*loaded.values(), *agent_keys))
    device_signers = [loaded[path].signer for path in device_paths if path in loaded]
    ordered = [
        *(offer for offer in certified if offer.signer in device_signers),
        *(loaded[path] for path in device_paths if path in loaded),
        *certified,
        *(offer for offer in loaded.values() if offer in agent_keys),
        *([] if settings.identities_only else agent_keys),
        *loaded.values(),
    ]
    once: dict[PublicKey, OfferedKey] = {}
    for offer in ordered:
        once.setdefault(offer.public, offer)
    return Identities(tuple(once.values()), problems=(*problems, *new_problems))


def _load_identities(
    paths: Sequence[Path], agent_keys: Sequence[OfferedKey]
) -> tuple[dict[Path, OfferedKey], list[str]]:
    """Return the key of each file that has one, and what is wrong with the others."""
    by_public = {offer.public: offer for offer in agent_keys}
    loaded, problems = {}, []
    for path in paths:
        try:
            public = _read_public(path)
            offer = by_public.get(public) if public is not None else None
            loaded[path] = offer or _load_private(path)
        except FileNotFoundError:
            if not _is_default(path):
                problems.append(f"{path} does not exist")
        except Exception as error:  # noqa: BLE001 (cryptography raises many types)
            problems.append(f"{path} {_describe_problem(path, error)}")
    return loaded, problems


def _is_default(path: Path) -> bool:
    return path.parent == Path.home() / ".ssh" and path.name.startswith("id_")


def _describe_problem(path: Path, error: Exception) -> str:
    if isinstance(error, TypeError):  # cryptography's type for a key that needs a password
        return f"has a passphrase: run `ssh-add {path}`"
    if _parse_public(path) is not None:
        return "is a public key, which the SSH agent does not hold"
    return f"can't be read ({first_line(error)})"


def _read_public(path: Path) -> PublicKey | None:
    """Return the public key of an identity, from the file itself or the `.pub` file beside it."""
    return _parse_public(path) or _parse_public(Path(f"{path}.pub")) or _read_header(path)


def _parse_public(path: Path) -> PublicKey | None:
    try:
        return parse_public_key(_read(path).decode(errors="replace"))
    except (OSError, ValueError):
        return None


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("it is not a file")
    with path.open("rb") as file:
        return file.read(_MAX_KEY_BYTES)


def _read_header(path: Path) -> PublicKey | None:
    """Return the public key that stands, unencrypted, in a private key of OpenSSH's format."""
    try:
        body = b"".join(line for line in _read(path).split() if b"-" not in line)
        content = b64decode(body)
        if not content.startswith(_OPENSSH_MAGIC):
            return None
        message = Message(content[len(_OPENSSH_MAGIC) :])
        for _cipher_function_and_options in range(3):
            message.get_binary()
        message.get_int()
        blob = message.get_binary()
        return PublicKey(Message(blob).get_text(), blob)
    except Exception:  # noqa: BLE001 (any other format has no such header)
        return None


def _load_private(path: Path) -> OfferedKey:
    """Load a private key of any format that OpenSSH reads.

    Raises TypeError if it has a passphrase, and other errors for other problems.
    """
    data = _read(path)
    try:
        key: Any = load_ssh_private_key(data, password=None)
    except ValueError:
        key = load_pem_private_key(data, password=None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = parse_public_key(
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    )
    key_class = {"ssh-rsa": RSAKey, "ssh-ed25519": Ed25519Key}.get(public.type, ECDSAKey)
    return OfferedKey(public, key_class.from_private_key(StringIO(text)))


def _certify(paths: Sequence[Path], offers: Sequence[OfferedKey]) -> list[OfferedKey]:
    """Return the certificates whose key is among those offered."""
    signers = {offer.public: offer.signer for offer in reversed(offers)}
    certified = []
    for path in dict.fromkeys(paths):
        certificate = _parse_public(path)
        if certificate is None or CERTIFICATE_MARK not in certificate.type:
            continue
        with suppress(ValueError, UnsupportedAlgorithm):
            key = load_ssh_public_identity(str(certificate).encode())
            assert isinstance(key, SSHCertificate)
            public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
            if (signer := signers.get(parse_public_key(public.decode()))) is not None:
                certified.append(OfferedKey(certificate, signer))
    return certified
