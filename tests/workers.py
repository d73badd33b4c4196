"""The distribution of tests over pytest-xdist's workers: one worker runs all tests of a group.

`--dist=loadgroup` and its marks would suffice, but group nothing with pytest 9.2: see
pytest-dev/pytest-xdist#1386.
"""

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Ray claims all CPUs, and starts slowly beside another: its limit is 30 s. One of the tests checks
# how much memory is free. The group takes longest by far, so it begins first.
_RAY = "ray"
ON_RAY = (
    "tests/integration/test_detach.py",
    "tests/integration/test_faults.py",
    "tests/integration/test_main_job.py",
    "tests/integration/test_mlflow.py",
    "tests/integration/test_searches.py",
    "tests/integration/test_while_training.py",
    "tests/training/test_lost_node.py",
    "tests/training/test_ray_cluster.py",
    "tests/training/test_search.py",
    "tests/training/test_two_nodes.py",
)
_BENCHMARK_ON_RAY = re.compile(r"tests/integration/test_benchmarks\.py::.*\[sweep\]")
# Many tests; those of one device do not disturb the others. Other lab tests stop phone1.
_CONTRACT = re.compile(r"tests/(?:contracts|lab)/.*\[(local|ssh|simulated|busybox|mksh|phone2)\b")


def make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = group_of  # xdist's own schedulers override it, too
    return scheduling


def sort_key(item: pytest.Item) -> bool:
    """Return the key that puts the longest group first, and keeps the order of the others."""
    return group_of(item.nodeid) != _RAY


def group_of(test: str) -> str:
    """Return the group of a test id: mostly its module, whose tests share fixtures."""
    module = test.partition("::")[0]
    if module in ON_RAY or _BENCHMARK_ON_RAY.match(test):
        return _RAY
    if contract := _CONTRACT.match(test):
        return contract[1]
    return "lab" if module.startswith("tests/lab/") else module
