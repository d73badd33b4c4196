"""`harness devices` and `harness tools`, over a real sshd."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.device_file import read_devices
from harness.core.device import AdbDevice
from harness.core.ids import sha256_of_file
from tests import tools
from tests.harness_cli import BARE, COMMAND, Cli
from tests.sshd import Sshd, make_key
from tests.sysfs import Sysfs


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "devices.yaml"


@pytest.fixture
def cli(tmp_path: Path, registry: Path) -> Cli:
    """Return the command with an empty home folder, and so without known hosts."""
    return Cli(tmp_path / "workspace", {"HARNESS_DEVICES": str(registry), "HOME": str(tmp_path)})


def expect_success(ended: "subprocess.CompletedProcess[str]") -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def add_board(cli: Cli, sshd: Sshd, folder: Path, id: str = "pi; 4") -> None:
    board = sshd.device()
    connection = [
        "--host",
        board.host,
        "--port",
        str(board.port),
        "--user",
        str(board.user),
        "--key",
        str(board.key),
    ]
    expect_success(
        cli.run(
            "devices",
            "add",
            id,
            *connection,
            "--folder",
            str(folder),
            "--tag",
            "shelf",
            "--cpus",
            "0",
            "--python",
            sys.executable,
        )
    )


def test_a_board_is_added_trusted_checked_benched_and_cleaned(
    cli: Cli, sshd: Sshd, registry: Path, tmp_path: Path, repository: Path
) -> None:
    registry.write_text("# ours\ndevices:\n  - {id: here, kind: local, enabled: false} # not now\n")
    add_board(cli, sshd, folder=tmp_path / "on the board")
    assert "# ours" in registry.read_text()
    assert "# not now" in registry.read_text()
    listed = expect_success(cli.run("devices", "list"))
    assert "pi; 4" in listed
    assert f"127.0.0.1:{sshd.port}" in listed

    refused = cli.run("devices", "check", "pi; 4")
    assert refused.returncode == 1
    assert "its host key is unknown" in refused.stderr
    assert "devices trust" in refused.stderr

    trusted = expect_success(cli.run("devices", "trust", "pi; 4", "--yes"))
    printed = subprocess.run(
        ["ssh-keygen", "-lf", f"{sshd.host_key_file}.pub"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.split()[1] in trusted, (
        "the fingerprint that people see on the board itself"
    )
    assert sshd.host_key in registry.read_text()
    assert "already trusted" in expect_success(cli.run("devices", "trust", "pi; 4"))

    checked = expect_success(cli.run("devices", "check", "pi; 4"))
    assert "64-bit" in checked
    assert "glibc" in checked
    assert "python_runner" in checked
    facts = expect_success(cli.run("devices", "facts", "pi; 4"))
    assert "free_bytes" in facts
    assert "kernel" in facts

    model = repository / "tests" / "data" / "models" / "float_64.tflite"
    expect_success(cli.run("tools", "add", "tool", "--file", tools.write_script(tmp_path / "tool")))
    expect_success(
        cli.run(
            "devices",
            "add",
            "twin",
            "--host",
            "127.0.0.1",
            "--port",
            str(sshd.port),
            "--tool",
            "tool",
        )
    )
    benched = expect_success(cli.run("bench", "--device", "pi; 4", "--protocol", BARE, model))
    assert "1 to measure" in benched
    assert sha256_of_file(model) in {
        path.name for path in (tmp_path / "on the board" / "objects").iterdir()
    }
    assert "freed" in expect_success(cli.run("devices", "clean", "pi; 4"))
    assert list((tmp_path / "on the board" / "objects").iterdir()) == []


@pytest.mark.full
def test_a_board_is_reached_by_the_users_ssh_configuration_and_over_another_board(
    cli: Cli, sshd: Sshd, registry: Path, tmp_path: Path
) -> None:
    board = sshd.device()
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh" / "config").write_text(
        f"Host shelf\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
        f"  User {board.user}\n  IdentityFile {board.key}\n"
    )
    options = ["--tool", "tool", "--folder", str(tmp_path / "board")]
    expect_success(cli.run("tools", "add", "tool", "--file", tools.write_script(tmp_path / "tool")))
    expect_success(cli.run("devices", "add", "near", "--host", "shelf", *options))
    expect_success(cli.run("devices", "add", "far", "--host", "shelf", "--jump", "near", *options))
    assert "its host key is unknown" in cli.run("devices", "check", "near").stderr
    for id in ("near", "far"):
        expect_success(cli.run("devices", "trust", id, "--yes"))
    checked = expect_success(cli.run("devices", "check"))
    assert checked.count(" yes ") == 2
    assert "via near" in expect_success(cli.run("devices", "list"))


def test_a_32_bit_system_on_a_64_bit_chip_is_reported(
    cli: Cli, registry: Path, tmp_path: Path
) -> None:
    """A fake `od` finds a 32-bit program."""
    (tmp_path / "bin").mkdir()
    tools.write_script(tmp_path / "bin" / "od", "echo 1").chmod(0o755)
    registry.write_text("devices:\n  - {id: here, kind: local}\n")
    cli.settings["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    assert "32-bit on a 64-bit chip" in cli.run("devices", "check").stdout


FAKE_ADB = """
case $1 in
start-server) ;;
devices) cat {folder}/list ;;
-s) echo device ;;
esac
"""


@pytest.fixture
def adb_list(cli: Cli, tmp_path: Path) -> Path:
    """Return the file with the list of phones that an adb of ours prints."""
    (tmp_path / "bin").mkdir()
    script = FAKE_ADB.format(folder=tmp_path)
    tools.write_script(tmp_path / "bin" / "adb", script).chmod(0o755)
    cli.settings["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return tmp_path / "list"


def test_phones_are_registered_and_the_others_named_with_a_remedy(
    cli: Cli, registry: Path, adb_list: Path
) -> None:
    adb_list.write_text(
        "List of devices attached\n"
        "adb-R5-x (2)._adb-tls-connect._tcp device model:SM_G973F transport_id:4\n"
        "0123 device usb:1-2 model:Cheap transport_id:5\n"
        "0123 device usb:1-3 model:Cheap transport_id:6\n"
        "8A2X unauthorized usb:1-4 transport_id:7\n"
    )
    ended = cli.run("devices", "discover", "--add")
    assert ended.returncode == 1, "one of the phones is not registered"
    assert "8A2X (usb:1-4) is not ready" in ended.stdout
    assert "accept the key on its screen" in ended.stdout
    phones = [device for device in read_devices(registry) if isinstance(device, AdbDevice)]
    assert [(phone.id, phone.serial) for phone in phones] == [
        ("sm-g973f", "adb-R5-x (2)._adb-tls-connect._tcp"),
        ("cheap", "usb:1-2"),
        ("cheap-2", "usb:1-3"),
    ]
    adb_list.write_text("List of devices attached\n0123 device usb:1-3 model:Cheap\n")
    expect_success(cli.run("devices", "discover", "--add"))
    assert len(read_devices(registry)) == 3, "a phone that is alone now is no new one"


def test_a_phone_is_added_with_a_word_on_its_state(
    cli: Cli, registry: Path, adb_list: Path
) -> None:
    adb_list.write_text(
        "List of devices attached\n0123 device usb:1-2\n0123 device usb:1-3\nR5 offline\n"
    )
    refused = cli.run("devices", "add", "phone", "--serial", "0123")
    assert refused.returncode == 2
    assert "stands for 2 phones: use --serial usb:1-2 or usb:1-3." in refused.stderr
    assert not registry.exists()
    added = expect_success(cli.run("devices", "add", "phone", "--serial", "R5"))
    assert "R5 is not ready: adb reports it as offline" in added
    twice = cli.run("devices", "add", "phone2", "--serial", "R5")
    assert twice.returncode == 2
    assert "makes 'phone2' the same device as 'phone'" in twice.stderr
    absent = expect_success(cli.run("devices", "add", "later", "--serial", "R6"))
    assert "No phone with the serial R6 is attached now" in absent
    adb_list.write_text("List of devices attached\n\n")
    assert "No phone is attached" in expect_success(cli.run("devices", "discover"))


def test_a_sensor_that_is_not_believed_is_named(cli: Cli, registry: Path, tmp_path: Path) -> None:
    board = Sysfs.make(tmp_path / "sys")
    board.write(board.temperature, 200_000)
    cli.settings["HARNESS_SYSFS"] = str(board.root)
    registry.write_text("devices:\n  - {id: here, kind: local}\n")
    checked = expect_success(cli.run("devices", "check"))
    assert "here: cpu-thermal reads 200000, not 5 to 120 °C in any unit" in checked
    assert "200000" in expect_success(cli.run("devices", "facts"))


def test_an_entry_that_names_cores_which_are_off_is_refused(cli: Cli, registry: Path) -> None:
    registry.write_text("devices:\n  - {id: here, kind: local, cpus: [0, 1000]}\n")
    refused = cli.run("devices", "check")
    assert refused.returncode == 1
    assert "its entry names cores 1000, which are off or missing" in refused.stderr


@pytest.mark.full
def test_a_key_is_recorded_only_after_confirmation(
    cli: Cli, sshd: Sshd, registry: Path, tmp_path: Path
) -> None:
    add_board(cli, sshd, folder=tmp_path / "board")
    before = registry.read_text()
    unsure = subprocess.run(
        [*COMMAND, "devices", "trust", "pi; 4"],
        env=cli.environment, input="n\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert unsure.returncode == 2
    assert "not recorded" in unsure.stderr
    assert registry.read_text() == before


@pytest.mark.full
def test_a_changed_host_key_is_refused_and_reported(
    cli: Cli, sshd: Sshd, registry: Path, tmp_path: Path
) -> None:
    add_board(cli, sshd, folder=tmp_path / "board")
    make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    registry.write_text(registry.read_text() + f"    host_key: {other}\n")
    refused = cli.run("devices", "check")
    assert refused.returncode == 1
    assert "its host key has changed" in refused.stderr
    trusted = expect_success(cli.run("devices", "trust", "pi; 4", "--yes"))
    assert "A DIFFERENT key was trusted before" in trusted
    expect_success(cli.run("devices", "check"))


@pytest.mark.full
def test_a_wrong_entry_is_refused_and_the_file_stays_unchanged(cli: Cli, registry: Path) -> None:
    text = "# ours\ndevices:\n  - {id: here, kind: local}\n"
    registry.write_text(text)
    for arguments, message in (
        (["here"], "here"),
        (["phone", "--serial", "R58M", "--via", "no-such-hub"], "no-such-hub"),
        (["board", "--host", "h", "--serial", "s"], "not both"),
        (["board", "--host", "h", "--abi", "m68k"], "abi"),
        (["board", "--host", "h", "--cpus", "two"], "whole numbers"),
        (["board", "--host", "h", "--port", "70000"], "port"),
    ):
        refused = cli.run("devices", "add", *arguments)
        assert refused.returncode == 2, arguments
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
        assert registry.read_text() == text


@pytest.mark.full
def test_a_device_without_a_tool_or_python_names_the_programs_to_install(
    cli: Cli, sshd: Sshd, registry: Path, tmp_path: Path, repository: Path
) -> None:
    add_board(cli, sshd, folder=tmp_path / "board")
    expect_success(cli.run("devices", "trust", "pi; 4", "--yes"))
    registry.write_text(registry.read_text().replace(sys.executable, "no-such-python"))
    model = repository / "tests" / "data" / "models" / "float_64.tflite"
    ended = cli.run("bench", "--fleet", "--protocol", BARE, model)
    assert ended.returncode == 1
    (failure,) = cli.rows("SELECT device, reason, message FROM failures")
    assert (failure["device"], failure["reason"]) == ("pi; 4", "no_interpreter")
    assert "harness tools add" in failure["message"]
    assert "pip install ai-edge-litert" in failure["message"]
    assert len(cli.rows("SELECT * FROM queue")) == 1


@pytest.mark.full
def test_tools_are_stored_by_their_hash_and_other_files_are_refused(
    cli: Cli, tmp_path: Path
) -> None:
    script = tools.write_script(tmp_path / "tool")
    sha256 = sha256_of_file(script)
    assert sha256 in expect_success(cli.run("tools", "add", "mine", "--file", script))
    assert (cli.home / "tools" / "mine" / sha256).is_file()
    expect_success(
        cli.run(
            "tools", "add", "mine", "--file", tools.write_script(tmp_path / "tool", "echo newer")
        )
    )
    listed = expect_success(cli.run("tools", "list"))
    assert listed.count("mine ") == 2
    assert listed.count("in use") == 1
    (tmp_path / "text").write_text("no program")
    for arguments, message in (
        (["x", "--file", tmp_path / "text"], "neither an ELF program"),
        (["x", "--file", tmp_path / "missing"], "missing"),
        (["x"], "lce_benchmark_model_aarch64"),
        (["x", "--file", script, "--sha256", "0" * 64], "SHA-256"),
        (["x", "--url", "http://127.0.0.1/x"], "https"),
        (["../x", "--file", script], "slash"),
    ):
        refused = cli.run("tools", "add", *arguments)
        assert refused.returncode == 2, arguments
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
    assert (
        not (cli.home / "tools" / "x").exists() or list((cli.home / "tools" / "x").iterdir()) == []
    )
    expect_success(cli.run("tools", "check"))
    (cli.home / "tools" / "mine" / sha256).write_text("changed")
    changed = cli.run("tools", "check")
    assert changed.returncode == 1


@pytest.mark.full
def test_the_files_used_longest_ago_are_removed_first(
    cli: Cli, sshd: Sshd, tmp_path: Path, repository: Path
) -> None:
    """Each model has 3 MB and the board room for 5 MB, so a new model replaces an old one."""
    base = (repository / "tests" / "data" / "models" / "float_64.tflite").read_bytes()
    models = [tmp_path / f"{name}.tflite" for name in ("old", "new")]
    for number, model in enumerate(models):
        model.write_bytes(base + bytes([number]) * 3_000_000)
    add_board(cli, sshd, folder=tmp_path / "board")
    expect_success(cli.run("devices", "trust", "pi; 4", "--yes"))
    expect_success(cli.run("tools", "add", "tool", "--file", tools.write_script(tmp_path / "tool")))
    registry = tmp_path / "devices.yaml"
    registry.write_text(registry.read_text() + "    tool: tool\n    cache_mb: 5\n")
    expect_success(cli.run("bench", "--fleet", "--protocol", BARE, *models))
    objects = {path.name for path in (tmp_path / "board" / "objects").iterdir()}
    assert sha256_of_file(tmp_path / "tool") in objects
    assert sha256_of_file(models[0]) in objects, "nothing is removed before the limit is passed"
    expect_success(cli.run("bench", "--fleet", "--force", "--protocol", BARE, models[1]))
    third = tmp_path / "third.tflite"
    third.write_bytes(base + b"3" * 3_000_000)
    expect_success(cli.run("bench", "--fleet", "--protocol", BARE, third))
    objects = {path.name for path in (tmp_path / "board" / "objects").iterdir()}
    assert objects == {
        sha256_of_file(tmp_path / "tool"),
        sha256_of_file(models[1]),
        sha256_of_file(third),
    }
