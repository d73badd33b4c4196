"""The training of one network: each epoch is one call, and is yielded when it ends.

The loop is our own, because Keras's takes as long again as the steps of a small network
(`benchmarks/train_mlp.py`).
"""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import Reason, TrialFailed
from harness.core.sweep import Epoch, Trial
from harness.data import Dataset
from harness.training.compiled import compute_accuracy, get_compiled, to_tensors
from harness.training.recipe import build_loss, plan_learning_rates
from harness.training.snapshot import Snapshot

Scores: TypeAlias = NDArray[np.float32]
_PREDICTION_BATCH = 500


class Fit:
    """A network in training, with its optimizer and data.

    The order of an epoch's images and their augmentation depend only on the seed and the epoch's
    number. So a fit that continues from a snapshot is bit-identical to an uninterrupted one.
    Images that do not fill a batch are left out of an epoch: one compiled step serves all batches.
    """

    def __init__(
        self, trial: Trial, model: Any, dataset: Dataset, teacher_scores: Scores | None = None
    ) -> None:
        """Prepare to train `model`, or a compiled network that differs only in its weights.

        An earlier fit of that compiled network must be over. Distillation needs `teacher_scores`
        (n, classes) of the training images. Raises TrialFailed if the images do not fill a batch.
        """
        self._recipe = trial.recipe
        self._seed = trial.seed
        self._batch = trial.recipe.batch_size
        self._training, self._validation = dataset.split_validation(trial.recipe.validation)
        image_count = len(self._training)
        if self._batch > image_count:
            raise TrialFailed(
                Reason.NO_DATA,
                f"train.batch_size {self._batch:,} exceeds the {image_count:,} training images; "
                "lower it.",
            )
        self._rates = plan_learning_rates(trial.recipe, image_count // self._batch)
        self._compiled = get_compiled(trial, model, distilled=teacher_scores is not None)
        if teacher_scores is None:
            teacher_scores = np.zeros((image_count, 0), np.float32)
        self._tensors = to_tensors(self._training.images, self._training.labels, teacher_scores)
        self._progress = Snapshot()

    @property
    def model(self) -> Any:
        return self._compiled.model

    @property
    def curve(self) -> tuple[Epoch, ...]:
        return self._progress.curve

    def run_epochs(self) -> Iterator[Epoch]:
        """Train to the end of the recipe; the model then has its final weights.

        Raises TrialFailed.
        """
        while len(self.curve) < self._recipe.epochs and not self._should_stop():
            epoch = self._run_epoch(len(self.curve) + 1)
            self._progress = self._advance(epoch)
            yield epoch
        if self._progress.best:
            self.model.set_weights(self._progress.best)

    def training_images(self) -> NDArray[np.float32]:
        """Return the images (n, height, width, channels) that the network trains on."""
        return self._training.images

    def compute_training_scores(self) -> Scores:
        """Return the network's scores (n, classes) of `training_images`."""
        return compute_scores(self.model, self._training.images)

    def snapshot(self) -> Snapshot:
        """Return the current state of the training."""
        variables = tuple(variable.numpy() for variable in self._compiled.variables)
        return replace(self._progress, variables=variables)

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot.

        Raises ValueError, and changes nothing, if it is from another network or recipe.
        """
        variables = self._compiled.variables
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [value.shape for value in snapshot.variables]:
            raise ValueError("the snapshot is from another training")
        for variable, value in zip(variables, snapshot.variables, strict=True):
            variable.assign(value)
        self._progress = replace(snapshot, variables=())

    def _run_epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        rates = self._rates(number)
        order = np.random.default_rng((self._seed, number)).permutation(len(self._training))
        batches = order[: len(rates) * self._batch].reshape(-1, self._batch)
        random_seed = np.array((self._seed % 2**31, number), np.int32)
        loss, accuracy = self._compiled.run_epoch(
            *self._tensors, *to_tensors(batches, rates, random_seed)
        )
        training_loss = float(loss)
        if not math.isfinite(training_loss):
            raise TrialFailed(
                Reason.DIVERGED,
                f"The loss became {training_loss} in epoch {number}; lower train.learning_rate.",
            )
        validation_loss, validation_accuracy = self._validate()
        return Epoch(
            number,
            training_loss,
            accuracy=float(accuracy),
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            seconds=time.perf_counter() - started,
        )

    def _validate(self) -> tuple[float, float] | tuple[None, None]:
        """Return loss and accuracy on the held-out images, if there are any."""
        if not len(self._validation):
            return None, None
        labels = self._validation.labels
        scores = compute_scores(self.model, self._validation.images)
        losses = build_loss(self._recipe, distilled=False)(labels, scores, None)
        return float(np.mean(losses)), float(compute_accuracy(labels, scores))

    def _advance(self, epoch: Epoch) -> Snapshot:
        """Return the progress after this epoch, with its weights if it is the best one."""
        progress = replace(self._progress, curve=(*self.curve, epoch))
        stopping, accuracy = self._recipe.early_stopping, epoch.validation_accuracy
        if stopping is None or accuracy is None:
            return progress
        if accuracy <= progress.best_accuracy + stopping.min_delta:
            return progress
        best = tuple(self.model.get_weights())
        return replace(progress, best_accuracy=accuracy, best_epoch=epoch.number, best=best)

    def _should_stop(self) -> bool:
        stopping = self._recipe.early_stopping
        if stopping is None:
            return False
        return len(self.curve) - self._progress.best_epoch >= stopping.patience


def compute_scores(model: Any, images: NDArray[np.float32]) -> Scores:
    """Return scores (n, classes), computed in batches.

    Keras's own `predict` takes longer to start than a small network takes to answer.
    """
    starts = range(0, len(images), _PREDICTION_BATCH)
    return np.concatenate(
        [model.predict_on_batch(images[start : start + _PREDICTION_BATCH]) for start in starts]
    )
