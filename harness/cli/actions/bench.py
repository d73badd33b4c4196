"""The implementation of `harness bench`, and of `--bench` of `harness submit sweep`."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from harness.cli.actions.models import LoadedModel, LoadedModels, load_models
from harness.cli.actions.session import Session, make_console, print_traceback
from harness.config.device_file import find_local_device, read_devices, select_devices
from harness.config.protocol import parse_protocol
from harness.conversion.anatomy import Tensor, read_input_names, read_inputs
from harness.conversion.inputs import InputChoices, choose_inputs, read_values
from harness.core.bench import MAX_THREADS, Case, ModelInput, Protocol, Run, with_threads
from harness.core.device import Device
from harness.core.errors import RequestError
from harness.core.quality import name_warnings
from harness.core.units import count_noun, format_us
from harness.fleet.events import (
    AnswerChecked,
    CaseGivenUp,
    CaseMeasured,
    CaseProfiled,
    DevicePlanned,
    DeviceSetAside,
    FleetEvent,
    LaneConnecting,
    LaneEnded,
    LaneIdle,
    LaneMessage,
    ProfileFailed,
    RunEnded,
)
from harness.fleet.plan import FleetRequest
from harness.fleet.run import FleetBench, FleetStores, bench_fleet, open_fleet
from harness.pipeline.follow import follow_sweep
from harness.pipeline.order import ArtifactsOrdered, Order, find_training_devices
from harness.report.terminal.tables import (
    describe_best,
    describe_warnings,
    print_leaderboard,
)
from harness.report.terminal.work import WorkProgress, show_work
from harness.store.database import check_writable
from harness.store.files.artifacts import ArtifactFiles
from harness.store.reading import read_results

NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class DeviceSelection:
    """The devices to bench, and the whole registry, which has their hubs and jump hosts."""

    devices: tuple[Device, ...]
    registry: dict[str, Device]


@dataclass(frozen=True)
class BenchOptions:
    """The options of a bench.

    `protocols` has one protocol for each thread count. The counts in a device's entry take
    precedence unless `threads_given`. `choices` are for the inputs of models,
    and `settings` (`KEY=VALUE`) are the parameters of functions that build one. `limits` are those
    of a search (see `FleetRequest`).
    """

    protocols: tuple[Protocol, ...]
    threads_given: bool = False
    force: bool = False
    dry_run: bool = False
    wait_s: float = 3600.0
    profile: bool = False
    check_answers: bool = False
    choices: InputChoices = field(default_factory=InputChoices)
    settings: Sequence[str] = ()
    limits: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def protocols_for(self, device: Device) -> tuple[Protocol, ...]:
        if self.threads_given or device.threads is None:
            return self.protocols
        return with_threads(self.protocols[0], device.threads)

    def make_request(
        self,
        devices: Sequence[Device],
        artifacts: Sequence[str] = (),
        inputs: Mapping[str, tuple[ModelInput, ...]] = MappingProxyType({}),
        *,
        uses_reference: bool = False,
    ) -> FleetRequest:
        return FleetRequest(
            tuple(artifacts),
            {device.id: self.protocols_for(device) for device in devices},
            force=self.force,
            wait_s=self.wait_s,
            dry_run=self.dry_run,
            profile=self.profile,
            check_answers=self.check_answers,
            inputs=inputs,
            uses_reference=uses_reference,
            limits=self.limits,
        )


def bench(
    models: Sequence[str], sweep: str | None, *, selection: DeviceSelection, options: BenchOptions
) -> int:
    """Bench models or a sweep's artifacts, and return how many models, cases and devices failed."""
    session = Session.from_environment()
    if models and sweep:
        raise RequestError("give models or --sweep, not both.")
    if options.choices.names and not models:
        raise RequestError("--input-shape, -range and -file are for models: give some.")
    files = None if options.dry_run else session.files
    loaded = load_models(models, options.settings)
    inputs = choose_all_inputs(loaded.models, options.choices, files=files)
    if not options.dry_run:
        _store_models(session, loaded)
    if models and not loaded.models:
        return len(loaded.failures)
    names = {model.artifact.sha256: model.name for model in reversed(loaded.models)}
    artifacts = dict.fromkeys(model.artifact.sha256 for model in loaded.models)
    return len(loaded.failures) + bench_artifacts(
        session,
        list(artifacts) or _find_artifacts(session, sweep),
        selection=selection,
        options=options,
        names=names,
        inputs=inputs,
        uses_reference=sweep is not None,
    )


@dataclass(frozen=True)
class ModelFileInputs:
    """The inputs of a model; `aliases` has their names by those in its signature."""

    id: str
    path: str
    tensors: tuple[Tensor, ...]
    aliases: Mapping[str, str]


