"""The distribution of tests over pytest-xdist's workers: one worker runs all tests of a group.

`--dist=loadgroup` and its marks would suffice, but group nothing with pytest 9.2: see
pytest-dev/pytest-xdist#1386.
"""

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Each starts Ray, which claims all CPUs and takes long to start: two at once keep two cores busy.
ON_RAY = {
    "tests/integration/test_detach.py": "ray",
    "tests/integration/test_faults.py": "ray",
    "tests/integration/test_mlflow.py": "ray",
    "tests/training/test_search.py": "ray",
    "tests/integration/test_main_job.py": "ray too",
    "tests/integration/test_searches.py": "ray too",
    "tests/training/test_lost_node.py": "ray too",
    "tests/training/test_ray_cluster.py": "ray too",
    "tests/training/test_two_nodes.py": "ray too",
}
_BENCHMARK_ON_RAY = re.compile(r"tests/integration/test_benchmarks\.py::.*\[sweep\]")
# Many tests; those of one device do not disturb the others. Other lab tests stop phone1.
_CONTRACT = re.compile(r"tests/(?:contracts|lab)/.*\[(local|ssh|simulated|busybox|mksh|phone2)\b")


def make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = group_of  # xdist's own schedulers override it, too
    return scheduling


def group_of(test: str) -> str:
    """Return the group of a test id: mostly its module, whose tests share fixtures."""
    module = test.partition("::")[0]
    if _BENCHMARK_ON_RAY.match(test):
        return "ray too"
    if contract := _CONTRACT.match(test):
        return contract[1]
    if module.startswith("tests/lab/"):
        return "lab"
    return ON_RAY.get(module, module)
