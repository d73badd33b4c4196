"""One file a data set; each loads as arrays of one form."""

from collections.abc import Callable
from functools import cache, lru_cache

from harness.core.errors import DataUnavailable
from harness.data import cifar10, digits, fashion_mnist, mnist, own
from harness.data.dataset import Dataset

PUBLISHED = (mnist.PUBLISHED, fashion_mnist.PUBLISHED, cifar10.PUBLISHED)
DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": digits.load,
    **{one.name: one.load for one in PUBLISHED},
}


@lru_cache(maxsize=2)
def load(dataset: str) -> Dataset:
    """One of DATASETS, or the user's own by its path; decoded once a process. Raises DataUnavailable."""
    try:
        name = identify(dataset)
    except DataUnavailable as error:
        raise DataUnavailable(f"The data set {error}") from error
    return DATASETS[name]() if name in DATASETS else own.load(own.located(dataset), name)


@cache
def identify(dataset: str) -> str:
    """The name by which rows and ids know it: one of DATASETS, or `own.identify`'s of the content at a path.

    Looked at once a process, as by `load`: whatever becomes of the files, what was loaded keeps its name.
    Raises DataUnavailable, its message to follow what the data set was named by: "dataset is 'x'; known: …".
    """
    if dataset in DATASETS:
        return dataset
    if not own.is_path(dataset):
        known = ", ".join(DATASETS)
        raise DataUnavailable(
            f"is {dataset!r}; known: {known}, or the path of a .npz file or a folder of images, like ./flowers."
        )
    try:
        return own.identify(own.located(dataset))
    except DataUnavailable as error:
        raise DataUnavailable(f"is {dataset!r}: {error}") from error
    except OSError as error:
        problem = f"{error.filename} can't be read: {error.strerror}; make it a file that can."
        raise DataUnavailable(f"is {dataset!r}: {problem}") from error


__all__ = ["DATASETS", "PUBLISHED", "Dataset", "identify", "load"]