def choose_all_inputs(
    models: Sequence[LoadedModel], choices: InputChoices, files: ArtifactFiles | None
) -> dict[str, tuple[ModelInput, ...]]:
    """Return what to feed to each model, by its artifact's id.

    Values from files are stored in `files`, unless it is None. Raises RequestError if a model
    leaves a size open, or if no model has an input that was chosen.
    """
    model_inputs = list(map(_read_inputs, models))
    names: dict[str, None] = {}
    for model in model_inputs:
        names.update(dict.fromkeys([*(tensor.name for tensor in model.tensors), *model.aliases]))
    for name in sorted(choices.names.difference(names)):
        raise RequestError(f"The models have no input {name}; their inputs: {', '.join(names)}.")
    return {model.id: _choose_inputs(model, choices, files=files) for model in model_inputs}


def _choose_inputs(
    model: ModelFileInputs, choices: InputChoices, files: ArtifactFiles | None
) -> tuple[ModelInput, ...]:
    choices = choices.rename(model.aliases)
    values = read_values(model.path, model.tensors, choices=choices)
    inputs = choose_inputs(model.path, model.tensors, choices=choices, values=values)
    if files is not None:
        for array in values.values():
            files.save_values(array.tobytes())
    return inputs


def _read_inputs(model: LoadedModel) -> ModelFileInputs:
    try:
        tensors, aliases = read_inputs(model.content), read_input_names(model.content)
    except ValueError as error:
        raise RequestError(f"{model.name}: {error}; give a .tflite file.") from error
    return ModelFileInputs(model.artifact.sha256, model.name, tensors=tensors, aliases=aliases)


def select_bench_devices(
    registry: Path, *, fleet: bool, ids: Sequence[str] = (), tags: Sequence[str] = ()
) -> DeviceSelection:
    """Return the devices with these ids or tags, or all enabled ones, or else this machine.

    Raises RequestError if no device is selected.
    """
    if not fleet and not ids and not tags:
        local_device = find_local_device(registry)
        return DeviceSelection((local_device,), {local_device.id: local_device})
    devices = read_devices(registry)
    enabled = [
        device
        for device in devices
        if device.enabled and (fleet or not set(tags).isdisjoint(device.tags))
    ]
    selected = tuple(dict.fromkeys([*select_devices(devices, ids), *enabled]))
    if not selected:
        raise RequestError(
            f"{registry}: no enabled device"
            + (f" has the tag {' or '.join(tags)}." if tags else "; enable one.")
        )
    return DeviceSelection(selected, {device.id: device for device in devices})


def parse_protocols(text: str, threads: str) -> tuple[Protocol, ...]:
    """Return the protocol for each thread count. Raises RequestError if either is invalid."""
    protocol = parse_protocol(text)
    counts = [
        int(count) if re.fullmatch(r"\s*[0-9]{1,4}\s*", count) else 0
        for count in threads.split(",")
    ]
    if not all(1 <= count <= MAX_THREADS for count in counts):
        raise RequestError(
            f"--threads {threads}: give whole numbers from 1 to {MAX_THREADS}, for example 1,4."
        )
    return with_threads(protocol, counts)


def _store_models(session: Session, loaded: LoadedModels) -> None:
    for model in loaded.models:
        session.files.save(model.content)
        if model.form:
            session.forms.save(model.form, model.artifact)
        else:
            session.trials.add_artifact(model.artifact, model.file_name)
    for form, failure in loaded.failures:
        session.forms.fail(form, failure)


def _find_artifacts(session: Session, sweep: str | None) -> list[str]:
    """Return the ids of the sweep's artifacts. Raises RequestError if there are none."""
    if sweep is None:
        raise RequestError(
            f"give models or --sweep NAME; sweeps in this workspace: {_list_sweeps(session)}."
        )
    if not (artifacts := session.trials.get_sweep_artifacts(sweep)):
        raise RequestError(
            f"--sweep {sweep}: no finished trials in this workspace; "
            f"its sweeps: {_list_sweeps(session)}."
        )
    return artifacts


def _list_sweeps(session: Session) -> str:
    return ", ".join(session.trials.list_sweeps()) or "none yet"


