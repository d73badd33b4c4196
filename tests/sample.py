"""A plausible workspace, written by the store's own writers: six devices, a sweep of 24 trials, eight weeks of benches.

The figures, the page and the notebooks are tried on it. Of one seed, every number in it is the same.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import product
from math import exp, log2
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine, update

from harness.bench.summary import summarise
from harness.core.bench import (
    PROTOCOLS,
    BatchSlot,
    Case,
    Measurement,
    Process,
    Protocol,
    Run,
    SensorSummary,
    Timing,
    Tool,
    ToolLog,
)
from harness.core.device import AdbDevice, Device, LocalDevice, SshDevice
from harness.core.errors import CaseFailed, Reason, Unreachable
from harness.core.ids import content_id, omit_defaults, sha256_of, to_plain
from harness.core.observations import Batch, Canary, Kernels, KernelVerdict, OperatorTime, Role
from harness.core.recipe import Recipe
from harness.core.sweep import (
    Anatomy,
    Artifact,
    Epoch,
    Failure,
    Precision,
    Resources,
    Sweep,
    Timings,
    Trial,
    TrialOutcome,
)
from harness.models.mlp import Mlp
from harness.store import tables
from harness.store.database import open_database
from harness.store.files.artifacts import ArtifactFiles
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.observations import ObservationRows
from harness.store.rows.trials import TrialRows

SWEEP = "fashion_widths"
UNITS = (64, 256, 1024, 4096)
SEEDS = (0, 1)
EPOCHS = 12
PROCESSES = 10
WEEKS = 8
LAST_DAY = datetime(2026, 11, 20, 9, tzinfo=timezone.utc)
_RECIPE = Recipe(epochs=EPOCHS, learning_rate=0.003)
Made = Sequence[tuple[Trial, Artifact]]
_MOMENTS: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 0), ("after", 1))
_PROTOCOL = replace(PROTOCOLS["standard"], max_processes=PROCESSES)


@dataclass(frozen=True)
class Model:
    """How a made-up device behaves: `ns_a_mac` by precision at one thread, `idle_uw` where it measures power."""

    device: Device
    facts: Mapping[str, str]
    tool: Tool
    ns_a_mac: Mapping[Precision, float]
    overhead_us: float
    spread: float
    threads: tuple[int, ...] = (1,)
    rest_c: float | None = None
    idle_uw: float | None = None


def _speeds(binary: float, float32: float, int8: float) -> dict[Precision, float]:
    return {Precision.BINARY: binary, Precision.FLOAT32: float32, Precision.INT8: int8}


def _tool(name: str, interpreter: str = "") -> Tool:
    return Tool(name, sha256_of(name.encode()), interpreter=interpreter)


_AARCH64, _ANDROID = (
    _tool("lce_benchmark_model_aarch64"),
    _tool("lce_benchmark_model_android_arm64"),
)
_PI4 = {
    "machine": "aarch64",
    "model": "Raspberry Pi 4 Model B Rev 1.4",
    "cpus": "4",
    "memory_bytes": "4025954304",
}
_BOARD = {"kernel": "6.6.51+rpt-rpi-v8", "governor": "ondemand", "glibc": "2.36"}
_PHONE = {"machine": "aarch64", "android": "15", "cpus": "8"}

MODELS = (
    Model(
        LocalDevice(id="workstation"),
        {"machine": "x86_64", "cpu": "AMD Ryzen 7 5700G", "cpus": "16", "kernel": "6.1.0", "governor": "schedutil"},
        tool=_tool("python_runner", "larq-compute-engine 0.16.0"),
        ns_a_mac=_speeds(0.075, 0.09, int8=0.06),
        overhead_us=1.5,
        spread=0.030,
    ),
    Model(
        SshDevice(id="pi4-a", host="pi4-a.lab"), {**_PI4, **_BOARD}, tool=_AARCH64, ns_a_mac=_speeds(0.021, 0.36, int8=0.16), overhead_us=4, spread=0.004,
        threads=(1, 4), rest_c=52.0,
    ),
    Model(
        SshDevice(id="pi4-b", host="pi4-b.lab"), {**_PI4, **_BOARD}, tool=_AARCH64, ns_a_mac=_speeds(0.022, 0.37, int8=0.16), overhead_us=4, spread=0.012,
        threads=(1, 4), rest_c=58.0,
    ),
    Model(
        SshDevice(id="pi5", host="pi5.lab"),
        {**_PI4, **_BOARD, "model": "Raspberry Pi 5 Model B Rev 1.0", "memory_bytes": "8458534912"},
        tool=_AARCH64,
        ns_a_mac=_speeds(0.009, 0.13, int8=0.045),
        overhead_us=2,
        spread=0.003,
        threads=(1, 4),
        rest_c=49.0,
        idle_uw=2.7e6,
    ),
    Model(
        AdbDevice(id="pixel6", serial="1A051FDF6007"), {**_PHONE, "model": "Pixel 6"}, tool=_ANDROID,
        ns_a_mac=_speeds(0.007, 0.10, int8=0.028), overhead_us=2, spread=0.010, threads=(1,), rest_c=36.0, idle_uw=9.0e5,
    ),
    Model(
        AdbDevice(id="galaxy-s21", serial="R5CR10ABCDE"), {**_PHONE, "model": "SM-G991B"}, tool=_ANDROID,
        ns_a_mac=_speeds(0.008, 0.11, int8=0.030), overhead_us=2, spread=0.045, threads=(1,), rest_c=39.0,
    ),
)  # fmt: skip


def sample(home: Path, *, seed: int = 0) -> None:
    """Writes it as the workspace `home`."""
    engine = open_database(f"sqlite:///{home / 'harness.db'}")
    rng = random.Random(seed)
    made = list(_trials(engine, ArtifactFiles(home / "artifacts"), rng=rng))
    for at, model in enumerate(MODELS):
        _bench(engine, model, made=made, day=LAST_DAY - timedelta(days=5 * at), rng=rng)
        _canaries(engine, model, rng=rng)
    _profiles(engine, made)
    _troubles(engine, made)
    _settle_times(engine)
    engine.dispose()


def _trials(
    engine: Engine, files: ArtifactFiles, rng: random.Random
) -> Iterator[tuple[Trial, Artifact]]:
    """Those that came to an artifact; one diverges, as trials do."""
    trials = tuple(
        Trial(
            "mlp",
            to_plain(Mlp(units=units)),
            chosen=omit_defaults(Mlp(units=units)),
            precision=precision,
            dataset="fashion_mnist",
            recipe=_RECIPE,
            seed=seed,
        )
        for units, seed, precision in product(UNITS, SEEDS, Precision)
    )
    rows = TrialRows(engine)
    rows.submit(Sweep(SWEEP, trials, resources=Resources(), protocols=(_PROTOCOL,)), [])
    for trial in trials[:-1]:
        outcome = _outcome(trial, rng)
        for content in outcome.files.values():
            files.save(content)
        rows.finish(outcome)
        yield trial, outcome.artifacts[0]
    rows.fail(
        trials[-1].id,
        Failure(
            Reason.DIVERGED, "The loss became nan in epoch 3; lower the learning rate.", log=""
        ),
    )


def _outcome(trial: Trial, rng: random.Random) -> TrialOutcome:
    units, binary = trial.parameters["units"], trial.precision is Precision.BINARY
    best = (
        0.862
        + 0.0065 * log2(units / 64)
        + rng.gauss(0, 0.0015)
        - (0.028 - 0.0025 * log2(units / 64)) * binary
    )
    accuracy = best - 0.002 * (trial.precision is Precision.INT8)
    content = trial.id.encode()
    artifact = Artifact(
        sha256_of(content),
        "tflite",
        size_bytes=_size(trial),
        anatomy=_anatomy(trial),
        accuracy=accuracy,
        agreement=1.0,
    )
    return TrialOutcome(
        trial_id=trial.id,
        accuracy=best,
        params=784 * units + 2 * units**2 + 10 * units,
        curve=tuple(
            _epoch(number, best, binary=binary, rng=rng) for number in range(1, EPOCHS + 1)
        ),
        artifacts=(artifact,),
        files={artifact.sha256: content},
        timings=Timings(
            1.0, 6.0, data_s=0.5, fit_s=20.0 + units / 20, convert_s=2.0, evaluate_s=1.0
        ),
        node="gpu-node-1",
        versions={"tensorflow": "2.21.0", "larq": "0.14.0"},
    )


def _epoch(number: int, best: float, binary: bool, rng: random.Random) -> Epoch:
    left = exp(-number / (3.5 if binary else 2.2)) * (0.35 if binary else 0.2)
    validation = best - left + rng.gauss(0, 0.004 if binary else 0.002)
    return Epoch(
        number,
        3 * (1 - best) + 2.2 * left,
        accuracy=best - left + 0.01 * number / EPOCHS,
        validation_loss=3.4 * (1 - best) + 2 * left,
        validation_accuracy=validation,
        seconds=4.0,
    )


def _macs(trial: Trial) -> tuple[int, int]:
    """Binary and float: the first layer's input is real."""
    units = trial.parameters["units"]
    first, rest = 784 * units, 2 * units**2 + 10 * units
    return (rest, first) if trial.precision is Precision.BINARY else (0, first + rest)


