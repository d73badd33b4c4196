"""The parts of `harness submit sweep` for a search that hears devices."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harness.cli.actions.bench import DeviceSelection
from harness.cli.actions.session import Session
from harness.config.device_file import read_devices
from harness.core.device import Device
from harness.core.errors import CaseFailed, RequestError
from harness.core.search import Search, name_metric
from harness.core.sweep import Sweep
from harness.fleet.device_check import DeviceAccess, check_device, map_devices
from harness.fleet.device_tool import refuse_missing_tool
from harness.fleet.run import FleetBench
from harness.pipeline.point_rows import PointRows
from harness.pipeline.run import HearingSearch
from harness.pipeline.search_setup import SearchDevices, open_device_search
from harness.store.reading import read_results
from harness.sweep.study import Study
from harness.training.search import SearchedUnits


def find_search_devices(
    file: Path, sweep: Sweep, *, registry: Path, bench: bool
) -> SearchDevices | None:
    """Return the devices that the sweep's search asks; None if it asks none.

    Raises RequestError if they can't be asked.
    """
    metrics = sweep.search.device_metrics
    if not metrics:
        return None
    if not bench:
        raise RequestError(
            f"{file}: search asks for {name_metric(metrics[0])}; add --bench, so that the device "
            "measures it."
        )
    return SearchDevices.resolve(sweep, read_devices(registry))


def refuse_unfit_devices(session: Session, search: Search, *, devices: SearchDevices) -> None:
    """Raise RequestError if a device that the search asks has no tool, or not the sensor for it."""
    tools = session.tools.newest_by_name()
    for device in devices.devices:
        try:
            refuse_missing_tool(device, tools)
        except CaseFailed as failure:
            raise RequestError(str(failure)) from failure
    _refuse_missing_sensors(session, search, devices=devices)


def _refuse_missing_sensors(session: Session, search: Search, *, devices: SearchDevices) -> None:
    """Raise RequestError if a device that is monitored for energy has no sensor of it.

    A device that does not answer is not refused: it may come back during the search.
    """
    monitored: dict[str, Device] = {}
    for metric in search.device_metrics:
        if metric.metric == "energy":
            monitored |= {device.id: device for device in devices.by_place[metric.on or ""]}
    without_command = [device for device in monitored.values() if device.power is None]
    access = DeviceAccess(devices.registry, session.workspace, tools={})
    check = partial(check_device, access=access, with_tool=False)
    for device, checked in map_devices(without_command, check):
        if isinstance(checked, CaseFailed) or checked.failure is not None:
            continue
        if "power_sensors" not in checked.facts:
            raise RequestError(
                f"search asks for energy on {device.id}, which has no power sensor; "
                "add `power`, a command that prints watts, to its entry."
            )


def select_devices_for(devices: SearchDevices, fleet: DeviceSelection | None) -> DeviceSelection:
    """Return the devices that a search's sweep is measured on: those it asks, and the `fleet`."""
    of_fleet = fleet.devices if fleet else ()
    by_id = {device.id: device for device in (*devices.devices, *of_fleet)}
    return DeviceSelection(tuple(by_id.values()), dict(devices.registry))


@contextmanager
def open_search(
    session: Session,
    sweep: Sweep,
    *,
    study: Study,
    units: SearchedUnits,
    devices: SearchDevices,
    bench: FleetBench,
    rows: PointRows,
    trains: bool = True,
) -> Iterator[HearingSearch]:
    """Open the search of a sweep on a bench that measures for it."""
    with open_device_search(
        sweep,
        study,
        units=units,
        targets=devices.targets,
        bench=bench,
        rows=rows,
        forms=session.forms,
        files=session.files,
        read_rows=partial(_read_rows, session),
        trains=trains,
    ) as search:
        yield HearingSearch(search, devices)


def _read_rows(
    session: Session, artifacts: Sequence[str], devices: Sequence[str]
) -> list[dict[str, Any]]:
    return read_results(session.reader, artifacts=artifacts, devices=devices)
