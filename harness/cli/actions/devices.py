"""The work of `harness devices`."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.actions.session import Session, console
from harness.config.device_edit import add_entry, set_key
from harness.config.device_file import THIS_MACHINE, read_devices, select_devices
from harness.core.device import AdbDevice, Device, SshDevice
from harness.core.errors import CaseFailed, RequestError
from harness.core.units import format_bytes
from harness.devices import jump_of, make_link
from harness.devices.adb import list_phones
from harness.devices.local import LocalLink
from harness.fleet.canary import CanaryTrend, trend_of
from harness.fleet.device_check import (
    DeviceAccess,
    DeviceCheck,
    check_device,
    clean_device,
    map_devices,
)
from harness.report.terminal.tables import add_row, make_table, tabulate


def list_devices(path: Path) -> None:
    rows = [
        (
            one.id,
            one.kind,
            _where(one),
            one.abi,
            one.tool,
            ", ".join(one.tags),
            "yes" if one.enabled else "no",
        )
        for one in read_devices(path)
    ]
    console().print(tabulate(("device", "kind", "where", "abi", "tool", "tags", "enabled"), rows))


def _where(device: Device) -> str:
    if isinstance(device, SshDevice):
        user = f"{device.user}@" if device.user else ""
        port = f":{device.port}" if device.port else ""
        return f"{user}{device.host}{port}" + (f" by {device.jump}" if device.jump else "")
    if isinstance(device, AdbDevice):
        return device.serial + (f" by {device.via}" if device.via else "")
    return "this machine"


def chosen_for(path: Path, ids: Sequence[str]) -> tuple[list[Device], DeviceAccess]:
    """Those that are named, or all that are enabled; without a registry, this machine."""
    devices = read_devices(path) if path.exists() or ids else (THIS_MACHINE,)
    chosen = list(select_devices(devices, ids)) or [device for device in devices if device.enabled]
    session = Session.here()
    return chosen, DeviceAccess(
        {device.id: device for device in devices},
        session.workspace,
        tools=session.tools.newest_by_name(),
    )


def check(path: Path, ids: Sequence[str]) -> int:
    """How many devices can't be benched."""
    chosen, reach = chosen_for(path, ids)
    shown = make_table(
        "device",
        "reachable",
        "userland",
        "features",
        "system",
        "free",
        "governor",
        "°C",
        "tool",
        "canary",
    )
    found = list(map_devices(chosen, lambda device: check_device(device, reach)))
    trends = _trends([device.id for device in chosen])
    for one in found:
        add_row(shown, one.device.id, *_cells(one), trends.get(one.device.id, CanaryTrend()).text)
    console().print(shown)
    for id, trend in trends.items():
        if trend.warning:
            print(f"{id}: {trend.warning}")
    failures = [one.failure for one in found if one.failure is not None]
    for failure in failures:
        print(f"{failure}", file=sys.stderr)
    return len(failures)


def _trends(ids: Sequence[str]) -> dict[str, CanaryTrend]:
    """Each device's canary against its own past; none where there is no database yet."""
    rows = Session.here().observations.list_canaries(ids)
    return {
        id: trend_of([row for row in rows if row.device == id])
        for id in dict.fromkeys(row.device for row in rows)
    }


def _cells(one: DeviceCheck) -> list[str]:
    facts = one.facts
    free = format_bytes(int(facts["free_bytes"])) if "free_bytes" in facts else "–"
    return [
        "yes" if facts else "no",
        _userland(facts),
        " ".join(
            name for name in ("asimd", "asimddp") if name in facts.get("cpu_features", "").split()
        )
        or "–",
        _system(facts),
        free,
        facts.get("governor", "–"),
        facts.get("temperature_c") or facts.get("battery_c") or "–",
        f"{one.tool.name} {one.tool.interpreter or one.tool.sha256[:12]}" if one.tool else "no",
    ]


def _userland(facts: Mapping[str, str]) -> str:
    bits, machine = facts.get("userland_bits"), facts.get("machine", "–")
    if bits == "32" and machine in ("aarch64", "x86_64"):
        return f"32-bit on a 64-bit chip ({machine}): slow, install a 64-bit system"
    return f"{bits}-bit {machine}" if bits else machine


