"""The implementation of `harness devices`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.bench.facts import list_doubts
from harness.cli.actions.session import Session, make_console, print_failure
from harness.config.device_edit import add_entry, set_key
from harness.config.device_file import THIS_MACHINE, read_devices, select_devices
from harness.core.device import AdbDevice, Device, SshDevice, hops_of
from harness.core.errors import CaseFailed, ConfigError, RequestError
from harness.core.observations import Canary
from harness.core.ssh import parse_public_key
from harness.core.units import format_bytes
from harness.devices import make_link
from harness.devices.adb import AttachedPhone, list_phones
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
            device.id,
            device.kind,
            _format_address(device),
            device.abi,
            device.tool,
            ", ".join(device.tags),
            "yes" if device.enabled else "no",
        )
        for device in read_devices(path)
    ]
    make_console().print(
        tabulate(("device", "kind", "address", "abi", "tool", "tags", "enabled"), rows)
    )


def _format_address(device: Device) -> str:
    if isinstance(device, SshDevice):
        user = f"{device.user}@" if device.user else ""
        port = f":{device.port}" if device.port else ""
        return f"{user}{device.host}{port}" + (f" via {device.jump}" if device.jump else "")
    if isinstance(device, AdbDevice):
        return device.serial + (f" via {device.via}" if device.via else "")
    return "this machine"


def select_with_access(path: Path, ids: Sequence[str]) -> tuple[list[Device], DeviceAccess]:
    """Return the devices with these ids, or all enabled ones, and the means to reach them.

    Without a registry file, this machine is the only device.
    """
    devices = read_devices(path) if path.exists() or ids else (THIS_MACHINE,)
    selected = list(select_devices(devices, ids)) or [
        device for device in devices if device.enabled
    ]
    session = Session.from_environment()
    return selected, DeviceAccess(
        {device.id: device for device in devices},
        session.workspace,
        tools=session.tools.newest_by_name(),
    )


def check_devices(path: Path, ids: Sequence[str]) -> int:
    """Print what each device can do, and return how many can't be benched."""
    selected, access = select_with_access(path, ids)
    table = make_table(
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
    checks = _check_all(selected, access)
    trends = _read_trends([device.id for device in selected])
    for check in checks:
        id = check.device.id
        add_row(table, id, *_make_cells(check), trends.get(id, CanaryTrend()).text)
    make_console().print(table)
    for id, trend in trends.items():
        if trend.warning:
            print(f"{id}: {trend.warning}")
    for check in checks:
        for doubt in list_doubts(check.facts):
            print(f"{check.device.id}: {doubt}")
    return _report_failures(checks)


def _check_all(
    devices: Sequence[Device], access: DeviceAccess, *, with_tool: bool = True
) -> list[DeviceCheck]:
    checks = map_devices(devices, partial(check_device, access=access, with_tool=with_tool))
    return [
        DeviceCheck(device, failure=check) if isinstance(check, CaseFailed) else check
        for device, check in checks
    ]


def _report_failures(checks: Sequence[DeviceCheck]) -> int:
    failures = [check.failure for check in checks if check.failure is not None]
    for failure in failures:
        print_failure(failure)
    return len(failures)


def _read_trends(ids: Sequence[str]) -> dict[str, CanaryTrend]:
    """Return the canary trend of each device that has canaries."""
    rows = Session.from_environment().observations.list_canaries(ids)
    canaries: dict[str, list[Canary]] = {}
    for row in rows:
        canaries.setdefault(row.device, []).append(row)
    return {id: trend_of(device_canaries) for id, device_canaries in canaries.items()}


def _make_cells(check: DeviceCheck) -> list[str]:
    facts, tool = check.facts, check.tool
    cpu_features = facts.get("cpu_features", "").split()
    features = [name for name in ("asimd", "asimddp") if name in cpu_features]
    free = format_bytes(int(facts["free_bytes"])) if "free_bytes" in facts else "–"
    return [
        "yes" if facts else "no",
        _describe_userland(facts),
        " ".join(features) or "–",
        _describe_system(facts),
        free,
        facts.get("governor", "–"),
        _describe_temperature(facts),
        f"{tool.name} {tool.interpreter or tool.sha256[:12]}" if tool else "no",
    ]


def _describe_temperature(facts: Mapping[str, str]) -> str:
    if "temperature_c" not in facts and "battery_c" in facts:
        return f"{facts['battery_c']} (battery)"
    return facts.get("temperature_c", "–")


def _describe_userland(facts: Mapping[str, str]) -> str:
    bits, machine = facts.get("userland_bits"), facts.get("machine", "–")
    if bits == "32" and machine in ("aarch64", "x86_64"):
        return f"32-bit on a 64-bit chip ({machine}): slow, install a 64-bit system"
    return f"{bits}-bit {machine}" if bits else machine


def _describe_system(facts: Mapping[str, str]) -> str:
    if "android" in facts:
        return f"Android {facts['android']}"
    return f"glibc {facts['glibc']}" if "glibc" in facts else "–"


def show_facts(path: Path, ids: Sequence[str]) -> int:
    """Print the facts of each device, and return how many can't be reached."""
    selected, access = select_with_access(path, ids)
    checks = _check_all(selected, access, with_tool=False)
    rows: list[tuple[str, str, str]] = []
    for check in checks:
        rows += [(check.device.id, name, value) for name, value in check.facts.items()]
    make_console().print(tabulate(("device", "fact", "value"), rows))
    return _report_failures(checks)


def add_device(path: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry to the registry, without its empty keys."""
    add_entry(path, {key: value for key, value in entry.items() if value not in (None, [], ())})
    id = entry["id"]
    trust = f"record its host key with `harness devices trust {id}`, then " * (
        entry["kind"] == "ssh"
    )
    print(f"{path}: added {id}; {trust}check it with `harness devices check {id}`.")


def parse_cores(text: str | None) -> list[int] | str | None:
    """Return the core numbers, or `big` or `all`. Raises RequestError for any other text."""
    if text is None or text in ("big", "all"):
        return text
    numbers = text.split(",")
    if not all(number.strip().isdecimal() for number in numbers):
        raise RequestError(f"--cpus {text}: give big, all, or whole numbers, for example 2,3.")
    return [int(number) for number in numbers]


def add_phone(path: Path, entry: Mapping[str, Any]) -> None:
    """Add a phone's entry to the registry, and say what keeps the phone from being ready.

    Raises ConfigError if its serial stands for several of the attached phones.
    """
    note = _describe_attached(path, serial=entry["serial"], via=entry.get("via"))
    add_device(path, entry)
    if note:
        print(note)


def _describe_attached(path: Path, serial: str, via: str | None) -> str:
    """Return a sentence on the state of the phone, or an empty text if nothing stops it."""
    registry = {device.id: device for device in read_devices(path)} if path.exists() else {}
    if via is not None and via not in registry:
        return ""
    try:
        phones = list_phones(LocalLink() if via is None else make_link(registry[via], registry))
    except CaseFailed:
        return ""  # the phone may be attached later, and the hub may be off
    matching = [phone for phone in phones if serial in (phone.serial, phone.address)]
    if len(matching) > 1:
        addresses = [phone.address for phone in matching if phone.address]
        remedy = f"use --serial {' or '.join(addresses)}" if addresses else "attach one at a time"
        raise ConfigError(f"--serial {serial} stands for {len(matching)} phones: {remedy}.")
    if not matching:
        others = ", ".join(phone.label for phone in phones) or "none"
        return f"No phone with the serial {serial} is attached now; attached: {others}."
    (phone,) = matching
    return "" if phone.is_ready else f"{phone.label} is not ready: {phone.remedy}."


def discover(path: Path, via: str | None, *, register: bool) -> int:
    """List the phones on this machine or a hub; with `register`, add entries for new ones.

    Return how many should have been registered and are not ready.
    """
    devices = read_devices(path) if path.exists() else ()
    registry = {device.id: device for device in devices}
    link = LocalLink() if via is None else make_link(select_devices(devices, [via])[0], registry)
    registered = {
        device.serial: device.id
        for device in devices
        if isinstance(device, AdbDevice) and device.via == via
    }
    phones = list_phones(link)
    _print_phones(phones, registered)
    new_phones = [phone for phone in phones if not _find_entry(phone, registered)]
    ready_phones = [phone for phone in new_phones if phone.is_ready]
    if not register:
        if ready_phones:
            print("`--add` registers the new phones.")
        return 0
    for phone in ready_phones:
        id = _find_free_id(phone.model.lower().replace("_", "-") or "phone", registry)
        entry = {"id": id, "kind": "adb", "serial": phone.address, **({"via": via} if via else {})}
        add_device(path, entry)
        registry[id] = AdbDevice(id=id, serial=phone.address)
    return len(new_phones) - len(ready_phones)


def _find_entry(phone: AttachedPhone, registered: Mapping[str, str]) -> str:
    """Return the id of the entry for a phone's address or its port, or an empty text."""
    return registered.get(phone.address) or registered.get(phone.port) or ""


def _print_phones(phones: Sequence[AttachedPhone], registered: Mapping[str, str]) -> None:
    """Print the phones, and what to do about each that is not ready."""
    if not phones:
        print("No phone is attached: plug one in, and switch its USB debugging on.")
        return
    rows = [
        (
            phone.serial,
            phone.port or "–",
            phone.model or "–",
            "ready" if phone.is_ready else phone.state.partition(" (")[0].partition(";")[0],
            _find_entry(phone, registered) or "no",
        )
        for phone in phones
    ]
    make_console().print(tabulate(("serial", "port", "model", "state", "registered"), rows))
    for phone in phones:
        if not phone.is_ready:
            print(f"{phone.label} is not ready: {phone.remedy}.")


def _find_free_id(name: str, registry: Mapping[str, Device]) -> str:
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(registry) + 3)))
    return next(id for id in candidates if id not in registry)


