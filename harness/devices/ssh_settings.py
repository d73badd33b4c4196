"""The settings of an SSH host, with the meaning that `ssh` gives to the user's configuration.

`ssh -G` reports them where there is an `ssh` program; elsewhere, paramiko reads the file.
"""

import getpass
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.device import NO_JUMP, SshDevice
from harness.core.errors import Unreachable, first_line

_ANSWER_TIMEOUT_S = 30
_CONNECT_TIMEOUT_S = 30.0
_MAX_CONFIG_BYTES = 1_000_000
_DEFAULT_IDENTITIES = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
_USER_KNOWN_HOSTS = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_TOKEN = re.compile(r"%(.)|\$\{(\w+)\}")
_WITHOUT_COMMENT = re.compile(r'(?:"[^"]*"|\s(?!#)|\S)*')
_PKCS11 = "PKCS11Provider is not heeded here: add its keys with `ssh-add -s`"
_OFF = ("no", "false", "off")  # as people and `ssh -G` write it
_CRITERIA_WITHOUT_VALUE = frozenset(("all", "canonical", "final"))
_MATCH_CRITERIA = _CRITERIA_WITHOUT_VALUE | {"host", "originalhost", "user", "localuser", "exec"}
ACCEPT_NEW = "StrictHostKeyChecking accept-new"
"""The option that makes `ssh` trust unknown host keys, but none that have changed."""

SshOptions = Mapping[str, Sequence[str]]
"""Keyword in lower case → its values, as `ssh -G` prints them."""

Expander = Callable[[str], str]
"""A function that replaces the tokens of a value."""


@dataclass(frozen=True, kw_only=True)
class SshSettings:
    """The way to a host, the user and keys to log in with, and the files with host keys.

    `unheeded` is an option that makes `ssh` trust host keys which are refused here, or "".
    `missing_keys` says where `ssh` would find more keys to log in with, or is "".
    """

    name: str
    hostname: str
    port: int
    user: str
    host_key_alias: str | None
    known_hosts: tuple[Path, ...]
    revoked_host_keys: Path | None
    unheeded: str
    missing_keys: str
    identities: tuple[Path, ...]
    certificates: tuple[Path, ...]
    identities_only: bool
    agent: Path | None
    proxy_command: str | None
    proxy_jump: str | None
    connect_timeout_s: float
    family: socket.AddressFamily
    bind_address: str | None


def read_settings(device: SshDevice, *, directly: bool) -> SshSettings:
    """Return the settings for a host; with `directly`, without a proxy or a jump host.

    Raises Unreachable if the configuration can't be read; trying again does not help then.
    """
    program = shutil.which("ssh")
    try:
        if program is not None and _find_ssh_home() is not None:
            options = _ask_ssh(program, device, directly=directly)
        else:
            options = _read_file(Path.home() / ".ssh" / "config", device)
        return _interpret(options, device, directly=directly)
    except Unreachable:
        raise
    except Exception as error:  # paramiko's reader raises whatever the text leads to
        raise _unreadable(f"{type(error).__name__}: {first_line(error)}") from error


def _unreadable(reason: str) -> Unreachable:
    return Unreachable(f"its SSH configuration can't be used ({reason}): correct it", passing=False)