def _system(facts: Mapping[str, str]) -> str:
    if "android" in facts:
        return f"Android {facts['android']}"
    return f"glibc {facts['glibc']}" if "glibc" in facts else "–"


def facts(path: Path, ids: Sequence[str]) -> int:
    """How many devices can't be reached."""
    chosen, reach = chosen_for(path, ids)
    found = list(map_devices(chosen, lambda device: check_device(device, reach, with_tool=False)))
    rows = [(one.device.id, name, value) for one in found for name, value in one.facts.items()]
    console().print(tabulate(("device", "fact", "value"), rows))
    failures = [one.failure for one in found if one.failure is not None]
    for failure in failures:
        print(f"{failure}", file=sys.stderr)
    return len(failures)


def add_device(path: Path, entry: Mapping[str, Any]) -> None:
    kept = {key: value for key, value in entry.items() if value not in (None, [], ())}
    add_entry(path, kept)
    hint = (
        f"; look at its key with `harness devices trust {entry['id']}`"
        if entry["kind"] == "ssh"
        else ""
    )
    print(
        f"{path}: added {entry['id']}; see whether it can be used with `harness devices check {entry['id']}`{hint}."
    )


def cores(text: str | None) -> list[int] | str | None:
    """Raises RequestError where they are none."""
    if text is None or text in ("big", "all"):
        return text
    words = text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise RequestError(f"--cpus {text}: has to be big, all, or whole numbers, for example 2,3.")
    return [int(word) for word in words]


def discover(path: Path, via: str | None, register: bool) -> None:
    """Phones on this machine, or on a hub; with `register`, those that are new get an entry."""
    devices = read_devices(path) if path.exists() else ()
    registry = {device.id: device for device in devices}
    link = LocalLink() if via is None else make_link(select_devices(devices, [via])[0], registry)
    known = {one.serial: one.id for one in devices if isinstance(one, AdbDevice) and one.via == via}
    found = list_phones(link)
    rows = [(serial, model, known.get(serial, "no")) for serial, model in found]
    console().print(tabulate(("serial", "model", "registered"), rows))
    new = [(serial, model) for serial, model in found if serial not in known]
    for serial, model in new if register else ():
        id = _free_id(model.lower().replace("_", "-") or "phone", registry)
        entry = {"id": id, "kind": "adb", "serial": serial, **({"via": via} if via else {})}
        add_device(path, entry)
        registry[id] = AdbDevice(id=id, serial=serial)
    if new and not register:
        print("`--add` registers those that are not.")


def _free_id(wanted: str, taken: Mapping[str, Device]) -> str:
    numbered = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
    return next(id for id in numbered if id not in taken)


def trust(path: Path, id: str, sure: Callable[[str], bool]) -> None:
    """Shows the key that an ssh device has now, and records it in the registry if the user is `sure`."""
    from harness.devices.ssh import describe_key, fetch_host_key

    devices = read_devices(path)
    device = select_devices(devices, [id])[0]
    if not isinstance(device, SshDevice):
        raise RequestError(
            f"device {id!r} is of kind {device.kind}: only ssh devices have a host key."
        )
    key = fetch_host_key(device, jump_of(device, {one.id: one for one in devices}))
    print(f"{id} ({_where(device)}) shows {describe_key(key)}")
    text = f"{key.get_name()} {key.get_base64()}"
    if device.host_key == text:
        print("This key is trusted already.")
        return
    if device.host_key is not None:
        print("ANOTHER key was trusted so far: be sure that the device was set up anew.")
    if not sure("Is that what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints there?"):
        raise RequestError(f"device {id}: its key was not recorded.")
    set_key(path, id, key="host_key", value=text)
    print(f"{path}: recorded as {id}'s host_key.")


def clean_devices(path: Path, ids: Sequence[str], keep_mb: int) -> int:
    """How many devices could not be cleaned."""
    chosen, reach = chosen_for(path, ids)
    failures: list[CaseFailed] = []
    for device, freed, failure in map_devices(
        chosen, lambda device: clean_device(device, reach, limit_bytes=keep_mb * 1_000_000)
    ):
        if failure is None:
            print(f"{device.id}: {format_bytes(freed)} freed")
        else:
            failures.append(failure)
            print(f"{failure}", file=sys.stderr)
    return len(failures)
