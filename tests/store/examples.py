"""Trials, outcomes and measurements to store, and the work of processes that tests start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

from sqlalchemy import Engine, text

from harness.core.bench import (
    PROTOCOLS,
    BatchSlot,
    Case,
    Measurement,
    Process,
    Run,
    SensorSummary,
    Summary,
    Timing,
    Tool,
    ToolLog,
)
from harness.core.device import LocalDevice
from harness.core.errors import CaseFailed, Reason
from harness.core.forms import Form
from harness.core.ids import sha256_of
from harness.core.observations import (
    AnswerCheck,
    Batch,
    Canary,
    Kernels,
    KernelVerdict,
    OperatorTime,
    Role,
)
from harness.core.recipe import Recipe
from harness.core.search import ACCURACY, Objective, Search
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
from harness.store.database import now, open_database, open_read_only
from harness.store.files.artifacts import ArtifactFiles
from harness.store.queries import load_named_queries
from harness.store.reading import QueryResult, run_query
from harness.store.rows.cases import CaseRows
from harness.store.rows.devices import DeviceRows
from harness.store.rows.forms import FormRows
from harness.store.rows.leases import Leases
from harness.store.rows.observations import ObservationRows
from harness.store.rows.running import RunningRows, TrialProgress
from harness.store.rows.searches import SearchRows
from harness.store.rows.trials import TrialRows
from harness.store.tables import metadata

EPOCHS = 3
_PATIENCE_S = 60
TOOL = Tool("python_runner", sha256_of(b"the tool"), interpreter="an interpreter 1.0")


def make_trial(seed: int = 0, precision: Precision = Precision.BINARY) -> Trial:
    return Trial(
        "mlp",
        {"layers": 3, "units": 64},
        chosen={"units": 64},
        precision=precision,
        dataset="digits",
        recipe=Recipe(epochs=EPOCHS),
        seed=seed,
    )


def make_sweep(*trials: Trial, name: str = "study") -> Sweep:
    return Sweep(name, trials, resources=Resources(), protocols=(PROTOCOLS["standard"],))


def make_form(trial: Trial) -> Form:
    return Form.of_trial(trial, (8, 8, 1), 10, converter="larq-compute-engine 0.16.0")


def make_artifact(
    content: bytes, accuracy: float | None = 0.9, agreement: float | None = 1.0
) -> Artifact:
    anatomy = Anatomy({"CONV_2D": 1, "LceBconv2d": 3}, binary_macs=8832, float_macs=4096)
    return Artifact(
        sha256_of(content),
        "tflite",
        size_bytes=len(content),
        anatomy=anatomy,
        accuracy=accuracy,
        agreement=agreement,
    )


def make_outcome(
    trial: Trial,
    content: bytes | None = None,
    epochs: int = EPOCHS,
    accuracy: float = 0.9,
    correct: bytes = b"",
) -> TrialOutcome:
    """Return the outcome of a trial whose artifact has this content; by default, its own."""
    content = content if content is not None else trial.id.encode() * 10
    artifact = replace(make_artifact(content, accuracy), correct=correct)
    return TrialOutcome(
        trial_id=trial.id,
        accuracy=0.91,
        params=12_938,
        curve=tuple(map(_make_epoch, range(1, epochs + 1))),
        artifacts=(artifact,),
        files={artifact.sha256: content},
        timings=Timings(waiting_s=1, import_s=2, data_s=3, fit_s=4, convert_s=5, evaluate_s=6),
        node="node-1",
        processors="CPU",
        versions={"tensorflow": "2.21.0"},
    )


def _make_epoch(number: int) -> Epoch:
    return Epoch(
        number,
        1 / number,
        accuracy=0.5 + number / 100,
        validation_loss=1.1 / number,
        validation_accuracy=None,
        seconds=0.25,
    )


def make_case(artifact: str, device: str = "here") -> Case:
    return Case(artifact, device, tool=TOOL, protocol=PROTOCOLS["quick"])


def make_measurement(case: Case, latency_us: float = 100.0, processes: int = 2) -> Measurement:
    return make_measurement_from(case, [latency_us] * processes)


def make_measurement_from(
    case: Case,
    averages_us: Sequence[float],
    batch: str | None = None,
    disturbed: Sequence[int] = (),
    facts: Mapping[str, str] = MappingProxyType({"machine": "x86_64"}),
) -> Measurement:
    """Return a measurement with a run for each average, in the blocks of the batch if given.

    The runs whose numbers are in `disturbed` do not count.
    """
    runs = tuple(
        _make_run(number, average, batch=batch, disturbed="busy" if number in disturbed else "")
        for number, average in enumerate(averages_us, 1)
    )
    counted = [run.log.inference.avg_us for run in runs if not run.disturbed]
    middle = median(counted)
    summary = Summary(
        middle,
        middle - 1,
        latency_high_us=middle + 1,
        runs=len(counted),
        peak_memory_bytes=5_000_000,
        disturbed_runs=len(runs) - len(counted),
    )
    return Measurement(
        case, case.artifact, runs=runs, summary=summary, facts=dict(facts), measured_at=now()
    )


def _make_run(number: int, latency_us: float, batch: str | None, disturbed: str) -> Run:
    log = ToolLog(
        inference=Timing(
            20,
            latency_us + 3,
            min_us=latency_us - 2,
            max_us=latency_us + 5,
            avg_us=latency_us,
            std_us=1.5,
        ),
        warmup=Timing(1, 150.0, min_us=150.0, max_us=150.0, avg_us=150.0, std_us=None),
        init_us=321.0,
        peak_memory_bytes=4_000_000 + number,
    )
    slot = BatchSlot(batch, number - 1, position=0) if batch else None
    process = Process(
        number,
        now(),
        seconds=0.75,
        exit_code=0,
        stdout=f"stdout of run {number}: µs\n",
        stderr="",
        slot=slot,
    )
    return Run(process, log, sensors=SensorSummary(temperature_c=41.5), disturbed=disturbed)


def store_trial(
    engine: Engine, seed: int = 0, precision: Precision = Precision.BINARY
) -> tuple[Trial, TrialOutcome]:
    """Store a finished trial of the sweep `study`."""
    trial = make_trial(seed, precision)
    outcome = make_outcome(trial)
    rows = TrialRows(engine)
    rows.submit(make_sweep(trial), [])
    rows.finish(outcome)
    return trial, outcome


def fill(engine: Engine) -> None:
    """Store something in every table.

    There are two twins that are trained and measured, and a trial, a case and a device that failed.
    """
    cases = CaseRows(engine)
    for precision, latency_us in ((Precision.BINARY, 100.0), (Precision.FLOAT32, 400.0)):
        _, outcome = store_trial(engine, precision=precision)
        cases.finish("local", make_measurement(make_case(outcome.artifacts[0].sha256), latency_us))
    diverged = make_trial(seed=7)
    TrialRows(engine).submit(make_sweep(diverged), [])
    TrialRows(engine).fail(diverged.id, Failure(Reason.DIVERGED, "The loss became nan.", log="log"))
    failed_case = make_case(outcome.artifacts[0].sha256, device="shelf")
    cases.fail(
        failed_case, "local", failure=CaseFailed(Reason.TIMEOUT, "It took too long.", log="log")
    )
    cases.add_pending_run(
        failed_case,
        Process(
            1,
            now(),
            seconds=0.5,
            exit_code=0,
            stdout="garbage",
            stderr="",
            artifact_sha256=failed_case.artifact,
        ),
    )
    devices = DeviceRows(engine)
    devices.set_aside(LocalDevice(id="shelf"), CaseFailed(Reason.NO_SPACE, "No space left."))
    devices.enqueue({"shelf": [(failed_case.artifact, failed_case.protocol)]})
    Leases(engine).renew({"shelf": "a token"})
    observe(engine, make_case(outcome.artifacts[0].sha256))
    form = make_form(diverged)
    FormRows(engine).fail(form, Failure(Reason.CONVERSION, "LCE can't convert it."))
    FormRows(engine).link({diverged.id: form})
    search = Search(
        "optuna", trials=3, space={"units": (64,)}, objectives=(ACCURACY, Objective("size"))
    )
    SearchRows(engine).save(replace(make_sweep(), search=search), places={})
    RunningRows(engine).replace([TrialProgress(diverged.id, now(), epoch=0, epochs=5)])


def look_first(engine: Engine) -> str:
    """Measure the untrained network of one of the twins of `fill`, and return its SHA-256."""
    untrained, trial = make_artifact(b"untrained", accuracy=None), make_trial()
    FormRows(engine).save(make_form(trial), untrained)
    FormRows(engine).link({trial.id: make_form(trial)})
    CaseRows(engine).finish("local", make_measurement(make_case(untrained.sha256), 90.0))
    return untrained.sha256


def observe(engine: Engine, case: Case) -> None:
    """Store a batch with a canary, an answer check, a kernel check and a profile of the case."""
    rows = ObservationRows(engine)
    rows.begin_batch(
        Batch(
            "a batch",
            case.device,
            started_at=now(),
            ordering="interleaved",
            cases=1,
            waited_s=2.5,
            waited_for="too warm",
            idle_power_uw=2e6,
        )
    )
    rows.add_canary(
        Canary(
            "a batch",
            case.device,
            moment="before",
            measured_at=now(),
            artifact=case.artifact,
            tool=TOOL,
            cpus=(),
            latency_us=99.0,
            temperature_c=41.5,
            frequency_khz=1.8e6,
        )
    )
    rows.add_answer(
        AnswerCheck(
            case.artifact,
            case.device,
            tool=TOOL,
            images=8,
            largest_difference=1e-6,
            classes_agree=True,
            message="",
            checked_at=now(),
        )
    )
    rows.add_kernels(
        Kernels(
            case.device,
            TOOL,
            ratio=7.5,
            ratio_low=7.0,
            ratio_high=8.0,
            verdict=KernelVerdict.OPTIMISED,
            message="",
            checked_at=now(),
        )
    )
    rows.add_profile(
        case,
        [
            OperatorTime(
                0,
                "LceBconv2d",
                name="conv_1",
                avg_us=60.0,
                share=0.6,
                calls=1,
                role=Role.BINARY_CONVOLUTION,
            )
        ],
    )


def read_rows(url: str, sql: str) -> list[dict[str, Any]]:
    engine = open_read_only(url)
    try:
        return run_query(engine, sql).records()
    finally:
        engine.dispose()


def run_named_query(engine: Engine, name: str) -> QueryResult:
    """Return the answer to a named query with default parameters."""
    query = load_named_queries()[name]
    return run_query(engine, query.sql, values=query.parse_values({}))


def read_everything(engine: Engine) -> dict[str, Any]:
    """Return every row of every table and view, and the names in the schema."""
    with engine.connect() as connection:
        rows: dict[str, Any] = {
            name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}")).all()))
            for name in [*metadata.tables, "results"]
        }
        schemas = {
            "sqlite": "SELECT type, name, sql FROM sqlite_master",
            "postgresql": "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public'",
        }
        rows["schema"] = sorted(
            map(repr, connection.execute(text(schemas[engine.dialect.name])).all())
        )
        return rows


def count_rows(url: str, table: str) -> int:
    return int(read_rows(url, f"SELECT count(*) AS n FROM {table}")[0]["n"])


def run_processes(
    target: Callable[..., None], arguments: Sequence[tuple[Any, ...]]
) -> list[int | None]:
    """Run a process for each tuple of arguments, and return their exit codes.

    Each process also gets a barrier, at which all of them meet.
    """
    spawn = get_context("spawn")
    barrier = spawn.Barrier(len(arguments))
    processes = [spawn.Process(target=target, args=(*values, barrier)) for values in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def open_together(urls: list[str], barrier: Barrier) -> None:
    """Open each database at the same moment as the other processes."""
    for url in urls:
        barrier.wait(_PATIENCE_S)
        try:
            open_database(url).dispose()
        except BaseException:
            barrier.abort()  # the others need not wait for this one
            raise


def store_outcomes(url: str, seeds: list[int], barrier: Barrier) -> None:
    engine = open_database(url)
    rows = TrialRows(engine)
    barrier.wait(_PATIENCE_S)
    for seed in seeds:
        rows.finish(make_outcome(make_trial(seed)))
    engine.dispose()


def save_together(folder: Path, contents: list[bytes], barrier: Barrier) -> None:
    files = ArtifactFiles(folder)
    for content in contents:
        barrier.wait(_PATIENCE_S)
        files.save(content)


def store_until_killed(url: str, artifacts: Path) -> None:
    """Store trials without end, and print the id of each once it is stored."""
    rows, files = TrialRows(open_database(url)), ArtifactFiles(artifacts)
    for seed in range(100_000):
        trial = make_trial(seed)
        rows.submit(make_sweep(trial), [])
        outcome = make_outcome(trial)
        for content in outcome.files.values():
            files.save(content)
        rows.finish(outcome)
        print(trial.id, flush=True)
