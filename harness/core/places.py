"""The devices that a search's objectives and constraints name."""

from collections.abc import Mapping, Sequence

from harness.core.device import Device
from harness.core.errors import RequestError
from harness.core.search import Search, SearchMetric

_MAX_NAMES = 12


def resolve_places(
    search: Search, devices: Sequence[Device], threads: Sequence[int]
) -> Mapping[str, tuple[Device, ...]]:
    """Return the enabled devices of each `on`: the one with this id, or all with this tag.

    `devices` are the whole registry, and `threads` the counts of the sweep. Raises RequestError for
    an unknown name, one without an enabled device, and threads that a device does not measure.
    """
    places: dict[str, tuple[Device, ...]] = {}
    for metric in search.device_metrics:
        place = metric.on or ""  # a device's metric always has it
        places[place] = _find_devices(metric, place, devices=devices)
        for device in places[place]:
            _check_threads(metric, device, threads=threads)
    return places


def _find_devices(metric: SearchMetric, name: str, devices: Sequence[Device]) -> tuple[Device, ...]:
    named = [device for device in devices if device.id == name]
    named = named or [device for device in devices if name in device.tags]
    if not named:
        raise RequestError(
            f"search asks for {metric}, but no device has this id or tag; "
            f"choose from: {_list_places(devices)}."
        )
    enabled = tuple(device for device in named if device.enabled)
    if not enabled:
        ids = _join_names([device.id for device in named])
        raise RequestError(
            f"search asks for {metric}, but is disabled there: {ids}; set enabled to true."
        )
    return enabled


def _check_threads(metric: SearchMetric, device: Device, threads: Sequence[int]) -> None:
    """Raise RequestError if the device's entry has other counts than the metric's."""
    count = metric.threads or threads[0]
    if device.threads is not None and count not in device.threads:
        raise RequestError(
            f"search asks for {metric}, but {device.id} is measured with other threads; "
            f"add {count} to threads in its entry."
        )


def _list_places(devices: Sequence[Device]) -> str:
    """Return the ids of all enabled devices, then their tags."""
    names: dict[str, None] = {}
    for device in devices:
        if device.enabled:
            names[device.id] = None
    for device in devices:
        if device.enabled:
            names.update(dict.fromkeys(device.tags))
    return _join_names(list(names)) or "nothing, as no device is enabled"


def _join_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
