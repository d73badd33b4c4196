"""Data sets, one file each; all load as arrays of the same form."""

from collections.abc import Callable
from functools import cache, lru_cache

from harness.core.errors import DataUnavailable
from harness.data import cifar10, digits, fashion_mnist, mnist, user_data
from harness.data.dataset import Dataset

PUBLISHED = (mnist.PUBLISHED, fashion_mnist.PUBLISHED, cifar10.PUBLISHED)
DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": digits.load,
    **{published.name: published.load for published in PUBLISHED},
}


@lru_cache(maxsize=2)
def load(dataset: str) -> Dataset:
    """Return one of DATASETS, or the user's own by its path; decoded once per process.

    Raises DataUnavailable if it can't be found or read.
    """
    try:
        name = identify(dataset)
    except DataUnavailable as error:
        raise DataUnavailable(f"The data set {error}") from error
    if name in DATASETS:
        return DATASETS[name]()
    return user_data.load(user_data.locate(dataset), name)


@cache
def identify(dataset: str) -> str:
    """Return the name that rows and ids use: one of DATASETS, or `user_data.identify` of a path.

    The content is read once per process, as by `load`: a later change to the files does not matter.
    Raises DataUnavailable, whose message continues the key's name: "dataset" + "is unknown: …".
    """
    if dataset in DATASETS:
        return dataset
    if not user_data.is_path(dataset):
        raise DataUnavailable(
            f"is unknown: {dataset!r}; use {', '.join(DATASETS)}, "
            "or the path of a .npz file or a folder of images, such as ./flowers."
        )
    try:
        return user_data.identify(user_data.locate(dataset))
    except DataUnavailable as error:
        raise DataUnavailable(f"is {dataset!r}: {error}") from error
    except OSError as error:
        problem = f"{error.filename} can't be read: {error.strerror}"
        raise DataUnavailable(
            f"is {dataset!r}: {problem}; replace it with a readable file."
        ) from error


__all__ = ["DATASETS", "PUBLISHED", "Dataset", "identify", "load"]
