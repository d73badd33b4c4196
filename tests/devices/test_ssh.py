"""SSH as OpenSSH does it: each configuration is also tried with the `ssh` program itself."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.device import SshDevice, hops_of
from harness.core.errors import Unreachable
from harness.devices.ssh import SshLink
from tests.sshd import Sshd, make_key
from tests.waiting import wait_until

_SETTINGS = """
HostKey {folder}/host_rsa
HostCertificate {folder}/host_key-cert.pub
TrustedUserCAKeys {folder}/authority.pub
MaxAuthTries 4
"""


def keygen(*arguments: str | Path) -> str:
    ended = subprocess.run(
        ["ssh-keygen", *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return ended.stdout


def public_key(path: Path) -> str:
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Return an sshd with two host keys, a host certificate and an authority for users."""
    folder = tmp_path_factory.mktemp("board")
    make_key(folder / "host_key")
    make_key(folder / "host_rsa", kind="rsa")
    make_key(folder / "old_rsa", kind="rsa")
    make_key(folder / "authority")
    sign: list[str | Path] = ["-q", "-s", folder / "authority"]
    keygen(*sign, "-I", "host", "-h", "-n", "board.lab", folder / "host_key.pub")
    server = Sshd.start(folder, _SETTINGS)
    make_key(folder / "certified")
    keygen(*sign, "-I", "user", "-n", str(server.device().user), folder / "certified.pub")
    yield server
    server.stop()


