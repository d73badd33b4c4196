"""A plausible workspace for tests of the figures, the page and the notebooks.

It has six devices, a sweep of 24 trials and eight weeks of benches, written by the store.
The same seed always gives the same numbers.
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
TrainedTrials = Sequence[tuple[Trial, Artifact]]
_MOMENTS: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 0), ("after", 1))
_PROTOCOL = replace(PROTOCOLS["standard"], max_processes=PROCESSES)


@dataclass(frozen=True)
class SampleDevice:
    """An invented device and its behaviour.

    `ns_per_mac` is the time by precision at one thread. `idle_uw` is None without a power sensor.
    """

    device: Device
    facts: Mapping[str, str]
    tool: Tool
    ns_per_mac: Mapping[Precision, float]
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

DEVICES = (
    SampleDevice(
        LocalDevice(id="workstation"),
        {
            "machine": "x86_64",
            "cpu": "AMD Ryzen 7 5700G",
            "cpus": "16",
            "kernel": "6.1.0",
            "governor": "schedutil",
        },
        tool=_tool("python_runner", "larq-compute-engine 0.16.0"),
        ns_per_mac=_speeds(0.075, 0.09, int8=0.06),
        overhead_us=1.5,
        spread=0.030,
    ),
    SampleDevice(
        SshDevice(id="pi4-a", host="pi4-a.lab"),
        {**_PI4, **_BOARD},
        tool=_AARCH64,
        ns_per_mac=_speeds(0.021, 0.36, int8=0.16),
        overhead_us=4,
        spread=0.004,
        threads=(1, 4),
        rest_c=52.0,
    ),
    SampleDevice(
        SshDevice(id="pi4-b", host="pi4-b.lab"),
        {**_PI4, **_BOARD},
        tool=_AARCH64,
        ns_per_mac=_speeds(0.022, 0.37, int8=0.16),
        overhead_us=4,
        spread=0.012,
        threads=(1, 4),
        rest_c=58.0,
    ),
    SampleDevice(
        SshDevice(id="pi5", host="pi5.lab"),
        {**_PI4, **_BOARD, "model": "Raspberry Pi 5 Model B Rev 1.0", "memory_bytes": "8458534912"},
        tool=_AARCH64,
        ns_per_mac=_speeds(0.009, 0.13, int8=0.045),
        overhead_us=2,
        spread=0.003,
        threads=(1, 4),
        rest_c=49.0,
        idle_uw=2.7e6,
    ),
    SampleDevice(
        AdbDevice(id="pixel6", serial="1A051FDF6007"),
        {**_PHONE, "model": "Pixel 6"},
        tool=_ANDROID,
        ns_per_mac=_speeds(0.007, 0.10, int8=0.028),
        overhead_us=2,
        spread=0.010,
        threads=(1,),
        rest_c=36.0,
        idle_uw=9.0e5,
    ),
    SampleDevice(
        AdbDevice(id="galaxy-s21", serial="R5CR10ABCDE"),
        {**_PHONE, "model": "SM-G991B"},
        tool=_ANDROID,
        ns_per_mac=_speeds(0.008, 0.11, int8=0.030),
        overhead_us=2,
        spread=0.045,
        threads=(1,),
        rest_c=39.0,
    ),
)


def write_sample(home: Path, *, seed: int = 0) -> None:
    """Write the sample as the workspace `home`."""
    engine = open_database(f"sqlite:///{home / 'harness.db'}")
    rng = random.Random(seed)
    trained = list(_train(engine, ArtifactFiles(home / "artifacts"), rng=rng))
    for index, sample in enumerate(DEVICES):
        day = LAST_DAY - timedelta(days=5 * index)
        _bench(engine, sample, trained=trained, day=day, rng=rng)
        _measure_canaries(engine, sample, rng=rng)
    _write_profiles(engine, trained)
    _write_troubles(engine, trained)
    _set_times(engine)
    engine.dispose()


def _train(
    engine: Engine, files: ArtifactFiles, rng: random.Random
) -> Iterator[tuple[Trial, Artifact]]:
    """Yield the trials that have an artifact; the last trial diverges."""
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
        outcome = _make_outcome(trial, rng)
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


def _make_outcome(trial: Trial, rng: random.Random) -> TrialOutcome:
    units, is_binary = trial.parameters["units"], trial.precision is Precision.BINARY
    best = (
        0.862
        + 0.0065 * log2(units / 64)
        + rng.gauss(0, 0.0015)
        - (0.028 - 0.0025 * log2(units / 64)) * is_binary
    )
    accuracy = best - 0.002 * (trial.precision is Precision.INT8)
    content = trial.id.encode()
    artifact = Artifact(
        sha256_of(content),
        "tflite",
        size_bytes=_size_of(trial),
        anatomy=_make_anatomy(trial),
        accuracy=accuracy,
        agreement=1.0,
    )
    return TrialOutcome(
        trial_id=trial.id,
        accuracy=best,
        params=784 * units + 2 * units**2 + 10 * units,
        curve=tuple(
            _make_epoch(number, best, is_binary=is_binary, rng=rng)
            for number in range(1, EPOCHS + 1)
        ),
        artifacts=(artifact,),
        files={artifact.sha256: content},
        timings=Timings(
            1.0, 6.0, data_s=0.5, fit_s=20.0 + units / 20, convert_s=2.0, evaluate_s=1.0
        ),
        node="gpu-node-1",
        versions={"tensorflow": "2.21.0", "larq": "0.14.0"},
    )


def _make_epoch(number: int, best: float, *, is_binary: bool, rng: random.Random) -> Epoch:
    gap = exp(-number / (3.5 if is_binary else 2.2)) * (0.35 if is_binary else 0.2)
    validation = best - gap + rng.gauss(0, 0.004 if is_binary else 0.002)
    return Epoch(
        number,
        3 * (1 - best) + 2.2 * gap,
        accuracy=best - gap + 0.01 * number / EPOCHS,
        validation_loss=3.4 * (1 - best) + 2 * gap,
        validation_accuracy=validation,
        seconds=4.0,
    )


def _count_macs(trial: Trial) -> tuple[int, int]:
    """Return binary and float multiply-accumulates; the first layer's input is never binary."""
    units = trial.parameters["units"]
    first, others = 784 * units, 2 * units**2 + 10 * units
    return (others, first) if trial.precision is Precision.BINARY else (0, first + others)


