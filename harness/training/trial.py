"""One trial: the network that it trains, and what it ends as."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any

from harness.bench.answers import Probe, save_probe, select_surest
from harness.conversion.anatomy import read_anatomy
from harness.conversion.convert import convert
from harness.conversion.evaluate import MIN_AGREEMENT, Evaluation, evaluate, pack_correct
from harness.core.errors import Reason, TrialFailed
from harness.core.ids import sha256_of
from harness.core.sweep import Artifact, Precision, Timings, Trial, TrialOutcome
from harness.data import Dataset
from harness.models import Task, architecture_of, task_of
from harness.models.blocks import with_probabilities
from harness.training.fit import Fit, scores

# Quantising to eight bits may change the class where scores are nearly tied, as all are in a network that has hardly
# learned: what its artifact is worth, its accuracy and agreement tell. A conversion alone has to change none.
_MIN_AGREEMENT = {**MIN_AGREEMENT, Precision.INT8: 0.0}
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

    def taken(self) -> dict[str, float]:
        """What was measured until now; from here on it starts anew."""
        taken, self.seconds = self.seconds, {}
        return taken


def build_model(trial: Trial, dataset: Dataset) -> Any:
    """The network that is trained, with its first weights."""
    from harness.models.keras import keras

    # A clean graph and fixed names: the same trial gives the same bytes on a new worker and on a used one.
    keras.backend.clear_session()
    keras.utils.set_random_seed(trial.seed)
    return architecture_of(trial).training_model(_task(trial, dataset))


def build_deployed_model(trial: Trial, dataset: Dataset, model: Any) -> Any:
    """The network of probabilities that is converted, with the weights of `model`, which is `build`'s."""
    from harness.models.keras import keras

    keras.backend.reset_uids()  # fixed names here too
    return with_probabilities(architecture_of(trial).deployed_model(_task(trial, dataset), model))


def finish(
    trial: Trial, fit: Fit, dataset: Dataset, threads: int, watch: Stopwatch
) -> TrialOutcome:
    """Converts what was trained, and evaluates that on the test set, which nothing has looked at before.

    Raises TrialFailed.
    """
    model, test = fit.model, dataset.test
    with watch.part("convert_s"):
        network = build_deployed_model(trial, dataset, model=model)
        files = {
            form: convert(network, trial.precision, samples=fit.training_images())
            for form in trial.convert.formats
        }
    with watch.part("evaluate_s"):
        expected = scores(model, test.images)
        accuracy = float((expected.argmax(axis=1) == test.labels).mean())
        least = _MIN_AGREEMENT[trial.precision]
        answered = {
            form: evaluate(
                file,
                test.images,
                labels=test.labels,
                expected=expected,
                threads=threads,
                min_agreement=least,
            )
            for form, file in files.items()
        }
    return TrialOutcome(
        trial_id=trial.id,
        accuracy=accuracy,
        params=int(model.count_params()),
        curve=fit.curve,
        artifacts=tuple(
            _artifact(form, files[form], answer=answer) for form, answer in answered.items()
        ),
        files={sha256_of(file): file for file in files.values()},
        timings=Timings(**watch.taken()),
        node=platform.node(),
        versions={name: version(name) for name in _RECORDED},
        probes={
            sha256_of(files[form]): _probe(dataset, answer) for form, answer in answered.items()
        },
    )


def _task(trial: Trial, dataset: Dataset) -> Task:
    return task_of(dataset.shape, dataset.classes, precision=trial.precision, recipe=trial.recipe)


@contextmanager
def translate_memory_errors(trial: Trial) -> Iterator[None]:
    """Memory that ends within is a TrialFailed."""
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
    return Artifact(
        sha256_of(file),
        form,
        size_bytes=len(file),
        anatomy=read_anatomy(file),
        accuracy=answer.accuracy,
        agreement=answer.agreement,
        correct=correct,
    )


def _probe(dataset: Dataset, answer: Evaluation) -> bytes:
    """The test images that the artifact is surest of: where another tool names another class, it is not by rounding."""
    chosen = select_surest(answer.outputs)
    return save_probe(Probe(dataset.test.images[chosen], answer.outputs[chosen]))


def warm_up(threads: int) -> None:
    """Imports what every trial needs, once a worker, and keeps TensorFlow to the worker's share of the cores."""
    from harness.models.keras import tf  # first: it settles which Keras TensorFlow brings

    import_module("larq_compute_engine")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):  # it may be shared with another worker
        tf.config.experimental.set_memory_growth(gpu, True)