class Home:
    """A home folder with ~/.ssh, to which the environment of a test points."""

    def __init__(self, folder: Path, board: Sshd) -> None:
        self.ssh = folder / ".ssh"
        self.ssh.mkdir(mode=0o700)
        self.board = board
        self.trust(f"[127.0.0.1]:{board.port} {board.host_key}\n")
        self.configure("")

    def trust(self, text: str | bytes) -> None:
        content = text.encode() if isinstance(text, str) else text
        (self.ssh / "known_hosts").write_bytes(content)

    def configure(self, text: str, *, defaults: bool = True) -> None:
        """Write the configuration: `text`, and how to reach the board where `text` does not say."""
        board = self.board.device()
        common = (
            f"Host pi4 jump\n  HostName 127.0.0.1\n  Port {board.port}\n  User {board.user}\n"
            f"  IdentityFile {board.key}\n"
            f"Host *\n  UserKnownHostsFile {self.ssh}/known_hosts\n"
        )
        lines = "\n".join(line.strip() for line in text.splitlines())
        (self.ssh / "config").write_bytes(
            f"{lines}\n{common if defaults else ''}".encode(errors="surrogateescape")
        )

    def connects_with_openssh(self, host: str = "pi4") -> bool:
        command = ["ssh", "-F", str(self.ssh / "config"), "-o", "BatchMode=yes", host, "true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def home(tmp_path: Path, board: Sshd, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Home(tmp_path, board)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a real agent without keys."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    wait_until(path.exists, "the agent listens")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield
    process.terminate()
    process.wait()


def add_to_agent(*keys: Path) -> None:
    subprocess.run(["ssh-add", "-q", *keys], check=True, capture_output=True)


def connect(device: SshDevice | None = None, *others: SshDevice) -> str:
    """Return what the device prints, over a new connection."""
    device = device or SshDevice(id="pi4", host="pi4")
    link = SshLink(hops_of(device, {other.id: other for other in (device, *others)}))
    with closing(link):
        return link.execute("echo hello", 30).stdout.decode().strip()


def fail_to_connect(device: SshDevice | None = None, *others: SshDevice) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        connect(device, *others)
    return caught.value


RELAY = """
import os, select, socket, sys
wire = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    for source in select.select([0, wire], [], [])[0]:
        data = os.read(0, 65536) if source == 0 else wire.recv(65536)
        if not data:
            sys.exit()
        wire.sendall(data) if source == 0 else os.write(1, data)
"""

CONFIGURATIONS = {
    "nothing special": "",
    "Include of a folder": "Include {ssh}/config.d/*",
    "Include in a Host block": "Host pi4\nInclude {ssh}/config.d/*",
    "Match": "Match host pi4 exec true\n  HostName 127.0.0.1",
    "tokens in HostName and IdentityFile": """
        Host pi4
          HostName %h.0.0.1
          IdentityFile {ssh}/key_%n_%r_%p""",
    "a variable in IdentityFile": "Host pi4\n  IdentityFile ${{HOME}}/.ssh/key",
    "a blank in a name": 'Host pi4\n  UserKnownHostsFile /nowhere "{ssh}/known hosts"',
    "HostKeyAlias": "Host pi4\n  HostKeyAlias shelf\n  UserKnownHostsFile {ssh}/alias",
    "several known_hosts files": "Host pi4\n  UserKnownHostsFile {ssh}/empty {ssh}/known_hosts",
    "GlobalKnownHostsFile": """
        Host pi4
          UserKnownHostsFile none
          GlobalKnownHostsFile {ssh}/known_hosts""",
    "a jump host": "Host pi4\n  ProxyJump jump",
    "a token in a jump host": "Host pi4\n  ProxyJump %r@jump",
    "no time limit": "Host pi4\n  ConnectTimeout 0",
    "jump hosts in a row": """
        Host localhost
          HostName 127.0.0.1
          IdentityFile {ssh}/key
        Host pi4
          ProxyJump {user}@localhost:{port},jump""",
    "no jump host for this one": "Host pi4\n  ProxyJump none\nHost *\n  ProxyJump nowhere.invalid",
    "no proxy for this one": "Host pi4\n  ProxyCommand none\nHost *\n  ProxyCommand false",
    "a proxy": "Host pi4\n  ProxyCommand sh -c 'exec {python} {ssh}/relay.py %h %p'",
    "IdentitiesOnly with a missing file": """
        Host pi4
          IdentitiesOnly yes
          IdentityFile {ssh}/missing""",
    "AddressFamily": "Host pi4\n  AddressFamily inet\n  BindAddress 127.0.0.1",
    "comments in another encoding": "# K\udcfcche\nHost pi4",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_board_is_reached_as_openssh_reaches_it(
    home: Home, board: Sshd, name: str, repository: Path
) -> None:
    device = board.device()
    text = CONFIGURATIONS[name].replace("%h.0.0.1", "127.0.0.1")
    for key in ("key", f"key_pi4_{device.user}_{board.port}"):
        shutil.copy(board.key, home.ssh / key)
    shutil.copy(home.ssh / "known_hosts", home.ssh / "known hosts")
    (home.ssh / "empty").touch()
    (home.ssh / "alias").write_text(f"shelf {board.host_key}\n")
    (home.ssh / "config.d").mkdir()
    (home.ssh / "config.d" / "lab").write_text("Host pi4\n  HostName 127.0.0.1\n")
    (home.ssh / "relay.py").write_text(RELAY)
    home.configure(
        text.format(ssh=home.ssh, user=device.user, port=board.port, python=sys.executable)
    )
    assert home.connects_with_openssh()
    assert connect() == "hello"


KNOWN_HOSTS = {
    "a line of an authority for others": "@cert-authority *.other {other}\n{host} {key}",
    "a cut line of another host": "pi3 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK\n{host} {key}",
    "nonsense": "pi3\n@ \n|1|x|y ssh-rsa\n\x00\n{host} {key}",
    "comments in another encoding": "# K\udcfcche\n{host} {key} K\udcfcche",
    "tabs and carriage returns": "{host}\t{key}\tcomment\r\n",
    "a pattern": "[127.0.0.?]:* {key}",
    "a name without the port": "127.0.0.1 {key}",
    "several names": "pi9,{host},pi8 {key}",
    "several keys of one type": "{host} {other}\n{host} {key}",
    "a key of another type only": "{host} {rsa}",
    "an old key of another type": "{host} {old_rsa}\n{host} {key}",
    "another's revoked key": "@revoked * {other}\n{host} {key}",
    "an authority": "@cert-authority [127.*]:* {authority}",
    "an authority and another key": "{host} {other}\n@cert-authority * {authority}",
    "no line": "",
    "another host's line": "[127.0.0.2]:22 {key}",
    "another key": "{host} {other}",
    "a revoked key": "{host} {key}\n@revoked {host} {key}",
    "an excepted host": "!{host},!127.0.0.1,* {key}",
    "a cut key": "{host} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK",
    "an authority that signed nothing": "@cert-authority * {other}",
    "a revoked authority": "@cert-authority * {authority}\n@revoked * {authority}",
    "a key that is only an authority's": "@cert-authority * {key}",
}
REFUSALS = {
    "no line": "its host key is unknown; verify it with `harness devices trust pi4`",
    "another host's line": "its host key is unknown",
    "another key": "its host key has changed (now ssh-ed25519 SHA256:",
    "a revoked key": "its host key is revoked by {home}/known_hosts:2",
    "an excepted host": "its host key is unknown",
    "a cut key": "its host key in {home}/known_hosts:1 is damaged or cut",
    "an authority that signed nothing": "its host certificate is not trusted",
    "a revoked authority": "its authority is revoked",
    "a key that is only an authority's": "its host certificate is not trusted",
}


@pytest.mark.parametrize("name", KNOWN_HOSTS)
def test_a_host_key_is_trusted_as_openssh_trusts_it(
    home: Home, board: Sshd, name: str, tmp_path: Path
) -> None:
    make_key(tmp_path / "other")
    home.configure("Host pi4\n  HostKeyAlias board.lab" if "authority" in name else "")
    host = "board.lab" if "authority" in name else f"[127.0.0.1]:{board.port}"
    text = KNOWN_HOSTS[name].replace("[127.*]:*", "*.lab")
    home.trust(
        text.format(
            host=host,
            key=board.host_key,
            rsa=public_key(board.folder / "host_rsa"),
            old_rsa=public_key(board.folder / "old_rsa"),
            authority=public_key(board.folder / "authority"),
            other=public_key(tmp_path / "other"),
        ).encode(errors="surrogateescape")
    )
    refusal = REFUSALS.get(name)
    assert home.connects_with_openssh() is (refusal is None)
    if refusal is None:
        assert connect() == "hello"
        return
    error = fail_to_connect()
    assert refusal.format(home=home.ssh) in str(error)
    assert not error.passing, "trying again does not help"


@pytest.mark.parametrize(
    ("option", "trusts_changed_keys"),
    [
        ("StrictHostKeyChecking no", True),
        ("StrictHostKeyChecking accept-new", False),
        ("NoHostAuthenticationForLocalhost yes", True),
        ("KnownHostsCommand /bin/echo %H {key}", True),
    ],
)
def test_an_option_that_trusts_more_keys_is_named_and_not_followed(
    home: Home, board: Sshd, tmp_path: Path, option: str, *, trusts_changed_keys: bool
) -> None:
    make_key(tmp_path / "other")
    name = option.partition(" /")[0].removesuffix(" yes")
    home.configure(f"Host pi4\n  {option.format(key=board.host_key)}")
    other_key = f"[127.0.0.1]:{board.port} {public_key(tmp_path / 'other')}\n"
    for lines, problem in (
        ("", "its host key is unknown"),
        (other_key, "its host key has changed"),
    ):
        home.trust(lines)
        is_trusted = lines == "" or trusts_changed_keys
        assert home.connects_with_openssh() is is_trusted
        home.trust(lines)
        error = str(fail_to_connect())
        assert error.startswith(problem)
        assert (f"; {name} is not heeded here" in error) is is_trusted
        assert "`harness devices trust pi4`" in error


def test_the_key_of_a_jump_host_that_openssh_does_not_record_is_recorded_here(home: Home) -> None:
    home.configure(
        "Host pi4\n  ProxyJump jump\nHost jump\n"
        "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null"
    )
    assert home.connects_with_openssh()
    assert str(fail_to_connect()) == (
        "jump host jump: its host key is unknown; StrictHostKeyChecking no is not heeded here; "
        "record it with `harness devices trust`, as a device that `jump` names"
    )


@pytest.mark.parametrize("revoked", ["host_key", "old_rsa", None])
def test_a_binary_list_of_revoked_keys_is_read(
    home: Home, board: Sshd, revoked: str | None
) -> None:
    krl = home.ssh / "krl"
    keygen("-q", "-k", "-f", krl, board.folder / f"{revoked or 'old_rsa'}.pub")
    if revoked is None:
        krl.write_bytes(krl.read_bytes()[:50])
    home.configure(f"Host pi4\n  RevokedHostKeys {krl}")
    assert home.connects_with_openssh() is (revoked == "old_rsa")
    if revoked == "old_rsa":
        assert connect() == "hello"
    else:
        problem = "can't be read" if revoked is None else f"its host key is revoked by {krl}"
        assert problem in str(fail_to_connect())


def test_a_revoked_authority_certifies_no_host(home: Home, board: Sshd) -> None:
    authority = board.folder / "authority"
    home.trust(f"@cert-authority *.lab {public_key(authority)}\n")
    revoked = f"  RevokedHostKeys {authority}.pub"
    for option in ("", revoked):
        home.configure(f"Host pi4\n  HostKeyAlias board.lab\n{option}")
        assert home.connects_with_openssh() is (option == "")
    assert f"its host key is revoked by {authority}.pub:1" in str(fail_to_connect())


def test_text_before_the_version_is_skipped(home: Home) -> None:
    relay = home.ssh / "relay.py"
    relay.write_text(f"import os\nos.write(1, b'K\\xfcche\\r\\n' + b'welcome\\n' * 200)\n{RELAY}")
    home.configure(f"Host pi4\n  ProxyCommand {sys.executable} {relay} %h %p")
    assert home.connects_with_openssh()
    assert connect() == "hello"


@pytest.mark.parametrize(
    "algorithms",
    ["KexAlgorithms diffie-hellman-group14-sha1", "HostKeyAlgorithms ssh-rsa"],
)
def test_an_old_algorithm_is_refused_with_the_option_that_allows_it(
    home: Home, board: Sshd, tmp_path: Path, algorithms: str
) -> None:
    shutil.copy(board.folder / "host_rsa", tmp_path / "host_key")
    shutil.copy(board.folder / "host_rsa.pub", tmp_path / "host_key.pub")
    for file in ("client_key", "client_key.pub"):
        shutil.copy(board.folder / file, tmp_path / file)
    other = Sshd.start(tmp_path, f"{algorithms}\n")
    try:
        home.trust(f"[127.0.0.1]:{other.port} {other.host_key}\n")
        home.configure(f"Host pi4\n  Port {other.port}\n  {algorithms}")
        assert home.connects_with_openssh()
        error = fail_to_connect()
        option = algorithms.partition(" ")[0]
        assert f"as the {option} of ~/.ssh/config are not used" in str(error)
        assert not error.passing
    finally:
        other.stop()


def test_hashed_names_are_understood(home: Home) -> None:
    keygen("-q", "-H", "-f", home.ssh / "known_hosts")
    assert b"127.0.0.1" not in (home.ssh / "known_hosts").read_bytes()
    assert home.connects_with_openssh()
    assert connect() == "hello"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["-h"], None),
        (["-h", "-n", "other.lab"], "it does not name board.lab"),
        (["-h", "-n", "board.lab", "-V", "20200101:20200102"], "it is not valid now"),
    ],
)
def test_a_host_certificate_must_be_valid_for_the_host(
    home: Home, board: Sshd, tmp_path: Path, options: list[str], problem: str | None
) -> None:
    for file in ("host_key", "host_key.pub", "host_rsa", "host_rsa.pub"):
        shutil.copy(board.folder / file, tmp_path / file)
    for file in ("client_key", "client_key.pub", "authority", "authority.pub"):
        shutil.copy(board.folder / file, tmp_path / file)
    keygen("-q", "-s", tmp_path / "authority", "-I", "host", *options, tmp_path / "host_key.pub")
    other = Sshd.start(tmp_path, _SETTINGS)
    try:
        home.trust(f"@cert-authority *.lab {public_key(board.folder / 'authority')}\n")
        home.configure(f"Host pi4\n  HostKeyAlias board.lab\n  Port {other.port}")
        assert home.connects_with_openssh() is (problem is None)
        if problem is None:
            assert connect() == "hello"
        else:
            assert problem in str(fail_to_connect())
    finally:
        other.stop()