def _make_anatomy(trial: Trial) -> Anatomy:
    operators = {"CONV_2D": 4}
    if trial.precision is Precision.BINARY:
        operators = {"CONV_2D": 1, "LceBconv2d": 3, "LceQuantize": 3}
    return Anatomy(operators, *_count_macs(trial))


def _size_of(trial: Trial) -> int:
    binary_macs, float_macs = _count_macs(trial)
    bytes_per_weight = 1 if trial.precision is Precision.INT8 else 4
    return 9_000 + binary_macs // 8 + float_macs * bytes_per_weight


def _bench(
    engine: Engine, sample: SampleDevice, trained: TrainedTrials, day: datetime, rng: random.Random
) -> None:
    """Measure every artifact at each thread count, in one interleaved batch per thread count."""
    for threads in sample.threads:
        batch = Batch(
            content_id([sample.device.id, threads]),
            sample.device.id,
            started_at=_iso(day),
            ordering="interleaved",
            cases=len(trained),
            waited_s=4.0,
            waited_for="too warm" if sample.rest_c else "",
            idle_power_uw=sample.idle_uw,
        )
        ObservationRows(engine).begin_batch(batch)
        for position, (trial, artifact) in enumerate(trained):
            case = Case(
                artifact.sha256,
                sample.device.id,
                tool=sample.tool,
                protocol=replace(_PROTOCOL, threads=threads),
            )
            time = day + timedelta(minutes=3 * position)
            runs = [
                _make_run(
                    sample,
                    trial,
                    threads=threads,
                    slot=BatchSlot(batch.id, block, position=position),
                    time=time,
                    rng=rng,
                )
                for block in range(PROCESSES)
            ]
            idle = {batch.id: sample.idle_uw} if sample.idle_uw else {}
            summary = summarise(case, runs, idle_uw=idle)
            measurement = Measurement(
                case,
                artifact.sha256,
                runs=tuple(runs),
                summary=summary,
                facts=dict(sample.facts),
                measured_at=_iso(time),
            )
            CaseRows(engine).finish(sample.device.kind, measurement)


def _make_run(
    sample: SampleDevice,
    trial: Trial,
    threads: int,
    slot: BatchSlot,
    time: datetime,
    rng: random.Random,
) -> Run:
    work_us = sum(_layer_times_us(sample, trial)) / (1 + 0.55 * (threads - 1))
    average_us = (sample.overhead_us + work_us) * (1 + abs(rng.gauss(0, sample.spread)))
    process = Process(
        slot.block + 1,
        _iso(time),
        seconds=1.4,
        exit_code=0,
        stdout=f"avg={average_us:.1f}\n",
        stderr="",
        slot=slot,
    )
    timing = Timing(
        60,
        average_us * 1.2,
        min_us=average_us * 0.98,
        max_us=average_us * 1.3,
        avg_us=average_us,
        std_us=average_us * 0.02,
    )
    log = ToolLog(timing, peak_memory_bytes=5_000_000 + _size_of(trial))
    temperature_c = (
        None
        if sample.rest_c is None
        else sample.rest_c + 6 * log2(1 + slot.block) / 4 + rng.gauss(0, 0.4)
    )
    power_uw = (
        None
        if sample.idle_uw is None
        else sample.idle_uw + 2.1e6 * threads**0.7 * rng.uniform(0.97, 1.03)
    )
    return Run(
        process,
        log,
        sensors=SensorSummary(
            temperature_c,
            1.8e6 if temperature_c else None,
            throttled=False if temperature_c else None,
            busy=0.01,
            power_uw=power_uw,
        ),
    )