def _anatomy(trial: Trial) -> Anatomy:
    binary = {"CONV_2D": 1, "LceBconv2d": 3, "LceQuantize": 3}
    operators = binary if trial.precision is Precision.BINARY else {"CONV_2D": 4}
    return Anatomy(operators, *_macs(trial))


def _size(trial: Trial) -> int:
    binary, full = _macs(trial)
    bytes_a_weight = 1 if trial.precision is Precision.INT8 else 4
    return 9_000 + binary // 8 + full * bytes_a_weight


def _bench(engine: Engine, model: Model, made: Made, day: datetime, rng: random.Random) -> None:
    """Every artifact at each thread count, in one batch for each: a block holds a process of each."""
    for threads in model.threads:
        batch = Batch(
            content_id([model.device.id, threads]), model.device.id, started_at=_iso(day), ordering="interleaved", cases=len(made), waited_s=4.0,
            waited_for="too warm" if model.rest_c else "", idle_power_uw=model.idle_uw,
        )  # fmt: skip
        ObservationRows(engine).begin_batch(batch)
        for position, (trial, artifact) in enumerate(made):
            case = Case(
                artifact.sha256,
                model.device.id,
                tool=model.tool,
                protocol=replace(_PROTOCOL, threads=threads),
            )
            at = day + timedelta(minutes=3 * position)
            runs = [
                _run(
                    model,
                    trial,
                    threads=threads,
                    slot=BatchSlot(batch.id, n, position=position),
                    at=at,
                    rng=rng,
                )
                for n in range(PROCESSES)
            ]
            idle = {batch.id: model.idle_uw} if model.idle_uw else {}
            summary = summarise(case, runs, idle_uw=idle)
            measurement = Measurement(
                case,
                artifact.sha256,
                runs=tuple(runs),
                summary=summary,
                facts=dict(model.facts),
                measured_at=_iso(at),
            )
            CaseRows(engine).finish(model.device.kind, measurement)