def bench_artifacts(
    session: Session,
    artifacts: Sequence[str],
    *,
    selection: DeviceSelection,
    options: BenchOptions,
    future_artifacts: int = 0,
    names: Mapping[str, str] = NO_NAMES,
    inputs: Mapping[str, tuple[ModelInput, ...]] = MappingProxyType({}),
    uses_reference: bool = False,
) -> int:
    """Measure the missing cases, print all results, and return how many cases and devices failed.

    A dry run also counts the cases of `future_artifacts` that do not exist yet. `names` are those
    of artifacts that people know by another name than their id, and `inputs` what is fed to them.
    `uses_reference` makes batches comparable, as a sweep's are.
    """
    out = make_console()
    request = options.make_request(
        selection.devices, artifacts, inputs=inputs, uses_reference=uses_reference
    )
    device_ids = [device.id for device in selection.devices]
    with show_work(out, devices=device_ids) as progress:
        reporter = BenchReporter(
            out,
            progress,
            names=names,
            list_cases=options.dry_run,
            future_cases={id: future_artifacts * len(request.protocols[id]) for id in device_ids},
        )
        running = bench_fleet(
            selection.devices,
            selection.registry,
            request=request,
            stores=make_fleet_stores(session),
        )
        with closing(running) as events:  # its lanes end before an error here is printed
            for event in events:
                reporter.report(event)
    reporter.repeat_problems()
    if not options.dry_run:
        show_results(session, artifacts, devices=device_ids, out=out)
    return reporter.failures


def follow(
    models: Sequence[str], sweep: str | None, *, selection: DeviceSelection, options: BenchOptions
) -> int:
    """Bench the artifacts of a sweep that another process trains, until it has ended.

    Return how many cases and devices failed.
    """
    session, out = Session.from_environment(), make_console()
    if models or sweep is None or options.dry_run:
        raise RequestError("--follow needs --sweep NAME, and neither models nor --dry-run.")
    if sweep not in session.trials.list_sweeps():
        raise RequestError(
            f"--sweep {sweep}: has not been submitted to this workspace; "
            f"its sweeps: {_list_sweeps(session)}."
        )
    planned = sum(trial.is_planned for trial in session.trials.list_trials(sweep))
    out.print(f"Following {sweep}: {count_noun(planned, 'trial')} to come. Ctrl-C ends this bench.")
    with (
        show_work(out, devices=[device.id for device in selection.devices]) as progress,
        open_bench(session, selection, options=options, out=out, progress=progress) as (
            running,
            reporter,
        ),
    ):
        order = Order(running, selection.devices)
        if planned:
            training = find_training_devices(selection.devices)
            order.hold(training)
            for id in training:
                progress.hold(id, f"{id}: may train, so it is measured when training is over.")
        read_trials = partial(session.trials.list_trials, sweep)
        for event in follow_sweep(running, order, read_trials=read_trials):
            reporter.report(event)
    show_results(
        session,
        session.trials.get_sweep_artifacts(sweep),
        devices=[device.id for device in selection.devices],
        out=out,
    )
    return reporter.failures


@contextmanager
def open_bench(
    session: Session,
    selection: DeviceSelection,
    *,
    options: BenchOptions,
    out: Console,
    progress: WorkProgress,
) -> Iterator[tuple[FleetBench, "BenchReporter"]]:
    """Start a bench of a sweep that is still being trained; the context's end ends it.

    Report its events to the reporter.
    """
    request = options.make_request(selection.devices, uses_reference=True)
    with open_fleet(
        selection.devices,
        selection.registry,
        request=request,
        stores=make_fleet_stores(session),
    ) as fleet:
        reporter = BenchReporter(out, progress, announces_plans=False)
        yield fleet, reporter
    reporter.repeat_problems()


def make_fleet_stores(session: Session) -> FleetStores:
    check_writable(session.engine)  # even a dry run leases the devices that it asks
    tools = session.tools.newest_by_name()
    return FleetStores(
        session.workspace,
        session.files,
        cases=session.cases,
        devices=session.devices,
        leases=session.leases,
        observations=session.observations,
        tools=tools,
    )


