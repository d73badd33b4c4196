"""A machine of the lab: files over a cached tree, and sshd or adbd in its own namespaces."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from tests.lab import trees
from tests.sshd import make_key
from tests.waiting import wait_until

BRIDGE = "lab0"
GATEWAY = "198.18.77.1"  # from the block for benchmarks (RFC 2544)
USER, USER_ID = "bench", 1000
ADB_PORT = 5555
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
_SSHD = f"""
PasswordAuthentication no
PermitRootLogin no
UsePAM no
MaxStartups 100
MaxSessions 100
AllowUsers {USER}
AuthorizedKeysFile /etc/ssh/lab_keys
"""
_GETPROP = """#!/bin/sh
# A substitute, as Debian's adbd comes without Android's programs.
case ${1-} in
ro.build.version.release) echo 14 ;;
ro.product.model) echo Lab Phone ;;
ro.product.cpu.abi) echo arm64-v8a ;;
*) ;;
esac
"""
_DUMPSYS = """#!/bin/sh
echo "Current Battery Service state:"
echo "  level: 80"
echo "  temperature: 274"
"""


@dataclass(frozen=True)
class Kind:
    """A kind of machine. `mounts` is shell to run before it starts; $root is its root folder."""

    name: str
    host: int
    tree: trees.Tree
    layer: trees.Layer | None = None
    abi: str = "aarch64"
    phone: bool = False
    sshd: str = ""
    mounts: str = ""

    @property
    def address(self) -> str:
        return f"198.18.77.{self.host}"


def _make_faulty(name: str, host: int, sshd: str = "", mounts: str = "") -> Kind:
    return Kind(
        name,
        host,
        tree=trees.BOARD_AMD64,
        layer=trees.LCE_AMD64,
        abi="x86_64",
        sshd=sshd,
        mounts=mounts,
    )


_CACHE = (
    f'cache="$root/home/{USER}/.cache"; mkdir -p "$cache"; '
    f'mount -t tmpfs -o size=2m,uid={USER_ID},gid={USER_ID} lab "$cache"'
)
_READ_ONLY = (
    f'home="$root/home/{USER}"; mount --bind "$home" "$home" && mount -o remount,ro,bind "$home"'
)
KINDS = (
    Kind("arm1", 11, tree=trees.BOARD_ARM64, layer=trees.LITERT_ARM64),
    Kind("arm2", 12, tree=trees.BOARD_ARM64, layer=trees.TFLITE_ARM64),
    _make_faulty("x86", 13),
    _make_faulty("hub", 21),
    Kind("phone1", 31, tree=trees.PHONE_ARM64, abi="android-arm64", phone=True),
    Kind("phone2", 32, tree=trees.PHONE_ARM64, abi="android-arm64", phone=True),
    _make_faulty("full", 41, mounts=_CACHE),
    _make_faulty("readonly", 42, mounts=_READ_ONLY),
    _make_faulty(
        "oldclock", 43, sshd=f"SetEnv LD_PRELOAD={_FAKETIME} FAKETIME=-20y DONT_FAKE_MONOTONIC=1\n"
    ),
)


class Machine:
    """A machine; `folder` holds its changes to the tree, and its host key."""

    def __init__(self, kind: Kind, folder: Path, client_key: Path) -> None:
        self.kind = kind
        self.folder = folder
        self._client_key = client_key
        self._link = f"lab-{kind.name}"

    @property
    def name(self) -> str:
        return self.kind.name

    @cached_property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def start(self) -> None:
        """Boot it unless it runs, and wait until it accepts connections."""
        if self.is_running:
            return
        self._prepare_files()
        self._connect()
        self._boot()
        wait_until(self._accepts_connections, f"{self.name} accepts connections", patience_s=120)

    @property
    def is_running(self) -> bool:
        return self._pid is not None

    @property
    def _pid(self) -> int | None:
        """The id of the process that holds its namespaces, if it runs."""
        try:
            pid = int((self.folder / "pid").read_text())
            return pid if str(self.folder) in Path(f"/proc/{pid}/cmdline").read_text() else None
        except (OSError, ValueError):
            return None

    def _accepts_connections(self) -> bool:
        port = ADB_PORT if self.kind.phone else 22
        probe = f"exec 3<>/dev/tcp/{self.kind.address}/{port}"
        return (
            subprocess.run(
                ["bash", "-c", probe], capture_output=True, check=False, timeout=30
            ).returncode
            == 0
        )

    def stop(self) -> None:
        """End all its processes at once, as a power cut does."""
        if (pid := self._pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self._pid is None, f"{self.name} is down")

    def reboot(self) -> None:
        self.stop()
        self._boot()
        wait_until(self._accepts_connections, f"{self.name} accepts connections", patience_s=120)

    def cut(self) -> None:
        """Unplug its network cable."""
        _do("ip", "link", "set", self._link, "down")

    def restore(self) -> None:
        """Plug its network cable in again."""
        _do("ip", "link", "set", self._link, "up")

    def run(self, *argv: str) -> str:
        """Run a command inside it as root, and return its output."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        root = str(self.folder / "root")
        command = ["nsenter", "-t", children[0], "-m", "-p", "-n", "chroot", root, *argv]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    def pause_adbd(self) -> None:
        self.run("pkill", "-STOP", "adbd")

    def resume_adbd(self) -> None:
        self.run("pkill", "-CONT", "adbd")

    def remove(self) -> None:
        self.stop()
        self._disconnect()
        shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def _lower_folders(self) -> list[Path]:
        """The folders below its own changes, the topmost first."""
        tree = trees.build_tree(self.kind.tree)
        layer = trees.make_phone_layer(tree) if self.kind.phone else self.kind.layer
        return [trees.build_layer(layer), tree] if layer else [tree]

    def _prepare_files(self) -> None:
        upper = self.folder / "upper"
        if upper.is_dir():
            return
        for name in (
            "upper/etc/ssh",
            "upper/usr/bin",
            "upper/dev",
            f"upper/home/{USER}",
            "upper/run/sshd",
            "work",
            "root",
        ):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for folder in (self.folder / "upper").rglob("*"):
            folder.chmod(0o755)
        upper.chmod(0o755)
        if self.kind.phone:
            self._prepare_phone(upper)
        else:
            self._prepare_board(upper)

    def _prepare_board(self, upper: Path) -> None:
        make_key(self.folder / "host_key")
        shutil.copy(self.folder / "host_key", upper / "etc/ssh/ssh_host_ed25519_key")
        shutil.copy(self._client_key.with_suffix(".pub"), upper / "etc/ssh/lab_keys")
        (upper / "etc/ssh/lab_keys").chmod(0o644)
        (upper / "etc/ssh/sshd_config").write_text(_SSHD + self.kind.sshd)
        users = (self._lower_folders[-1] / "etc/passwd").read_text()
        (upper / "etc/passwd").write_text(
            f"{users}{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/bin/bash\n"
        )
        groups = (self._lower_folders[-1] / "etc/group").read_text()
        (upper / "etc/group").write_text(f"{groups}{USER}:x:{USER_ID}:\n")
        shadow = (self._lower_folders[-1] / "etc/shadow").read_text()
        (upper / "etc/shadow").write_text(f"{shadow}{USER}:*:19000:0:99999:7:::\n")
        os.chown(upper / "home" / USER, USER_ID, USER_ID)

    def _prepare_phone(self, upper: Path) -> None:
        for name, text in (("getprop", _GETPROP), ("dumpsys", _DUMPSYS)):
            (upper / "usr/bin" / name).write_text(text)
            (upper / "usr/bin" / name).chmod(0o755)
        (upper / "data/local/tmp").mkdir(parents=True)
        (upper / "system/bin").mkdir(parents=True)
        (upper / "system/bin/sh").symlink_to("/bin/sh")

    def _connect(self) -> None:
        """Connect its namespace to the lab's bridge."""
        self._disconnect()
        _do("ip", "netns", "add", self._link)
        _do(
            "ip",
            "link",
            "add",
            self._link,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self._link,
        )
        _do("ip", "link", "set", self._link, "master", BRIDGE, "up")
        _do("ip", "-n", self._link, "addr", "add", f"{self.kind.address}/24", "dev", "eth0")
        _do("ip", "-n", self._link, "link", "set", "eth0", "up")
        _do("ip", "-n", self._link, "link", "set", "lo", "up")

    def _disconnect(self) -> None:
        """Remove its namespace and cable, even if another checkout or a killed lab left them."""
        processes = subprocess.run(
            ["ip", "netns", "pids", self._link], capture_output=True, text=True, check=False
        )
        for pid in processes.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for object_type in ("netns", "link"):
            command = ["ip", object_type, "del", self._link]
            subprocess.run(command, capture_output=True, check=False)

    def _boot(self) -> None:
        (self.folder / "boot_id").write_text(f"{uuid4()}\n")
        command = [
            "unshare",
            "--pid",
            "--mount",
            "--uts",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            self._make_init(),
        ]
        # It outlives the shell that starts it, and so this process.
        detach = 'setsid "$@" </dev/null >>"$0/log" 2>&1 & echo "$!" >"$0/pid"'
        in_namespace = ["ip", "netns", "exec", self._link, *command]
        _do("sh", "-c", detach, str(self.folder), *in_namespace)

    def _make_init(self) -> str:
        """Return the script of its first process: mounts that end with it, then its service."""
        lower = ":".join(map(str, self._lower_folders))
        service = (
            f"env ADBD_PORT={ADB_PORT} /usr/lib/android-sdk/platform-tools/adbd"
            if self.kind.phone
            else ""
        )
        return "\n".join(
            (
                "set -e",
                f"folder={self.folder}",
                "root=$folder/root",
                f"hostname {self.name}",
                f'options="lowerdir={lower},upperdir=$folder/upper,workdir=$folder/work"',
                'mount -t overlay lab -o "$options" "$root"',
                'mount -t proc proc "$root/proc"',
                'mount --bind "$folder/boot_id" "$root/proc/sys/kernel/random/boot_id"',
                'mount -t tmpfs -o mode=755 lab "$root/dev"',
                *(
                    f'touch "$root/dev/{name}" && mount --bind /dev/{name} "$root/dev/{name}"'
                    for name in _DEVICES
                ),
                self.kind.mounts,
                f'chroot "$root" {service or "/usr/sbin/sshd -D -e"} &',
                "wait",
            )
        )


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)


def make_bridge() -> None:
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _do("ip", "link", "add", BRIDGE, "type", "bridge")
        _do("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        _do("ip", "link", "set", BRIDGE, "up")


def remove_bridge() -> None:
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)