def _run(
    model: Model, trial: Trial, threads: int, slot: BatchSlot, at: datetime, rng: random.Random
) -> Run:
    binary, full = _macs(trial)
    speeds, scaling = model.ns_a_mac, 1 / (1 + 0.55 * (threads - 1))
    first_layer = speeds[Precision.FLOAT32 if binary else trial.precision]
    usual_us = (
        model.overhead_us + (binary * speeds[Precision.BINARY] + full * first_layer) / 1e3 * scaling
    )
    average = usual_us * (1 + abs(rng.gauss(0, model.spread)))
    process = Process(
        slot.block + 1,
        _iso(at),
        seconds=1.4,
        exit_code=0,
        stdout=f"avg={average:.1f}\n",
        stderr="",
        slot=slot,
    )
    log = ToolLog(Timing(60, average * 1.2, min_us=average * 0.98, max_us=average * 1.3, avg_us=average, std_us=average * 0.02),
                  peak_memory_bytes=5_000_000 + _size(trial))  # fmt: skip
    warm = (
        None
        if model.rest_c is None
        else model.rest_c + 6 * log2(1 + slot.block) / 4 + rng.gauss(0, 0.4)
    )
    power = (
        None
        if model.idle_uw is None
        else model.idle_uw + 2.1e6 * threads**0.7 * rng.uniform(0.97, 1.03)
    )
    return Run(
        process,
        log,
        sensors=SensorSummary(
            warm,
            1.8e6 if warm else None,
            throttled=False if warm else None,
            busy=0.01,
            power_uw=power,
        ),
    )


