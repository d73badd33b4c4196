from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from harness.data.idx import parse
from tests.datasets.files import idx_bytes


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7)))
def test_an_array_written_as_idx_is_read_back(array: NDArray[np.uint8]) -> None:
    parsed = parse(idx_bytes(array.shape, array.tobytes()))
    assert parsed.dtype == np.uint8
    assert parsed.shape == array.shape
    assert np.array_equal(parsed, array)


@given(st.data())
def test_content_of_the_wrong_length_is_refused(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    content = idx_bytes(shape, bytes(prod(shape)))
    length = data.draw(
        st.integers(0, len(content) + 3).filter(lambda length: length != len(content))
    )
    with pytest.raises(ValueError, match=r"IDX|header"):
        parse(content[:length].ljust(length, b"\0"))


@given(st.binary(max_size=40).map(lambda rest: b"\0\0\x08" + rest))
def test_parsed_content_has_the_size_of_the_file(content: bytes) -> None:
    try:
        parsed = parse(content)
    except ValueError:
        return
    assert parsed.nbytes + 4 + 4 * parsed.ndim == len(content)


@pytest.mark.parametrize(
    "content",
    [
        idx_bytes((2, 2), bytes(4), magic=b"\0\0\x0d"),
        idx_bytes((2, 2), bytes(4), magic=b"\0\1\x08"),
        idx_bytes((2, 2), bytes(4), magic=b"PNG"),
        b"",
        b"\0\0\x08",
        idx_bytes((2**31, 2**31, 4), b""),
        idx_bytes((2**16,) * 4, b""),
        idx_bytes((2**32 - 1,) * 2, b"x"),
        idx_bytes((1,) * 40, b"x"),
        idx_bytes((1,) * 255, b"x"),
    ],
    ids=[
        "floats",
        "magic",
        "png",
        "empty",
        "half_magic",
        "product_overflows_to_0",
        "product_of_four_overflows_to_0",
        "product_overflows_to_1",
        "forty_dimensions",
        "255_dimensions",
    ],
)
def test_an_impossible_header_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"IDX|header"):
        parse(content)
