"""The set-up of a search that hears devices: its devices, its limits and its parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial

from harness import data
from harness.bench.quality import MIN_RUNS
from harness.core.device import Device
from harness.core.errors import DataUnavailable, RequestError
from harness.core.forms import Form
from harness.core.places import resolve_places
from harness.core.rating import Targets
from harness.core.search import Search, name_metric
from harness.core.sweep import Sweep, Trial
from harness.data import Dataset
from harness.fleet.run import FleetBench
from harness.pipeline.device_search import DeviceSearch
from harness.pipeline.first_looks import FirstLooks, find_form
from harness.pipeline.order import find_training_devices
from harness.pipeline.point_rows import PointRows
from harness.pipeline.readings import Readings, ReadRows
from harness.store.files.artifacts import ArtifactFiles
from harness.store.rows.forms import FormRows
from harness.sweep.study import Study
from harness.training.form_builder import FormBuilder
from harness.training.search import SearchedUnits


@dataclass(frozen=True)
class SearchDevices:
    """The devices that a search asks: those of each `on`, and the threads of the sweep.

    `registry` has their hubs and jump hosts, too.
    """

    by_place: Mapping[str, tuple[Device, ...]]
    threads: int
    registry: Mapping[str, Device] = field(default_factory=dict)

    @classmethod
    def resolve(cls, sweep: Sweep, registry: Sequence[Device]) -> "SearchDevices":
        """Find the devices of a search.

        Raises RequestError if one is unknown or disabled, or can't decide a limit.
        """
        _refuse_few_processes(sweep)
        threads = [protocol.threads for protocol in sweep.protocols]
        return cls(
            resolve_places(sweep.search, registry, threads=threads),
            threads[0],
            registry={device.id: device for device in registry},
        )

    @property
    def devices(self) -> tuple[Device, ...]:
        """All of them, once each."""
        by_id: dict[str, Device] = {}
        for devices in self.by_place.values():
            by_id.update({device.id: device for device in devices})
        return tuple(by_id.values())

    @property
    def targets(self) -> Targets:
        return Targets(
            {name: _ids_of(devices) for name, devices in self.by_place.items()}, self.threads
        )

    def refuse_training(self, node_addresses: frozenset[str] = frozenset()) -> None:
        """Raise RequestError if one of them trains, too: its numbers would be disturbed."""
        for device in find_training_devices(self.devices, node_addresses).values():
            raise RequestError(
                f"search asks {device.id}, which trains, too, so that its numbers would come late "
                "and be disturbed; name another device, or measure without training: "
                "`--dry-run --measure`."
            )


def _refuse_few_processes(sweep: Sweep) -> None:
    """Raise RequestError if no case has an interval, which decides whether it keeps a limit."""
    limited = [limit for limit in sweep.search.constraints if limit.metric in ("latency", "energy")]
    fewest = min(protocol.process_limit for protocol in sweep.protocols)
    if limited and fewest < MIN_RUNS:
        raise RequestError(
            f"search limits {name_metric(limited[0])}, but bench.protocol has {fewest} processes "
            f"at most, and an interval needs {MIN_RUNS}; raise max_processes."
        )


def _ids_of(devices: Sequence[Device]) -> list[str]:
    return [device.id for device in devices]


def find_limits(search: Search, targets: Targets) -> dict[tuple[str, int], float]:
    """Return the lowest latency limit, in µs, of each device and number of threads."""
    limits: dict[tuple[str, int], float] = {}
    for constraint in search.constraints:
        if constraint.metric == "latency":
            for id in targets.devices[constraint.on or ""]:
                key = (id, constraint.threads or targets.threads)
                limits[key] = min(limits.get(key, constraint.at_most), constraint.at_most)
    return limits


@contextmanager
def open_device_search(
    sweep: Sweep,
    study: Study,
    *,
    units: SearchedUnits,
    targets: Targets,
    bench: FleetBench,
    rows: PointRows,
    forms: FormRows,
    files: ArtifactFiles,
    read_rows: ReadRows,
    trains: bool = True,
) -> Iterator[DeviceSearch]:
    """Open a search whose untrained networks a bench measures; the context ends their building."""
    with FormBuilder() as builder:
        yield DeviceSearch(
            study,
            units,
            search=sweep.search,
            targets=targets,
            looks=FirstLooks(forms, files, build=builder.build),
            readings=Readings(read_rows, protocol=sweep.protocols[0].name),
            find_form=_make_form_finder(sweep.sources),
            measure=partial(bench.add, devices=targets.list_devices()),
            rows=rows,
            trains=trains,
        )


def _make_form_finder(sources: Mapping[str, str]) -> Callable[[Trial], Form | None]:
    """Return a function that finds the form of a trial; None if its data set is unavailable.

    Such a trial fails when it is trained, with the reason.
    """

    @cache
    def load(name: str) -> Dataset | None:
        try:
            return data.load(sources[name])
        except DataUnavailable:
            return None

    def find(trial: Trial) -> Form | None:
        dataset = load(trial.dataset)
        return None if dataset is None else find_form(trial, dataset)

    return find