def test_a_host_may_want_several_keys(home: Home, tmp_path: Path) -> None:
    keys = [tmp_path / name for name in ("unknown", "first", "second")]
    for key in keys:
        make_key(key)
    make_key(tmp_path / "client_key")
    (tmp_path / "client_key.pub").write_text("\n".join(map(public_key, keys[1:])))
    other = Sshd.start(tmp_path, "AuthenticationMethods publickey,publickey\n")
    try:
        home.trust(f"[127.0.0.1]:{other.port} {other.host_key}\n")
        start = f"Host pi4\n  HostName 127.0.0.1\n  Port {other.port}\n  User {other.device().user}"
        trust = f"  UserKnownHostsFile {home.ssh}/known_hosts\n"
        lines = [f"{start}\n{trust}", *(f"  IdentityFile {key}\n" for key in keys)]
        home.configure("".join(lines), defaults=False)
        assert home.connects_with_openssh()
        assert connect() == "hello"
        home.configure("".join(lines[:-1]), defaults=False)
        assert not home.connects_with_openssh()
        assert "it accepted 1 of the keys, but wants another one" in str(fail_to_connect())
    finally:
        other.stop()


def test_a_key_that_only_the_agent_holds_is_the_one_offered(
    home: Home, board: Sshd, agent: None, tmp_path: Path
) -> None:
    for number in range(6):
        make_key(tmp_path / f"other{number}")
        add_to_agent(tmp_path / f"other{number}")
    add_to_agent(board.key)
    shutil.copy(f"{board.key}.pub", home.ssh / "board.pub")
    identity = f"Host pi4\n  IdentitiesOnly yes\n  IdentityFile {home.ssh}/board.pub"
    login = f"HostName 127.0.0.1\nPort {board.port}\nUser {board.device().user}\n"
    home.configure(f"{login}UserKnownHostsFile {home.ssh}/known_hosts\n{identity}", defaults=False)
    assert home.connects_with_openssh()
    assert connect() == "hello"

    home.configure(f"{login}UserKnownHostsFile {home.ssh}/known_hosts", defaults=False)
    assert not home.connects_with_openssh()
    error = fail_to_connect()
    assert "Too many authentication failures" in str(error)
    assert not error.passing
    assert connect(SshDevice(id="pi4", host="pi4", key=str(board.key))) == "hello"


