"""`devices.yaml` → devices."""

from pathlib import Path

from harness.core.bench import Device, Registry
from harness.core.errors import SpecError
from harness.spec.document import check, read_document

DEVICES_FILE = Path("devices.yaml")
THIS_MACHINE = Device(id="here", kind="local")


def read_devices(path: Path) -> tuple[Device, ...]:
    """Every device of the registry, the disabled ones too. Raises SpecError."""
    document = read_document(path)
    devices = check(document, Registry, document.content).devices
    seen: set[str] = set()
    for index, device in enumerate(devices):
        if device.id in seen:
            raise document.error(
                ("devices", index, "id"), f"is {device.id!r} a second time; give each device an id of its own."
            )
        seen.add(device.id)
    return devices


def this_machine(path: Path) -> Device:
    """The registry's enabled local device, or one called `here` where there is none."""
    if path == DEVICES_FILE and not path.exists():
        return THIS_MACHINE
    local = [device for device in read_devices(path) if device.kind == "local" and device.enabled]
    return local[0] if local else THIS_MACHINE


def named(devices: tuple[Device, ...], ids: list[str]) -> tuple[Device, ...]:
    """Raises SpecError for an id that is not registered."""
    known = {device.id: device for device in devices}
    for wanted in ids:
        if wanted not in known:
            raise SpecError(f"device {wanted!r} is not registered; known: {', '.join(known)}.")
    return tuple(known[wanted] for wanted in ids)
