"""Files on their way to a device."""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SAMPLE_BYTES = 1 << 20
_WORTH_PACKING = 0.8


@contextmanager
def packed(source: Path) -> Iterator[tuple[str, Path]]:
    """The file as it is sent: packed where a piece from its middle shows that this helps; weights often don't."""
    if not _shrinks(source):
        yield "plain", source
        return
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "packed"
        with source.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as target:
            shutil.copyfileobj(plain, target, _SAMPLE_BYTES)
        yield "gzip", packed


def _shrinks(source: Path) -> bool:
    size = source.stat().st_size
    with source.open("rb") as file:
        file.seek(max(0, size - _SAMPLE_BYTES) // 2)
        sample = file.read(_SAMPLE_BYTES)
    return size > 4096 and len(zlib.compress(sample, 1)) < _WORTH_PACKING * len(sample)