def _ask_ssh(program: str, device: SshDevice, *, directly: bool) -> SshOptions:
    command = [program, "-T", "-G", *_config_arguments()]
    if directly:
        command += ["-o", "ProxyJump=none"]
    if device.port is not None:
        command += ["-p", str(device.port)]
    if device.user is not None:
        command += ["-l", device.user]
    try:
        answer = subprocess.run(
            [*command, "--", device.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_ANSWER_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreadable(f"`ssh -G` takes more than {_ANSWER_TIMEOUT_S} s") from error
    if answer.returncode != 0:
        raise _unreadable(_last_line(answer.stderr) or f"exit code {answer.returncode}")
    options: dict[str, list[str]] = {}
    for line in os.fsdecode(answer.stdout).split("\n"):
        keyword, _, value = line.partition(" ")
        options.setdefault(keyword.lower(), []).append(value)
    return options


def _config_arguments() -> list[str]:
    """Return the arguments that make `ssh` read ~/.ssh/config where HOME is not the user's own."""
    if Path.home() == _find_ssh_home():
        return []
    config = Path.home() / ".ssh" / "config"
    return ["-F", str(config) if config.is_file() else os.devnull]


def _find_ssh_home() -> Path | None:
    """Return the home folder that `ssh` uses, whatever HOME says.

    Return None for a user without an entry in the password database: `ssh` refuses to run then.
    """
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _last_line(output: bytes) -> str:
    """Return the last line that says something: the one before `terminating, 1 bad …`."""
    lines = [
        line.strip().rstrip(".")
        for line in output.decode(errors="replace").splitlines()
        if line.strip() and "terminating" not in line and "Pseudo-terminal" not in line
    ]
    return lines[-1] if lines else ""


def _read_file(path: Path, device: SshDevice) -> SshOptions:
    """Return the options that paramiko finds in the user's configuration.

    Raises Unreachable for what paramiko does not know.
    """
    from paramiko import SSHConfig

    if not path.is_file():
        return {}
    with path.open("rb") as file:
        text = os.fsdecode(file.read(_MAX_CONFIG_BYTES))
    for number, line in enumerate(text.splitlines(), 1):
        if word := _find_unsupported(line):
            raise Unreachable(
                f"{path}:{number}: {word} needs the ssh program: install OpenSSH's client",
                passing=False,
            )
    text = "\n".join(map(_strip_comment, text.splitlines()))
    found_values = SSHConfig.from_text(text).lookup(device.host)
    return {
        keyword: value if isinstance(value, list) else [value]
        for keyword, value in found_values.items()
        if value is not None
    }


def _strip_comment(line: str) -> str:
    """Remove a comment after a value. The values of commands extend to the end of their line."""
    keyword = re.split(r"[\s=]+", line.strip(), maxsplit=1)[0].lower()
    match = _WITHOUT_COMMENT.match(line)
    return line if match is None or keyword.endswith("command") else match[0]


def _find_unsupported(line: str) -> str:
    """Return the word of a line of ssh_config(5) that paramiko would ignore or misread, or ""."""
    keyword, *words = re.split(r"[\s=]+", line.strip(), maxsplit=1)
    if keyword.lower() == "include":
        return "Include"
    criteria = shlex.split(words[0]) if keyword.lower() == "match" and words else []
    while criteria:
        criterion = criteria.pop(0)
        name = criterion.removeprefix("!").lower()
        if name not in _MATCH_CRITERIA:
            return f"Match {criterion}"
        if name not in _CRITERIA_WITHOUT_VALUE:
            criteria = criteria[1:]
    return ""


def _interpret(options: SshOptions, device: SshDevice, *, directly: bool) -> SshSettings:
    _check_supported(options)
    hostname = _first(options, "hostname") or device.host
    port = device.port or int(_first(options, "port") or 22)
    user = device.user or _first(options, "user") or getpass.getuser()
    alias = _first(options, "hostkeyalias")
    jump = None if directly else _first(options, "proxyjump")
    expand = _make_expander(
        {
            "h": hostname,
            "j": jump or "",
            "k": alias or device.host,
            "n": device.host,
            "p": str(port),
            "r": user,
        }
    )
    revoked = _first(options, "revokedhostkeys")
    timeout = _first(options, "connecttimeout") or ""
    family = _first(options, "addressfamily") or ""
    return SshSettings(
        name=device.host,
        hostname=hostname,
        port=port,
        user=user,
        host_key_alias=alias,
        known_hosts=_find_known_hosts(options, expand),
        revoked_host_keys=_to_path(revoked, expand) if revoked else None,
        unheeded=_find_unheeded(options, hostname),
        missing_keys="" if _first(options, "pkcs11provider") is None else _PKCS11,
        identities=_to_paths(options.get("identityfile", _DEFAULT_IDENTITIES), expand),
        certificates=_to_paths(options.get("certificatefile", ()), expand),
        identities_only=_first(options, "identitiesonly") == "yes",
        agent=_find_agent(options, expand),
        proxy_command=None if directly else _find_proxy_command(options, expand),
        proxy_jump=None if jump is None else expand(jump),
        connect_timeout_s=float(timeout if timeout.isdigit() else 0) or _CONNECT_TIMEOUT_S,
        family=_FAMILIES.get(family, socket.AF_UNSPEC),
        bind_address=_first(options, "bindaddress"),
    )


def _check_supported(options: SshOptions) -> None:
    """Raise Unreachable for an option that would lead `ssh` elsewhere, or to another login."""
    methods = _first(options, "preferredauthentications")
    if _first(options, "pubkeyauthentication") in _OFF:
        raise _unreadable("PubkeyAuthentication is off, but only keys log in here")
    if methods is not None and "publickey" not in methods.split(","):
        raise _unreadable("PreferredAuthentications lacks publickey, but only keys log in here")
    if _first(options, "bindinterface") is not None:
        raise _unreadable("BindInterface is not supported, but BindAddress is")


def _find_known_hosts(options: SshOptions, expand: Expander) -> tuple[Path, ...]:
    user_files = _first_or(options, "userknownhostsfile", default=_USER_KNOWN_HOSTS)
    if user_files == _USER_KNOWN_HOSTS.replace("~", str(_find_ssh_home())):
        user_files = _USER_KNOWN_HOSTS  # of HOME
    global_files = _first_or(options, "globalknownhostsfile", default=_GLOBAL_KNOWN_HOSTS)
    return (*_split_files(user_files, expand), *_split_files(global_files, expand))


def _find_unheeded(options: SshOptions, hostname: str) -> str:
    """Return the option that makes `ssh` trust a host key that no file has, or an empty text."""
    strictness = _first(options, "stricthostkeychecking")
    if strictness in (*_OFF, "accept-new"):
        return "StrictHostKeyChecking no" if strictness in _OFF else ACCEPT_NEW
    if _first(options, "knownhostscommand") is not None:
        return "KnownHostsCommand"
    is_local = hostname in ("localhost", "::1") or hostname.startswith("127.")
    if is_local and _first(options, "nohostauthenticationforlocalhost") in ("yes", "true"):
        return "NoHostAuthenticationForLocalhost"
    if _first(options, "verifyhostkeydns") in ("yes", "true"):
        return "VerifyHostKeyDNS"
    return ""


def _find_proxy_command(options: SshOptions, expand: Expander) -> str | None:
    command = _first(options, "proxycommand")
    if command is not None and _first(options, "proxyusefdpass") == "yes":
        raise _unreadable("ProxyUseFdpass is not supported")
    return None if command is None else expand(command)


def _first(options: SshOptions, keyword: str) -> str | None:
    """Return the value of a keyword; None if it is absent or `none`."""
    value = next(iter(options.get(keyword, ())), None)
    return None if value is None or value.lower() == NO_JUMP else value


def _first_or(options: SshOptions, keyword: str, default: str) -> str:
    return next(iter(options.get(keyword, ())), default)


def _make_expander(tokens: Mapping[str, str]) -> Expander:
    """Return a function that replaces the tokens and variables of ssh_config(5) in a value."""
    local_name = socket.gethostname()
    values = {
        "%": "%",
        "d": str(Path.home()),
        "i": str(os.getuid()),
        "l": local_name,
        "L": local_name.partition(".")[0],
        "u": getpass.getuser(),
        **tokens,
    }

    def replace(match: re.Match[str]) -> str:
        if match[1] is not None:
            if match[1] not in values:
                raise _unreadable(f"the token {match[0]} is not supported")
            return values[match[1]]
        if match[2] not in os.environ:
            raise _unreadable(f"the environment has no {match[2]}")
        return os.environ[match[2]]

    return lambda text: _TOKEN.sub(replace, text)


def _to_paths(values: Sequence[str], expand: Expander) -> tuple[Path, ...]:
    names = [value for value in values if value.lower() != NO_JUMP]
    return tuple(dict.fromkeys(_to_path(name, expand) for name in names))


def _to_path(name: str, expand: Expander) -> Path:
    return Path(expand(name)).expanduser()


def _split_files(value: str, expand: Expander) -> list[Path]:
    """Return the files of a list. `ssh -G` quotes none, so the longest names that exist count."""
    words = value.split(" ")
    files = []
    while words:
        names = [" ".join(words[:length]) for length in range(len(words), 0, -1)]
        paths = [_to_path(name, expand) for name in names]
        index = next((i for i, path in enumerate(paths) if path.is_file()), len(names) - 1)
        if names[index] and names[index].lower() != NO_JUMP:
            files.append(paths[index])
        words = words[len(words) - index :]
    return files


def _find_agent(options: SshOptions, expand: Expander) -> Path | None:
    """Return the socket of the agent: `IdentityAgent`, or the variable SSH_AUTH_SOCK."""
    name = _first_or(options, "identityagent", default="SSH_AUTH_SOCK")
    if name.lower() == NO_JUMP:
        return None
    if name == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", name):
        name = os.environ.get(name.lstrip("$"), "")
    return _to_path(name, expand) if name else None