def trust(path: Path, id: str, *, confirm: Callable[[str], bool]) -> None:
    """Show an ssh device's host key, and record it in the registry if the user confirms."""
    from harness.devices.host_keys import describe_key
    from harness.devices.ssh_connection import fetch_host_key

    devices = read_devices(path)
    device = select_devices(devices, [id])[0]
    if not isinstance(device, SshDevice):
        raise RequestError(
            f"device {id!r} is of kind {device.kind}; only ssh devices have a host key."
        )
    key = fetch_host_key(hops_of(device, {entry.id: entry for entry in devices}))
    print(f"{id} ({_format_address(device)}) has the host key {describe_key(key)}")
    if device.host_key is not None and parse_public_key(device.host_key) == key:
        print("This key is already trusted.")
        return
    if device.host_key is not None:
        print("A DIFFERENT key was trusted before: continue only if the device was reinstalled.")
    question = "Does `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` print this on the device?"
    if not confirm(question):
        raise RequestError(f"device {id}: its key was not recorded.")
    set_key(path, id, key="host_key", value=str(key))
    print(f"{path}: recorded as the host_key of {id}.")


def clean_devices(path: Path, ids: Sequence[str], keep_mb: int) -> int:
    """Remove files from devices, and return how many could not be cleaned."""
    selected, access = select_with_access(path, ids)
    failures: list[CaseFailed] = []
    clean = partial(clean_device, access=access, limit_bytes=keep_mb * 1_000_000)
    for device, freed in map_devices(selected, clean):
        if isinstance(freed, CaseFailed):
            failures.append(freed)
            print_failure(freed)
        else:
            print(f"{device.id}: {format_bytes(freed)} freed")
    return len(failures)