def _canaries(engine: Engine, model: Model, rng: random.Random) -> None:
    """Two batches a week, with a canary before and after; one board grows slower in its last three weeks."""
    rows = ObservationRows(engine)
    for number in range(2 * WEEKS):
        at = LAST_DAY - timedelta(days=3.5 * (2 * WEEKS - number))
        batch = Batch(
            content_id([model.device.id, "week", number]),
            model.device.id,
            started_at=_iso(at),
            ordering="interleaved",
            cases=12,
        )
        rows.begin_batch(batch)
        tired = 0.015 * max(0, number - 10) if model.device.id == "pi4-b" else 0.0
        for moment, hours in _MOMENTS:
            warm = (
                None
                if model.rest_c is None
                else model.rest_c + 7 * hours + 80 * tired + rng.gauss(0, 1.5)
            )
            slower = tired + 0.001 * (warm - 50 if warm else 0) + abs(rng.gauss(0, model.spread))
            latency = 400 * model.ns_a_mac[Precision.FLOAT32] * (1 + slower)
            disturbed = "others used 31% of its CPU time" if rng.random() < 0.04 else ""
            rows.add_canary(
                Canary(batch.id, model.device.id, moment=moment, measured_at=_iso(at + timedelta(hours=hours)), artifact="c" * 64, tool=model.tool, cpus=(),
                       latency_us=latency * (1.1 if disturbed else 1), temperature_c=warm, frequency_khz=1.8e6 if warm else None, disturbed=disturbed)
            )  # fmt: skip


def _profiles(engine: Engine, made: Made) -> None:
    """Of the first seed's artifacts, on the boards and phones that are healthy."""
    rows = ObservationRows(engine)
    for model in (one for one in MODELS if one.device.id in ("pi4-a", "pi5", "pixel6")):
        for trial, artifact in made:
            if trial.seed == 0:
                case = Case(artifact.sha256, model.device.id, tool=model.tool, protocol=_PROTOCOL)
                rows.add_profile(case, _operators(model, trial))
        found = Kernels(
            model.device.id,
            model.tool,
            ratio=7.5,
            ratio_low=7.1,
            ratio_high=7.9,
            verdict=KernelVerdict.OPTIMISED,
            message="",
            checked_at=_iso(LAST_DAY),
        )
        rows.add_kernels(found)


def _operators(model: Model, trial: Trial) -> list[OperatorTime]:
    binary, full = _macs(trial)
    first = model.ns_a_mac[Precision.FLOAT32 if binary else trial.precision]
    parts = [
        ("CONV_2D", Role.FLOAT_LAYER, full * first / 1e3),
        ("LceBconv2d", Role.BINARY_CONVOLUTION, binary * model.ns_a_mac[Precision.BINARY] / 1e3),
        ("LceQuantize", Role.QUANTISE, 0.004 * trial.parameters["units"] if binary else 0.0),
        ("RESHAPE", Role.OTHER, model.overhead_us / 2),
    ]
    whole = sum(part_us for _, _, part_us in parts)
    return [
        OperatorTime(
            number,
            kind,
            name=f"{kind.lower()}_{number}",
            avg_us=part_us,
            share=part_us / whole,
            calls=1,
            role=role,
        )
        for number, (kind, role, part_us) in enumerate(parts)
        if part_us
    ]


def _troubles(engine: Engine, made: Made) -> None:
    """Devices are seen, one is set aside with its cases waiting, and two cases failed."""
    devices, cases = DeviceRows(engine), CaseRows(engine)
    for model in MODELS:
        devices.mark_ready(model.device, model.facts)
    lost = MODELS[-1].device
    devices.set_aside(lost, Unreachable("galaxy-s21 does not answer adb; plug it in again."))
    four: Protocol = replace(_PROTOCOL, threads=4)
    devices.enqueue({lost.id: [(artifact.sha256, four) for _, artifact in made[:7]]})
    board = MODELS[2]
    for _, artifact in made[-2:]:
        case = Case(
            artifact.sha256,
            board.device.id,
            tool=board.tool,
            protocol=replace(_PROTOCOL, threads=2),
        )
        cases.fail(
            case,
            board.device.kind,
            CaseFailed(Reason.TIMEOUT, "The tool took over 360 s; is the board busy?"),
        )


# What the writers themselves note the time of.
_CLOCKS: Sequence[tuple[str, str]] = (
    ("trials", "submitted_at"),
    ("trials", "finished_at"),
    ("sweep_trials", "submitted_at"),
    ("artifacts", "created_at"),
    ("trial_artifacts", "created_at"),
    ("cases", "planned_at"),
    ("operators", "profiled_at"),
    ("devices", "seen_at"),
    ("devices", "changed_at"),
    ("queue", "asked_at"),
    ("failures", "failed_at"),
)


def _settle_times(engine: Engine) -> None:
    with engine.begin() as connection:
        for table, column in _CLOCKS:
            connection.execute(
                update(tables.metadata.tables[table]).values({column: _iso(LAST_DAY)})
            )


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
