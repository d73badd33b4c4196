"""Fit one network: an epoch is one call, and each is told as it ends.

The loop is our own: Keras's costs as much again as the steps of a small network (`benchmarks/train_mlp.py`).
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
from harness.training.compiled import compiled, share_correct, tensors
from harness.training.recipe import learning_rates, loss
from harness.training.snapshot import Snapshot

Scores: TypeAlias = NDArray[np.float32]
_PREDICTED_AT_ONCE = 500


class Fit:
    """A network in training, with the optimizer and the data that it trains with.

    The order of an epoch's images and what is done to them follow from the seed and the epoch's number alone, so that
    one which goes on from a snapshot is bit for bit the one that was never interrupted. Images that fill no whole batch
    are left out of an epoch: one compiled step serves all.
    """

    def __init__(
        self, trial: Trial, model: Any, dataset: Dataset, taught: Scores | None = None
    ) -> None:
        """Trains `model`, or one that is compiled already and is the same but for its weights: its last fit is over.

        `taught` (n, classes) are a teacher's scores of the images that are trained on; distillation needs them.
        Raises TrialFailed where the images fill no batch.
        """
        self._recipe, self._seed, self._batch = trial.recipe, trial.seed, trial.recipe.batch_size
        self._training, self._validation = dataset.split_validation(trial.recipe.validation)
        if self._batch > (images := len(self._training)):
            raise TrialFailed(
                Reason.NO_DATA,
                f"train.batch_size {self._batch:,} is more than the {images:,} images that it trains on; lower it.",
            )
        self._rates = learning_rates(trial.recipe, len(self._training) // self._batch)
        self._compiled = compiled(trial, model, distilled=taught is not None)
        lessons = np.zeros((len(self._training), 0), np.float32) if taught is None else taught
        self._tensors = tensors(self._training.images, self._training.labels, lessons)
        self._before = Snapshot()

    @property
    def model(self) -> Any:
        return self._compiled.model

    @property
    def curve(self) -> tuple[Epoch, ...]:
        return self._before.curve

    def run_epochs(self) -> Iterator[Epoch]:
        """Trains until the recipe's end; the model then has the weights that count. Raises TrialFailed."""
        while len(self.curve) < self._recipe.epochs and not self._stopped_early():
            epoch = self._epoch(len(self.curve) + 1)
            self._before = self._after(epoch)
            yield epoch
        if self._before.best:
            self.model.set_weights(self._before.best)

    def training_images(self) -> NDArray[np.float32]:
        """(n, height, width, channels): those that it is trained on."""
        return self._training.images

    def training_scores(self) -> Scores:
        """(n, classes) of `training_images`."""
        return scores(self.model, self._training.images)

    def snapshot(self) -> Snapshot:
        return replace(
            self._before, variables=tuple(variable.numpy() for variable in self._compiled.variables)
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Raises ValueError, and changes nothing, where it is of another network or recipe."""
        variables = self._compiled.variables
        if [tuple(variable.shape) for variable in variables] != [
            value.shape for value in snapshot.variables
        ]:
            raise ValueError("is a snapshot of another training")
        for variable, value in zip(variables, snapshot.variables, strict=True):
            variable.assign(value)
        self._before = replace(snapshot, variables=())

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        rates = self._rates(number)
        order = np.random.default_rng((self._seed, number)).permutation(len(self._training))
        whole = order[: len(rates) * self._batch].reshape(-1, self._batch)
        chance = np.array((self._seed % 2**31, number), np.int32)
        trained_loss, accuracy = map(
            float, self._compiled.epoch(*self._tensors, *tensors(whole, rates, chance))
        )
        if not math.isfinite(trained_loss):
            raise TrialFailed(
                Reason.DIVERGED,
                f"The loss became {trained_loss} in epoch {number}; lower train.learning_rate.",
            )
        judged_loss, judged_accuracy = self._judge() if len(self._validation) else (None, None)
        seconds = time.perf_counter() - started
        return Epoch(
            number,
            trained_loss,
            accuracy=accuracy,
            validation_loss=judged_loss,
            validation_accuracy=judged_accuracy,
            seconds=seconds,
        )

    def _judge(self) -> tuple[float, float]:
        """Loss and accuracy on the images that are held out."""
        answers, labels = scores(self.model, self._validation.images), self._validation.labels
        prices = loss(self._recipe, distilled=False)(labels, answers, None)
        return float(np.mean(prices)), float(share_correct(labels, answers))

    def _after(self, epoch: Epoch) -> Snapshot:
        after, stopping = (
            replace(self._before, curve=(*self.curve, epoch)),
            self._recipe.early_stopping,
        )
        accuracy = epoch.validation_accuracy
        if (
            stopping is None
            or accuracy is None
            or accuracy <= after.best_accuracy + stopping.min_delta
        ):
            return after
        best = tuple(self.model.get_weights())
        return replace(after, best_accuracy=accuracy, best_epoch=epoch.number, best=best)

    def _stopped_early(self) -> bool:
        stopping = self._recipe.early_stopping
        return (
            stopping is not None and len(self.curve) - self._before.best_epoch >= stopping.patience
        )


def scores(model: Any, images: NDArray[np.float32]) -> Scores:
    """(n, classes), in batches. Keras's own `predict` takes longer to begin than a small network to answer."""
    starts = range(0, len(images), _PREDICTED_AT_ONCE)
    return np.concatenate(
        [model.predict_on_batch(images[start : start + _PREDICTED_AT_ONCE]) for start in starts]
    )
