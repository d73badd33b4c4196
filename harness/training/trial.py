"""One trial from its data to its artifacts, in the worker's process."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any

from harness import data
from harness.bench.answers import Probe, save_probe, surest
from harness.conversion.anatomy import anatomy
from harness.conversion.convert import CONVERTERS
from harness.conversion.evaluate import Evaluation, evaluate, pack_correct
from harness.core.errors import DataUnavailable, Reason, TrialFailed
from harness.core.ids import sha256_of
from harness.core.sweep import Artifact, Timings, Trial, TrialOutcome
from harness.data import Dataset
from harness.models import ARCHITECTURES, Task
from harness.training.fit import OnEpoch, fit

_PREDICTION_BATCH = 500
_RECORDED = ("tensorflow", "larq", "larq-compute-engine", "numpy", "ray")


@dataclass
class Stopwatch:
    """Seconds spent in each named part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def run_trial(trial: Trial, threads: int, on_epoch: OnEpoch, watch: Stopwatch) -> TrialOutcome:
    """Loads, fits, converts and evaluates; `watch` tells where the time went, in the end. Raises TrialFailed."""
    with watch.part("data_s"):
        dataset = _load(trial.dataset)
    with watch.part("fit_s"), _out_of_memory_told(trial):
        architecture, task = _built(trial, dataset)
        model = architecture.training_model(task)
        curve = fit(model, dataset, trial.recipe, trial.seed, on_epoch)
    with watch.part("convert_s"):
        deployed = architecture.deployed_model(task, model)
        files = {form: CONVERTERS[form](deployed) for form in trial.convert.formats}
    with watch.part("evaluate_s"):
        expected = model.predict(dataset.test.images, batch_size=_PREDICTION_BATCH, verbose=0)
        accuracy = float((expected.argmax(axis=1) == dataset.test.labels).mean())
        test = dataset.test
        answered = {form: evaluate(file, test.images, test.labels, expected, threads) for form, file in files.items()}
    return TrialOutcome(
        trial_id=trial.id,
        accuracy=accuracy,
        params=int(model.count_params()),
        curve=curve,
        artifacts=tuple(_artifact(form, files[form], answer) for form, answer in answered.items()),
        files={sha256_of(file): file for file in files.values()},
        timings=Timings(**watch.seconds),
        node=platform.node(),
        versions={name: version(name) for name in _RECORDED},
        probes={sha256_of(files[form]): _probe(dataset, answer) for form, answer in answered.items()},
    )


def _load(name: str) -> Dataset:
    try:
        return data.load(name)
    except DataUnavailable as error:
        raise TrialFailed(Reason.NO_DATA, str(error)) from error


def _built(trial: Trial, dataset: Dataset) -> tuple[Any, Task]:
    from harness.models.keras import keras

    # A clean graph and fixed names: the same trial gives the same bytes on a new worker and on a used one.
    keras.backend.clear_session()
    keras.utils.set_random_seed(trial.seed)
    task = Task(dataset.shape, dataset.classes, trial.precision, trial.recipe.initializer)
    return ARCHITECTURES[trial.architecture](**trial.parameters), task


@contextmanager
def _out_of_memory_told(trial: Trial) -> Iterator[None]:
    from harness.models.keras import tf

    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise TrialFailed(
            Reason.OUT_OF_MEMORY,
            f"The network or its batches of {trial.recipe.batch_size} do not fit into memory; make either smaller.",
        ) from error


def _artifact(form: str, file: bytes, answer: Evaluation) -> Artifact:
    correct = pack_correct(answer.correct)
    return Artifact(sha256_of(file), form, len(file), anatomy(file), answer.accuracy, answer.agreement, correct)


def _probe(dataset: Dataset, answer: Evaluation) -> bytes:
    """The test images that the artifact is surest of: where another tool names another class, it is not by rounding."""
    chosen = surest(answer.outputs)
    return save_probe(Probe(dataset.test.images[chosen], answer.outputs[chosen]))


def warm_up(threads: int) -> None:
    """Imports what every trial needs, once a worker, and keeps TensorFlow to the worker's share of the cores."""
    from harness.models.keras import tf  # first: it settles which Keras TensorFlow brings

    import_module("larq_compute_engine")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
