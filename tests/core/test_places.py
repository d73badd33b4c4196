"""The places of a search are devices, by id or by tag."""

import pytest

from harness.core.device import Device, LocalDevice
from harness.core.errors import RequestError
from harness.core.places import resolve_places
from harness.core.search import Constraint, Search

PI4 = LocalDevice(id="pi4", tags=("boards", "fast"))
PI3 = LocalDevice(id="pi3", tags=("boards",), threads=(2, 4))
PIXEL = LocalDevice(id="pixel", tags=("phones",), enabled=False)
FAST = LocalDevice(id="fast")
DEVICES = (PI4, PI3, PIXEL, FAST)


def resolve(on: str, threads: int | None = None) -> dict[str, tuple[Device, ...]]:
    search = Search(
        constraints=(Constraint("size", 1e6), Constraint("latency", 5000.0, on=on, threads=threads))
    )
    return dict(resolve_places(search, DEVICES, threads=(2,)))


@pytest.mark.parametrize(
    ("on", "devices"),
    [
        pytest.param("pi4", (PI4,), id="an id"),
        pytest.param("boards", (PI4, PI3), id="a tag"),
        pytest.param("fast", (FAST,), id="an id that is a tag as well"),
    ],
)
def test_a_place_is_the_device_of_an_id_or_the_devices_of_a_tag(
    on: str, devices: tuple[Device, ...]
) -> None:
    assert resolve(on) == {on: devices}


def test_a_search_without_metrics_of_devices_has_no_places() -> None:
    assert resolve_places(Search(), DEVICES, threads=(1,)) == {}


@pytest.mark.parametrize(
    ("on", "problem"),
    [
        (
            "phons",
            "latency on phons, at most 5.00 ms, but no device has this id or tag; "
            "choose from: pi4, pi3, fast, boards.",
        ),
        ("pixel", "disabled there: pixel; set enabled to true."),
        ("phones", "disabled there: pixel; set enabled to true."),
    ],
)
def test_a_place_without_an_enabled_device_is_refused(on: str, problem: str) -> None:
    with pytest.raises(RequestError) as refused:
        resolve(on)
    assert problem in str(refused.value)


def test_threads_that_a_device_does_not_measure_are_refused() -> None:
    assert resolve("boards", 4) == {"boards": (PI4, PI3)}
    with pytest.raises(RequestError, match=r"pi3 is measured with other threads; add 1 to threads"):
        resolve("boards", 1)


def test_a_long_registry_is_listed_in_part() -> None:
    devices = [LocalDevice(id=f"board{number}") for number in range(40)]
    search = Search(constraints=(Constraint("latency", 1.0, on="pi4"),))
    with pytest.raises(RequestError, match="board11 and 28 more"):
        resolve_places(search, devices, threads=(1,))
    with pytest.raises(RequestError, match="choose from: nothing"):
        resolve_places(search, (), threads=(1,))