def test_a_key_with_a_passphrase_needs_the_agent(
    home: Home, board: Sshd, agent: None, tmp_path: Path
) -> None:
    shutil.copy(board.key, tmp_path / "locked")
    keygen("-q", "-p", "-N", "secret", "-f", tmp_path / "locked")
    device = board.device(key=str(tmp_path / "locked"), host_key=board.host_key)
    error = fail_to_connect(device)
    assert f"ssh-add {tmp_path / 'locked'}" in str(error)
    assert not error.passing
    add_to_agent(board.key)
    assert connect(device) == "hello"


@pytest.mark.parametrize("form", ["PEM", "PKCS8", "RFC4716"])
def test_private_keys_of_every_format_are_read(
    home: Home, board: Sshd, tmp_path: Path, form: str
) -> None:
    make_key(tmp_path / "key", kind="rsa")
    keygen("-q", "-p", "-N", "", "-m", form, "-f", tmp_path / "key")
    sign: list[str | Path] = ["-q", "-s", board.folder / "authority", "-I", "user"]
    keygen(*sign, "-n", str(board.device().user), tmp_path / "key.pub")
    home.configure(f"Host pi4\n  IdentityFile {tmp_path}/key")
    assert home.connects_with_openssh()
    assert connect() == "hello"


def test_a_certificate_logs_in_from_a_file_and_with_a_key_of_the_agent(
    home: Home, board: Sshd, agent: None
) -> None:
    board_settings = f"HostName 127.0.0.1\nPort {board.port}\nUser {board.device().user}\n"
    trust = f"UserKnownHostsFile {home.ssh}/known_hosts\n"
    certified = board.folder / "certified"
    home.configure(f"{board_settings}{trust}IdentityFile {certified}", defaults=False)
    assert home.connects_with_openssh()
    assert connect() == "hello"

    shutil.copy(f"{certified}.pub", home.ssh / "mine.pub")
    shutil.copy(f"{certified}-cert.pub", home.ssh / "paper.pub")
    home.configure(
        f"{board_settings}{trust}IdentityFile {home.ssh}/mine.pub\n"
        f"CertificateFile {home.ssh}/paper.pub\nIdentitiesOnly yes",
        defaults=False,
    )
    assert not home.connects_with_openssh()
    error = fail_to_connect()
    assert "mine.pub is a public key, which the SSH agent does not hold" in str(error)
    add_to_agent(certified)
    assert home.connects_with_openssh()
    assert connect() == "hello"


