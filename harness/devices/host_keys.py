"""The check of the key that an SSH host shows. What is not known is refused, as in OpenSSH."""

import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    SSHCertPublicKeyTypes,
    load_ssh_public_identity,
)

from harness.core.device import SshDevice
from harness.core.errors import Unreachable
from harness.core.ssh import CERTIFICATE_MARK, PublicKey, parse_public_key
from harness.devices.known_hosts import KnownHost, read_known_host
from harness.devices.ssh_settings import ACCEPT_NEW, SshSettings

_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")
_KRL_START = b"SSHKRL\n\0"
_KRL_TIMEOUT_S = 30
_CERTIFICATE_ERRORS = (ValueError, AssertionError, UnsupportedAlgorithm, InvalidSignature)
_CERTIFICATE_ENDING = f"{CERTIFICATE_MARK}v01@openssh.com"


def describe_key(key: PublicKey) -> str:
    """Return the type and fingerprint of a key, as `ssh-keygen -l` shows them."""
    digest = b64encode(sha256(key.blob).digest()).decode().rstrip("=")
    return f"{key.type} SHA256:{digest}"


@dataclass(frozen=True, kw_only=True)
class HostTrust:
    """Trust in the key of a host: the registry's `host_key`, or the known_hosts files.

    `remedy` tells how to record a key that was verified.
    """

    name: str
    recorded: PublicKey | None
    known_host: KnownHost
    revoked_file: Path | None
    unheeded: str
    remedy: str

    def list_algorithms(self) -> Iterator[str]:
        """Yield the algorithms to ask the host for, those of certificates before those of keys.

        Their order is OpenSSH's, not that of the lines, so that an old line does not come first.
        """
        if self.recorded is None and self.known_host.authorities:
            for algorithm in (*_KEY_TYPES, *_RSA_ALGORITHMS):
                yield f"{algorithm}{_CERTIFICATE_ENDING}"
        trusted_types = {key.type for key in self._trusted_keys()}
        yield from (key_type for key_type in _KEY_TYPES if key_type in trusted_types)
        if "ssh-rsa" in trusted_types:
            yield from _RSA_ALGORITHMS

    def check(self, key: PublicKey, certificate: PublicKey | None) -> None:
        """Check the key that the host has proven to own, and the certificate that states it.

        Raises Unreachable unless one of them is trusted.
        """
        if place := self._find_revocation(key, certificate):
            raise Unreachable(f"its host key is revoked by {place}: replace it", passing=False)
        if key in self._trusted_keys():
            return
        if certificate is not None and self.recorded is None:
            problem = _find_certificate_problem(
                certificate, name=self.name, known_host=self.known_host
            )
            if problem is None:
                return
            raise self._refuse(f"its host certificate is not trusted: {problem}")
        raise self._explain(key)

    def _trusted_keys(self) -> list[PublicKey]:
        if self.recorded is not None:
            return [self.recorded]
        return [entry.key for entry in self.known_host.trusted]

    def _find_revocation(self, key: PublicKey, certificate: PublicKey | None) -> str:
        """Return the place that revokes a key, or the file that revokes its certificate, or ""."""
        for entry in self.known_host.revoked:
            if entry.key == key:
                return entry.place
        if self.revoked_file is None:
            return ""
        host_keys = [key] if certificate is None else [key, certificate]
        if certificate is not None:
            with suppress(*_CERTIFICATE_ERRORS):  # a damaged one is refused later
                host_keys.append(_to_public_key(_load_certificate(certificate).signature_key()))
        return _search_revoked_file(self.revoked_file, host_keys)

    def _explain(self, key: PublicKey) -> Unreachable:
        if any(trusted.type == key.type for trusted in self._trusted_keys()):
            places = [
                entry.place for entry in self.known_host.trusted if entry.key.type == key.type
            ]
            origin = "" if self.recorded else f", unlike {places[0]}"
            return self._refuse(
                f"its host key has changed (now {describe_key(key)}{origin}): find out why",
                is_changed=True,
            )
        if self.known_host.authorities and self.recorded is None:
            place = self.known_host.authorities[0].place
            return self._refuse(f"its host key has no certificate of the authority in {place}")
        if self.known_host.damaged and self.recorded is None:
            return self._refuse(f"its host key in {self.known_host.damaged[0]} is damaged or cut")
        return self._refuse("its host key is unknown")

    def _refuse(self, problem: str, *, is_changed: bool = False) -> Unreachable:
        """Return the error, which names an option that makes `ssh` connect nevertheless."""
        is_unheeded = self.unheeded and not (is_changed and self.unheeded == ACCEPT_NEW)
        unheeded = f"; {self.unheeded} is not heeded here" if is_unheeded else ""
        return Unreachable(f"{problem}{unheeded}; {self.remedy}", passing=False)


