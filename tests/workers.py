"""How tests are shared out among workers (pytest-xdist's): those of a group run one after the other, in one of them.

`--dist=loadgroup` and its marks would do, but group nothing with pytest 9.2 (pytest-dev/pytest-xdist#1386).
"""

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Each starts Ray, which takes all CPUs for its own; one of them looks at how much memory the machine has left.
ON_RAY = (
    "tests/integration/test_detach.py",
    "tests/integration/test_faults.py",
    "tests/integration/test_main_job.py",
    "tests/integration/test_mlflow.py",
    "tests/integration/test_searches.py",
    "tests/training/test_ray_cluster.py",
    "tests/training/test_search.py",
    "tests/training/test_two_nodes.py",
)
# Many tests, and what one device's do is nothing to the others; but phone1 is stopped by other tests of the lab.
_CONTRACT = re.compile(r"tests/(?:contracts|lab)/.*\[(local|ssh|simulated|busybox|mksh|phone2)\b")


def scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    made = LoadScopeScheduling(config, log)
    made._split_scope = group_of  # which xdist's own schedulers override
    return made


def group_of(test: str) -> str:
    """Of a test's id: mostly its module, whose tests share fixtures."""
    module = test.partition("::")[0]
    if module in ON_RAY:
        return "ray"
    if contract := _CONTRACT.match(test):
        return contract[1]
    return "lab" if module.startswith("tests/lab/") else module
