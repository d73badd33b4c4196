"""One trial: the network that it trains, and the outcome that it ends with."""

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from harness.bench.answers import Probe, save_probe, select_surest
from harness.bench.quality import make_warning
from harness.bench.statistics import is_better_than_chance
from harness.conversion.anatomy import has_state, read_anatomy
from harness.conversion.convert import convert
from harness.conversion.evaluate import (
    MIN_AGREEMENT,
    Evaluation,
    evaluate,
    pack_correct,
    unpack_correct,
)
from harness.core.errors import Reason, TrialFailed
from harness.core.ids import sha256_of
from harness.core.quality import Warning
from harness.core.sweep import Artifact, Precision, Timings, Trial, TrialOutcome
from harness.core.units import count_noun
from harness.data import Dataset
from harness.models import Architecture, Task, build_architecture, make_task
from harness.models.blocks import add_softmax
from harness.training.fit import Fit, compute_scores
from harness.training.processors import describe_processors

# Quantisation to eight bits may change the class where scores are nearly tied. In a network that
# has hardly learned, all are. Its artifact's accuracy and agreement then show what it is worth.
_MIN_AGREEMENT = {**MIN_AGREEMENT, Precision.INT8: 0.0}
_RECORDED_PACKAGES = ("tensorflow", "larq", "larq-compute-engine", "numpy", "ray")


@dataclass
class Stopwatch:
    """Seconds spent in each named part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time until the context ends to the named part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def collect(self) -> dict[str, float]:
        """Return the seconds of each part and reset them."""
        collected, self.seconds = self.seconds, {}
        return collected


def build_model(trial: Trial, dataset: Dataset) -> Any:
    """Return the network to train, with its initial weights."""
    start_clean(trial.seed)
    return _architecture(trial).build_training_model(_task(trial, dataset))


def start_clean(seed: int) -> None:
    """Forget earlier networks, and seed all random numbers.

    With a clean graph and fixed names, a network has the same bytes on a new and a used worker.
    """
    from harness.models.keras import keras, tf

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    tf.random.set_global_generator(tf.random.Generator.from_seed(seed))


def build_deployed_model(trial: Trial, dataset: Dataset, model: Any) -> Any:
    """Return the network to convert: it gives probabilities, with the weights of `model`."""
    from harness.models.keras import keras

    keras.backend.reset_uids()  # fixed names, as in build_model
    return add_softmax(_architecture(trial).build_deployed_model(_task(trial, dataset), model))


def finish_trial(
    trial: Trial, fit: Fit, dataset: Dataset, threads: int, watch: Stopwatch
) -> TrialOutcome:
    """Convert the trained network and evaluate it on the test set, which training never uses.

    Raises TrialFailed.
    """
    model = fit.model
    with watch.measure("convert_s"):
        network = build_deployed_model(trial, dataset, model=model)
        files = {
            form: convert(network, trial.precision, samples=fit.training_images())
            for form in trial.convert.formats
        }
    with watch.measure("evaluate_s"):
        scores = compute_scores(model, dataset.test.images)
        accuracy = float((scores.argmax(axis=1) == dataset.test.labels).mean())
        evaluations = {
            form: evaluate(
                file,
                dataset.test.images,
                labels=dataset.test.labels,
                expected=scores,
                threads=threads,
                min_agreement=_MIN_AGREEMENT[trial.precision],
            )
            for form, file in files.items()
        }
    artifacts, probes = [], {}
    for form, file in files.items():
        artifact = _describe_artifact(form, file, evaluation=evaluations[form])
        artifacts.append(artifact)
        if not has_state(file):  # the evaluation's answers depend on their order then
            probes[artifact.sha256] = _make_probe(dataset, evaluations[form])
    return TrialOutcome(
        trial_id=trial.id,
        accuracy=accuracy,
        params=int(model.count_params()),
        curve=fit.curve,
        artifacts=tuple(artifacts),
        files={sha256_of(file): file for file in files.values()},
        timings=Timings(**watch.collect()),
        node=platform.node(),
        processors=describe_processors(),
        versions={name: version(name) for name in _RECORDED_PACKAGES},
        warnings=_find_warnings(dataset, artifacts[0]),
        probes=probes,
    )


def _architecture(trial: Trial) -> Architecture:
    return build_architecture(trial.architecture, trial.parameters)


def _task(trial: Trial, dataset: Dataset) -> Task:
    return make_task(dataset.shape, dataset.classes, precision=trial.precision, recipe=trial.recipe)


@contextmanager
def translate_memory_errors(trial: Trial) -> Iterator[None]:
    """Turn errors of memory that ran out into TrialFailed."""
    from harness.models.keras import tf

    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise TrialFailed(
            Reason.OUT_OF_MEMORY,
            f"The network or its batches of {trial.recipe.batch_size} do not fit into memory; "
            "make either smaller.",
        ) from error


def _describe_artifact(form: str, file: bytes, evaluation: Evaluation) -> Artifact:
    return Artifact(
        sha256_of(file),
        form,
        size_bytes=len(file),
        anatomy=read_anatomy(file),
        accuracy=evaluation.accuracy,
        agreement=evaluation.agreement,
        correct=pack_correct(evaluation.correct),
    )


def _find_warnings(dataset: Dataset, artifact: Artifact) -> tuple[Warning, ...]:
    """Warn of a network that may as well guess."""
    labels = dataset.test.labels
    most_frequent = int(np.bincount(labels).max())
    correct = int(unpack_correct(artifact.correct).sum())
    if is_better_than_chance(correct, len(labels), chance=most_frequent / len(labels)):
        return ()
    value = (
        f"{correct:,} of {count_noun(len(labels), 'test image')} right; "
        f"naming the most frequent class for each gets {most_frequent:,}"
    )
    return (make_warning("chance", value),)


def _make_probe(dataset: Dataset, evaluation: Evaluation) -> bytes:
    """Return the test images of whose classes the artifact is surest, with its outputs.

    If another tool gives another class for them, rounding is not the reason.
    """
    indices = select_surest(evaluation.outputs)
    return save_probe(Probe((dataset.test.images,), (evaluation.outputs,)).select(indices))


def warm_up(threads: int, *, use_gpu: bool = True) -> None:
    """Import what every trial needs, and limit TensorFlow to the worker's share of the node."""
    from harness.models.keras import tf  # first: it settles which Keras TensorFlow loads

    import_module("larq_compute_engine")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if not use_gpu:  # else TensorFlow would train on a GPU that is another trial's
        tf.config.set_visible_devices([], "GPU")
        return
    for gpu in tf.config.list_physical_devices("GPU"):  # other workers may share it
        tf.config.experimental.set_memory_growth(gpu, enable=True)