def test_an_agent_that_is_gone_or_refused_is_no_obstacle(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home.ssh / "gone"))
    assert connect() == "hello"
    home.configure("Host pi4\n  IdentityAgent none")
    assert connect() == "hello"


def test_an_error_names_the_jump_host_that_failed(home: Home, board: Sshd) -> None:
    home.configure("Host pi4\n  ProxyJump gate\nHost gate\n  HostName 127.0.0.1\n  Port 1")
    error = fail_to_connect()
    expected = "jump host gate: no SSH connection to 127.0.0.1:1 (Connection refused): check that"
    assert str(error).startswith(expected)
    assert error.passing, "a network may come back"

    device = SshDevice(id="far", host="pi4", jump="gate")
    gate = SshDevice(id="gate", host="127.0.0.1", port=board.port, key=str(board.key))
    error = fail_to_connect(SshDevice(id="far", host="127.0.0.1", port=1, jump="gate"), gate)
    assert str(error).startswith("127.0.0.1 can't connect to 127.0.0.1:1 (Connect")
    home.trust("")
    error = fail_to_connect(device, gate)
    assert str(error).startswith("jump host gate: its host key is unknown; verify it with `ssh")
    assert not error.passing


def test_a_jump_of_the_registry_has_jumps_of_its_own(home: Home, board: Sshd) -> None:
    home.configure("Host *\n  ProxyJump nowhere.invalid")
    gate = SshDevice(id="gate", host="127.0.0.1", port=board.port, key=str(board.key), jump="none")
    middle = replace(gate, id="middle", jump="gate")
    assert connect(replace(gate, id="far", jump="middle"), gate, middle) == "hello"


