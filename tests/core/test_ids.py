from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.ids import (
    ID_LENGTH,
    content_id,
    omit_defaults,
    sha256_of,
    sha256_of_file,
    to_plain,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True)
class Before:
    name: str
    width: int = 4


@dataclass(frozen=True)
class After:
    """The class `Before` of a later version."""

    name: str
    width: int = 4
    depth: int = 1
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: After
    items: tuple[After, ...] = ()
    named: dict[str, After] = field(default_factory=dict)


def reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(list(value))}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


@given(JSON_VALUES)
def test_an_id_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    assert content_id(value) == content_id(reversed_keys(value))


@given(JSON_VALUES)
def test_an_id_is_sixteen_hexadecimal_digits(value: Any) -> None:
    assert len(content_id(value)) == ID_LENGTH == 16
    assert set(content_id(value)) <= set("0123456789abcdef")


@given(
    st.dictionaries(st.text(), st.integers(), max_size=5),
    st.dictionaries(st.text(), st.integers(), max_size=5),
)
def test_different_contents_have_different_ids(
    first: dict[str, int], second: dict[str, int]
) -> None:
    assert (content_id(first) == content_id(second)) == (first == second)


def test_an_id_is_the_same_in_every_version() -> None:
    """The expected id is from sha256sum of `{"a":"\\u00e4","b":[1,2.5,null]}`."""
    assert content_id({"b": [1, 2.5, None], "a": "ä"}) == "4b12564ba8344d19"


def test_the_order_of_a_list_makes_a_difference() -> None:
    assert content_id([1, 2]) != content_id([2, 1])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_value_that_json_cannot_hold_has_no_id(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_id({"rate": number})


@given(st.text(), st.integers())
def test_a_new_field_with_a_default_changes_no_id(name: str, width: int) -> None:
    assert content_id(omit_defaults(Before(name, width))) == content_id(
        omit_defaults(After(name, width))
    )


def test_defaults_are_omitted_at_every_depth() -> None:
    value = Outer(After("a"), (After("b", depth=2),), named={"c": After("c", shape=(1, 2))})
    assert omit_defaults(value) == {
        "inner": {"name": "a"},
        "items": [{"name": "b", "depth": 2}],
        "named": {"c": {"name": "c", "shape": [1, 2]}},
    }


def test_a_plain_value_keeps_its_defaults() -> None:
    inner = {"name": "a", "width": 4, "depth": 1, "shape": []}
    assert to_plain(Outer(After("a"))) == {"inner": inner, "items": [], "named": {}}


@settings(deadline=None)
@given(st.binary(max_size=4096))
def test_a_file_hashes_as_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("hashed") / "file"
    path.write_bytes(content)
    assert sha256_of_file(path) == sha256_of(content)


def test_a_file_of_several_chunks_hashes_as_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * (3 * 4096 + 1)
    (tmp_path / "large").write_bytes(content)
    assert len(content) > 3 << 20
    assert sha256_of_file(tmp_path / "large") == sha256_of(content)


def test_sha256_is_the_standard_one() -> None:
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
