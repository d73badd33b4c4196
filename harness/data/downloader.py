"""Keras's downloader, which caches in ~/.keras: imported only where nothing lies on the machine."""

from typing import Any


def fashion_mnist() -> Any:
    from tf_keras.datasets import fashion_mnist as published

    return published.load_data()