def _measure_canaries(engine: Engine, sample: SampleDevice, rng: random.Random) -> None:
    """Write two batches a week, with a canary before and after each.

    One board becomes slower in its last three weeks.
    """
    rows = ObservationRows(engine)
    for number in range(2 * WEEKS):
        start = LAST_DAY - timedelta(days=3.5 * (2 * WEEKS - number))
        batch = Batch(
            content_id([sample.device.id, "week", number]),
            sample.device.id,
            started_at=_iso(start),
            ordering="interleaved",
            cases=12,
        )
        rows.begin_batch(batch)
        ageing = 0.015 * max(0, number - 10) if sample.device.id == "pi4-b" else 0.0
        for moment, hours in _MOMENTS:
            temperature_c, heating = None, 0.0
            if sample.rest_c is not None:
                temperature_c = sample.rest_c + 7 * hours + 80 * ageing + rng.gauss(0, 1.5)
                heating = 0.001 * (temperature_c - 50)
            slowdown = ageing + heating + abs(rng.gauss(0, sample.spread))
            latency_us = 400 * sample.ns_per_mac[Precision.FLOAT32] * (1 + slowdown)
            disturbed = "others used 31% of its CPU time" if rng.random() < 0.04 else ""
            canary = Canary(
                batch.id,
                sample.device.id,
                moment=moment,
                measured_at=_iso(start + timedelta(hours=hours)),
                artifact="c" * 64,
                tool=sample.tool,
                cpus=(),
                latency_us=latency_us * (1.1 if disturbed else 1),
                temperature_c=temperature_c,
                frequency_khz=1.8e6 if temperature_c else None,
                disturbed=disturbed,
            )
            rows.add_canary(canary)


def _write_profiles(engine: Engine, trained: TrainedTrials) -> None:
    """Profile the first seed's artifacts on the healthy boards and phones."""
    rows = ObservationRows(engine)
    for sample in DEVICES:
        if sample.device.id not in ("pi4-a", "pi5", "pixel6"):
            continue
        for trial, artifact in trained:
            if trial.seed == 0:
                case = Case(artifact.sha256, sample.device.id, tool=sample.tool, protocol=_PROTOCOL)
                rows.add_profile(case, _make_operators(sample, trial))
        kernels = Kernels(
            sample.device.id,
            sample.tool,
            ratio=7.5,
            ratio_low=7.1,
            ratio_high=7.9,
            verdict=KernelVerdict.OPTIMISED,
            message="",
            checked_at=_iso(LAST_DAY),
        )
        rows.add_kernels(kernels)


def _layer_times_us(sample: SampleDevice, trial: Trial) -> tuple[float, float]:
    """Return the time of the binary layers and of the others at one thread."""
    binary_macs, float_macs = _count_macs(trial)
    float_precision = Precision.FLOAT32 if binary_macs else trial.precision
    return (
        binary_macs * sample.ns_per_mac[Precision.BINARY] / 1e3,
        float_macs * sample.ns_per_mac[float_precision] / 1e3,
    )


def _make_operators(sample: SampleDevice, trial: Trial) -> list[OperatorTime]:
    binary_us, float_us = _layer_times_us(sample, trial)
    operators = [
        ("CONV_2D", Role.FLOAT_LAYER, float_us),
        ("LceBconv2d", Role.BINARY_CONVOLUTION, binary_us),
        ("LceQuantize", Role.QUANTISE, 0.004 * trial.parameters["units"] if binary_us else 0.0),
        ("RESHAPE", Role.OTHER, sample.overhead_us / 2),
    ]
    total_us = sum(time_us for _, _, time_us in operators)
    return [
        OperatorTime(
            number,
            kind,
            name=f"{kind.lower()}_{number}",
            avg_us=time_us,
            share=time_us / total_us,
            calls=1,
            role=role,
        )
        for number, (kind, role, time_us) in enumerate(operators)
        if time_us
    ]


def _write_troubles(engine: Engine, trained: TrainedTrials) -> None:
    """Mark the devices as ready, set one aside with waiting cases, and let two cases fail."""
    devices, cases = DeviceRows(engine), CaseRows(engine)
    for sample in DEVICES:
        devices.mark_ready(sample.device, sample.facts)
    lost = DEVICES[-1].device
    devices.set_aside(lost, Unreachable("galaxy-s21 does not answer adb; plug it in again."))
    protocol: Protocol = replace(_PROTOCOL, threads=4)
    devices.enqueue({lost.id: [(artifact.sha256, protocol) for _, artifact in trained[:7]]})
    board = DEVICES[2]
    for _, artifact in trained[-2:]:
        case = Case(
            artifact.sha256,
            board.device.id,
            tool=board.tool,
            protocol=replace(_PROTOCOL, threads=2),
        )
        cases.fail(
            case,
            board.device.kind,
            failure=CaseFailed(Reason.TIMEOUT, "The tool took over 360 s; is the board busy?"),
        )


# Columns that the store fills with the current time.
_TIME_COLUMNS: Sequence[tuple[str, str]] = (
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


def _set_times(engine: Engine) -> None:
    with engine.begin() as connection:
        for table, column in _TIME_COLUMNS:
            connection.execute(
                update(tables.metadata.tables[table]).values({column: _iso(LAST_DAY)})
            )


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
