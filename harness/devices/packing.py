"""Compression of files on their way to a device."""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SAMPLE_BYTES = 1 << 20
_SMALLEST_PACKED_BYTES = 4096
_LARGEST_RATIO = 0.8  # of packed to plain size: above it, packing costs more than it saves


@contextmanager
def pack(source: Path) -> Iterator[tuple[str, Path]]:
    """Yield the encoding and the file to send: compressed if a sample from its middle shrinks.

    Weights often don't shrink.
    """
    if not _is_compressible(source):
        yield "plain", source
        return
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "packed"
        with source.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as target:
            shutil.copyfileobj(plain, target, _SAMPLE_BYTES)
        yield "gzip", packed


def _is_compressible(source: Path) -> bool:
    size = source.stat().st_size
    with source.open("rb") as file:
        file.seek(max(0, size - _SAMPLE_BYTES) // 2)
        sample = file.read(_SAMPLE_BYTES)
    packed_bytes = len(zlib.compress(sample, 1))
    return size > _SMALLEST_PACKED_BYTES and packed_bytes < _LARGEST_RATIO * len(sample)