def test_a_proxy_that_fails_is_quoted(home: Home) -> None:
    home.configure("Host pi4\n  ProxyCommand echo no route >&2; exit 3")
    error = fail_to_connect()
    assert "its ProxyCommand ended with code" in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Host pi4\n  Prot 22", "config: line 2: Bad configuration option: prot"),
        ("Host pi4\n  IdentityFile ~/%Z", "the token %Z is not supported"),
        ("Host pi4\n  PubkeyAuthentication no", "PubkeyAuthentication is off"),
        ("Host pi4\n  PreferredAuthentications password", "PreferredAuthentications lacks"),
        ("Host pi4\n  BindInterface nowhere0", "BindInterface is not supported"),
    ],
)
def test_a_wrong_configuration_is_refused_at_once(home: Home, text: str, message: str) -> None:
    home.configure(text)
    assert not home.connects_with_openssh()
    error = fail_to_connect()
    assert message in str(error)
    assert not error.passing


def test_a_card_with_keys_is_named_where_no_other_key_fits(home: Home, board: Sshd) -> None:
    login = f"HostName 127.0.0.1\nPort {board.port}\nUserKnownHostsFile {home.ssh}/known_hosts\n"
    home.configure(f"{login}PKCS11Provider /usr/lib/card.so", defaults=False)
    assert "add its keys with `ssh-add -s`" in str(fail_to_connect())


def test_jump_hosts_that_lead_to_each_other_are_refused(home: Home) -> None:
    """Some versions of `ssh` itself start one process after the other for ever here."""
    home.configure("Host pi4\n  ProxyJump jump\nHost jump\n  ProxyJump pi4")
    error = fail_to_connect()
    assert "jump hosts lead to each other" in str(error)
    assert not error.passing


@pytest.fixture
def without_ssh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_ssh")
def test_without_an_ssh_program_the_file_itself_is_read(home: Home) -> None:
    home.configure(
        "# K\udcfcche\nMatch host pi4 user *\n  HostKeyAlias board # of the lab\n"
        "Host pi4\n  ConnectTimeout 5 # seconds\n"
        f'  User {home.board.device().user} # of the "lab"'
    )
    home.trust(f"board {home.board.host_key}\n")
    assert connect() == "hello"


@pytest.mark.usefixtures("without_ssh")
@pytest.mark.parametrize("line", ["Include config.d/*", "Match host pi4 tagged lab"])
def test_without_an_ssh_program_lines_that_need_it_are_named(home: Home, line: str) -> None:
    home.configure(f"# ours\n{line}\n")
    error = fail_to_connect()
    assert str(error).startswith(f"{home.ssh}/config:2: ")
    assert "install OpenSSH" in str(error)
    assert not error.passing
