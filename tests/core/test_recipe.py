"""Keys without effect are refused: the same training would become another trial."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.core.recipe import Bop, Recipe, Schedule

DECAY = "remove it, or set schedule to exponential or step"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Recipe(epochs=1, momentum=0.9),
            "momentum has no effect with adam; remove it, or set train.optimizer to sgd",
        ),
        (
            lambda: Recipe(epochs=1, optimizer="bop", momentum=0.9),
            "momentum has no effect with bop",
        ),
        (
            lambda: Recipe(epochs=1, bop=Bop(gamma=0.1)),
            "bop has no effect with adam; remove it, or set train.optimizer to bop",
        ),
        (
            lambda: Recipe(epochs=1, optimizer="sgd", bop=Bop(threshold=0.1)),
            "bop has no effect with sgd",
        ),
        (
            lambda: Recipe(epochs=1, optimizer="bop", kernel_quantizer="dorefa"),
            "kernel_quantizer has no effect with bop; remove it, "
            "or set train.optimizer to adam or sgd",
        ),
        (
            lambda: Schedule("cosine", 0.1, decay_rate=0.5),
            f"decay_rate has no effect with cosine; {DECAY}",
        ),
        (
            lambda: Schedule("linear", 0.1, decay_epochs=2),
            f"decay_epochs has no effect with linear; {DECAY}",
        ),
    ],
)
def test_a_key_without_effect_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_a_key_with_effect_and_a_default_that_is_written_out_are_accepted() -> None:
    Recipe(epochs=1, optimizer="sgd", momentum=0.9)
    Recipe(epochs=1, optimizer="bop", bop=Bop(threshold=0.1))
    Schedule("step", 0.1, decay_rate=0.5, decay_epochs=2)
    assert Recipe(epochs=1, momentum=0.0, bop=Bop()) == Recipe(epochs=1)
    assert Schedule("cosine", 0.1, decay_rate=0.9, decay_epochs=1.0) == Schedule("cosine", 0.1)
