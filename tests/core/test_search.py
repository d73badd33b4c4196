"""The metrics by which a search judges its points."""

import pytest

from harness.core.search import ACCURACY, Constraint, Objective, Search, format_metric

LATENCY = Objective("latency", on="pi4")
MEMORY = Constraint("memory", 64e6, on="phones", threads=4)
SIZE = Constraint("size", 1e6)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (ACCURACY, "accuracy"),
        (LATENCY, "latency on pi4"),
        (Objective("energy", on="pi4", threads=1), "energy on pi4 with 1 thread"),
        (Objective("memory", on="phones", threads=4), "memory on phones with 4 threads"),
        (Constraint("latency", 5000.0, on="pi4"), "latency on pi4, at most 5.00 ms"),
        (Constraint("energy", 200.0, on="pi4"), "energy on pi4, at most 200 µJ"),
        (MEMORY, "memory on phones with 4 threads, at most 64.0 MB"),
        (SIZE, "size, at most 1.00 MB"),
    ],
)
def test_a_metric_has_a_name_for_people(metric: Objective | Constraint, name: str) -> None:
    assert str(metric) == name


def test_an_accuracy_is_shown_as_a_percentage() -> None:
    assert format_metric("accuracy", 0.875) == "87.5 %"


def test_the_metrics_of_devices_are_apart_from_those_that_training_gives() -> None:
    search = Search(
        "optuna",
        trials=9,
        space={"model.units": (1, 2)},
        objectives=(ACCURACY, LATENCY),
        constraints=(SIZE, MEMORY),
    )
    assert search.device_metrics == (LATENCY, MEMORY)
    assert Search().device_metrics == ()


@pytest.mark.parametrize("metric", ["latency", "energy", "memory"])
def test_a_metric_of_a_device_needs_one(metric: str) -> None:
    with pytest.raises(ValueError, match=f"{metric} is measured on a device"):
        Constraint(metric, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [{"on": "pi4"}, {"threads": 4}])
def test_a_metric_of_training_has_no_device(place: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="accuracy is the same on all devices"):
        Objective("accuracy", **place)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size is the same on all devices"):
        Constraint("size", 1.0, **place)  # type: ignore[arg-type]
