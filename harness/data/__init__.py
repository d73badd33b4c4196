"""One file a data set; each loads as arrays of one form."""

from collections.abc import Callable
from functools import lru_cache

from harness.data import digits, fashion_mnist
from harness.data.dataset import Dataset

DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": digits.load,
    "fashion_mnist": fashion_mnist.load,
}


@lru_cache(maxsize=2)
def load(name: str) -> Dataset:
    """A data set by its name, decoded once a process. Raises DataUnavailable."""
    return DATASETS[name]()


__all__ = ["DATASETS", "Dataset", "load"]