class BenchReporter:
    """A reporter of the events of a bench, which also counts the failures.

    `names` are those of artifacts by id. It announces the plan of each device, unless artifacts
    come one by one, and lists its cases if `list_cases`. `future_cases` is the number of cases of
    each device whose artifacts do not exist yet.
    """

    def __init__(
        self,
        out: Console,
        progress: WorkProgress,
        *,
        names: Mapping[str, str] = NO_NAMES,
        announces_plans: bool = True,
        list_cases: bool = False,
        future_cases: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._out = out
        self._progress = progress
        self._names = names
        self._announces_plans = announces_plans
        self._list_cases = list_cases
        self._future_cases = future_cases
        self.failures = 0
        self._set_aside: list[str] = []

    def report(self, event: FleetEvent | ArtifactsOrdered) -> None:
        """Show an event, and count it if something failed."""
        if isinstance(event, ArtifactsOrdered):
            self._progress.order(event.artifacts, event.waiting)
        else:
            self._report(event)

    def _report(self, event: FleetEvent) -> None:
        id = event.device.id
        match event:
            case LaneMessage():
                self._progress.set_status(id, event.text)
            case LaneConnecting():
                self._progress.set_status(id, "connecting", is_brief=True)
            case DevicePlanned():
                self._report_plan(event)
            case LaneIdle():
                self._progress.set_status(id, "waiting for artifacts", is_brief=True)
            case RunEnded(run=run) if run is not None:
                self._progress.update(
                    id,
                    event.case.artifact,
                    text=f"{describe_case(event.case, self._names)}, {_describe_run(run)}",
                    progress=event.progress,
                    temperature_c=run.sensors.temperature_c,
                )
            case CaseMeasured():
                summary = event.measurement.summary
                result = f"{format_us(summary.latency_us)}, {name_warnings(summary.warnings)}"
                self._end_case(event, f"{self._name(event.case)}: {result}")
            case CaseGivenUp(failure=failure):
                self.failures += 1
                line = f"{self._name(event.case)}: failed ({failure.reason}): {failure}"
                self._end_case(event, line)
            case AnswerChecked(answer=answer) if answer.message:
                model = name_model(answer.artifact, self._names)
                self._progress.set_status(id, f"{model}: {answer.message}")
            case CaseProfiled():
                operators = count_noun(len(event.operators), "operator")
                self._progress.set_status(id, f"{self._name(event.case)}: {operators} profiled")
            case ProfileFailed(failure=failure, case=case):
                self.failures += 1
                start = "" if case is None else f"{self._name(case)}: "
                self._progress.set_status(id, f"{start}not profiled ({failure.reason}): {failure}")
            case DeviceSetAside():
                self._report_set_aside(event)
            case LaneEnded():
                self._progress.end_device(id)

    def repeat_problems(self) -> None:
        """Print again, to standard error, which devices were set aside."""
        for line in self._set_aside:
            print(line, file=sys.stderr)

    def _end_case(self, event: CaseMeasured | CaseGivenUp, line: str) -> None:
        if event.is_reference:
            self._progress.set_status(event.device.id, f"{line}, as the reference")
        else:
            self._progress.end_case(event.device.id, event.case.artifact, line=line)

    def _name(self, case: Case) -> str:
        return name_case(case, self._names)

    def _report_plan(self, event: DevicePlanned) -> None:
        self._progress.add_cases(
            event.device.id,
            [case.artifact for case in event.to_measure],
            measured=[case.artifact for case in event.measured],
        )
        if self._list_cases:
            for case in event.to_measure:
                self._out.print(
                    f"  to measure: {self._name(case)}, {case.protocol.name}", soft_wrap=True
                )
        if not self._announces_plans:
            return
        future = self._future_cases.get(event.device.id, 0)
        later = f", {future} more once the new trials are done" if future else ""
        total = len(event.to_measure) + len(event.measured) + future
        counts = f"{len(event.to_measure)} to measure{later}, {len(event.measured)} already done"
        self._out.print(
            f"{event.device.id}: {count_noun(total, 'case')}, {counts}.", soft_wrap=True
        )

    def _report_set_aside(self, event: DeviceSetAside) -> None:
        self.failures += 1
        cases = "its cases" if event.cases_left is None else count_noun(event.cases_left, "case")
        line = (
            f"set aside ({event.failure.reason}), {cases} left for a later bench: {event.failure}"
        )
        self._progress.set_aside(event.device.id, line)
        self._set_aside.append(f"{event.device.id}: {line}")
        print_traceback(event.failure)


def _describe_run(run: Run) -> str:
    disturbance = f", does not count: {run.disturbed}" if run.disturbed else ""
    return f"process {run.process.number}{disturbance}"


def name_case(case: Case, names: Mapping[str, str] = NO_NAMES) -> str:
    """Return a case's model, device and threads; `names` are those of artifacts by id."""
    model = _name_input(case, names)
    return f"{model} on {case.device}, {count_noun(case.protocol.threads, 'thread')}"


def describe_case(case: Case, names: Mapping[str, str]) -> str:
    """Return a case's model and threads, as short as a table beside its device needs it."""
    short_names = {artifact: Path(name).name for artifact, name in names.items()}
    return f"{_name_input(case, short_names)}, {count_noun(case.protocol.threads, 'thread')}"


def _name_input(case: Case, names: Mapping[str, str]) -> str:
    return " ".join([name_model(case.artifact, names), *map(str, case.inputs)])


def name_model(artifact: str, names: Mapping[str, str]) -> str:
    """Return the start of an artifact's id, after its name if `names` has one."""
    id = artifact[:12]
    return f"{names[artifact]} ({id})" if artifact in names else id


def show_results(
    session: Session, artifacts: Sequence[str], devices: Sequence[str], out: Console
) -> None:
    rows = read_results(session.reader, artifacts=artifacts, devices=devices)
    if rows:
        out.print()
        print_leaderboard(out, rows)
        for sentence in (*describe_best(rows), *describe_warnings(rows)):
            out.print(sentence)