def read_trust(device: SshDevice, settings: SshSettings, *, is_jump: bool) -> HostTrust:
    """Return what is trusted for a host. Raises nothing: unreadable files trust no key."""
    alias = settings.host_key_alias
    return HostTrust(
        name=alias or settings.hostname,
        recorded=parse_public_key(device.host_key) if device.host_key else None,
        known_host=read_known_host(
            settings.known_hosts,
            alias or settings.hostname,
            port=None if alias else settings.port,
        ),
        revoked_file=settings.revoked_host_keys,
        unheeded="" if device.host_key else settings.unheeded,
        remedy=_find_remedy(device, settings, is_jump=is_jump),
    )


def _find_remedy(device: SshDevice, settings: SshSettings, *, is_jump: bool) -> str:
    """Return how to record the key of a host; with an unheeded option, `ssh` may record none."""
    if not is_jump:
        return f"verify it with `harness devices trust {device.id}`"
    if settings.unheeded:
        return "record it with `harness devices trust`, as a device that `jump` names"
    return f"verify it with `ssh {settings.name}`"


def _search_revoked_file(file: Path, host_keys: Sequence[PublicKey]) -> str:
    """Return the place in a file of `RevokedHostKeys` that revokes a key that a host shows, or "".

    Raises Unreachable if the file can't be read, as OpenSSH refuses every key then.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise _unreadable(file, "correct it") from error
    if content.startswith(_KRL_START):
        return str(file) if any(_is_in_krl(file, key) for key in host_keys) else ""
    for number, line in enumerate(content.decode(errors="replace").split("\n"), 1):
        with suppress(ValueError):
            if parse_public_key(line) in host_keys:
                return f"{file}:{number}"
    return ""


def _is_in_krl(file: Path, key: PublicKey) -> bool:
    """Ask `ssh-keygen` whether a binary list revokes a key. Raises Unreachable."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise _unreadable(file, "install OpenSSH's client, whose `ssh-keygen` reads it")
    answer = subprocess.run(
        [program, "-Q", "-f", str(file.absolute()), "/dev/stdin"],
        input=f"{key}\n".encode(),
        capture_output=True,
        check=False,
        timeout=_KRL_TIMEOUT_S,
    )
    if answer.returncode not in (0, 1):
        raise _unreadable(file, "create it again with `ssh-keygen -k`")
    return answer.returncode == 1


def _unreadable(file: Path, remedy: str) -> Unreachable:
    return Unreachable(f"{file} of RevokedHostKeys can't be read: {remedy}", passing=False)


def _find_certificate_problem(
    certificate: PublicKey, name: str, known_host: KnownHost
) -> str | None:
    """Return why a host certificate is not trusted, or None if it is.

    It must be valid now, name the host and be signed by an authority that is known for the host
    (OpenSSH, PROTOCOL.certkeys). The connection has proven that the host owns its key.
    """
    try:
        content = _load_certificate(certificate)
        authority = _to_public_key(content.signature_key())
        content.verify_cert_signature()
    except _CERTIFICATE_ERRORS:
        return "its signature is wrong"
    is_known = any(entry.key == authority for entry in known_host.authorities)
    is_revoked = any(entry.key == authority for entry in known_host.revoked)
    names = content.valid_principals  # none: it is for every host
    conditions = {
        f"known_hosts does not have its authority {describe_key(authority)}": is_known,
        "its authority is revoked": not is_revoked,
        "its signature uses SHA-1": not _is_signed_with_sha1(certificate, content),
        "it is not for a host": content.type is SSHCertificateType.HOST,
        "it has conditions": not content.critical_options,
        "it is not valid now": content.valid_after <= time.time() < content.valid_before,
        f"it does not name {name}": not names or name.lower().encode() in names,
    }
    return next((problem for problem, is_met in conditions.items() if not is_met), None)


def _load_certificate(certificate: PublicKey) -> SSHCertificate:
    content = load_ssh_public_identity(str(certificate).encode())
    assert isinstance(content, SSHCertificate)
    return content


def _to_public_key(key: SSHCertPublicKeyTypes) -> PublicKey:
    text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return parse_public_key(text.decode())


def _is_signed_with_sha1(certificate: PublicKey, content: SSHCertificate) -> bool:
    """Tell whether an RSA authority signed with `ssh-rsa`, which OpenSSH no longer accepts.

    A certificate ends with the name of the algorithm and the signature, each after its length.
    """
    key = content.signature_key()
    if not isinstance(key, RSAPublicKey):
        return False
    signature_length = 4 + (key.key_size + 7) // 8
    return certificate.blob[:-signature_length].endswith(b"\0\0\0\7ssh-rsa")
