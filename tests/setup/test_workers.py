"""Tests that share a resource run in one worker, and the modules named for that exist."""

from pathlib import Path

import pytest

from tests.workers import ON_RAY, group_of


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/store/rows/test_cases.py::test_a[sqlite]", "tests/store/rows/test_cases.py"),
        ("tests/store/rows/test_cases.py::test_b", "tests/store/rows/test_cases.py"),
        ("tests/bench/test_answers.py::test_a[busybox]", "tests/bench/test_answers.py"),
        ("tests/contracts/test_shells.py::test_a[busybox-(0, 1)]", "busybox"),
        ("tests/contracts/test_transport.py::test_a[ssh]", "ssh"),
        ("tests/contracts/test_transport.py::test_a", "tests/contracts/test_transport.py"),
        ("tests/lab/test_contract.py::test_a[phone2-128]", "phone2"),
        ("tests/lab/test_contract.py::test_a[phone1-128]", "lab"),
        ("tests/lab/test_fleet.py::test_a", "lab"),
        ("tests/integration/test_benchmarks.py::test_a[sweep]", "ray"),
        (
            "tests/integration/test_benchmarks.py::test_a[fleet]",
            "tests/integration/test_benchmarks.py",
        ),
        *((f"{module}::test_a[1]", "ray") for module in ON_RAY),
    ],
)
def test_a_test_has_the_group_of_its_module_device_ray_or_the_lab(test: str, group: str) -> None:
    assert group_of(test) == group


def test_all_modules_that_start_ray_are_in_its_group(repository: Path) -> None:
    """These texts show that a module submits a sweep or starts a cluster.

    The modules of the lab run one after the other anyway, as they share its machines.
    """
    starts = (
        "harness.training.ray_cluster import train",
        '"submit", "sweep", sweep',
        '"--detach"',
        "tests.ray_nodes import",
    )
    files = set()
    for file in (repository / "tests").rglob("test_*.py"):
        source = file.read_text()
        if any(text in source for text in starts) and file.parent.name != "lab":
            files.add(file)
    assert files - {Path(__file__)} == {repository / module for module in ON_RAY}
