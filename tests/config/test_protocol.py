from dataclasses import replace
from typing import Any

import pytest

from harness.config.document import Document
from harness.config.protocol import parse_protocol, resolve_protocol
from harness.core.bench import PROTOCOLS, Gates, Protocol
from harness.core.errors import ConfigError

QUICK, STANDARD = PROTOCOLS["quick"], PROTOCOLS["standard"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quick", QUICK),
        ("thorough", PROTOCOLS["thorough"]),
        ("quick,gates=off", replace(QUICK, name="custom", gates=None)),
        ("quick,canary=off,processes=8", replace(QUICK, name="custom", canary=False, processes=8)),
        ("target=1%", replace(STANDARD, name="custom", target=0.01)),
        ("standard,target=0.01,name=mine", replace(STANDARD, name="mine", target=0.01)),
        ("quick,gates.max_wait_s=0", replace(QUICK, name="custom", gates=Gates(max_wait_s=0))),
        ("standard,order=sequential", replace(STANDARD, name="custom", order="sequential")),
    ],
)
def test_a_protocol_has_a_name_or_settings(text: str, expected: Protocol) -> None:
    assert parse_protocol(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("slow", "unknown protocol 'slow'; choose from: quick, standard, thorough"),
        ("quick,fast", "write 'fast' as key=value"),
        ("quick,speed=3", "speed is not a known key"),
        ("quick,processes=0", "processes is 0"),
        ("quick,processes=many", 'processes is "many"'),
        ("quick,target=200%", "target is 2.0"),
        ("quick,threads=3", "threads does not belong to a protocol"),
        ("base=slow", "base is 'slow', not a known protocol"),
        ("", "unknown protocol ''"),
        ("quick,name=standard", "which is a built-in protocol; choose another name"),
        ("quick,min_secs=200", "min_secs is 200, but must be at most max_secs, which is 150"),
        (
            "quick,processes=50,max_processes=10",
            "max_processes is 10, but must be at least processes, which is 50",
        ),
        ("quick,processes=1000000000", "processes is 1000000000"),
        ("quick,gates=7", "gates must be a mapping"),
        ("quick,gates.heat=3", "gates.heat is not a known key"),
        ("quick,order=random", 'order is "random"'),
        ("quick,order=[a", "--protocol order=[a: the value is not valid YAML"),
    ],
)
def test_a_wrong_protocol_is_refused_with_the_problem(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match="--protocol") as refused:
        parse_protocol(text)
    assert problem in str(refused.value)


def test_a_file_may_give_single_settings() -> None:
    settings: dict[str, Any] = {"base": "quick", "processes": 8, "gates": {"max_temperature_c": 50}}
    document = Document("jobs/x.yaml", {}, lines={})
    assert resolve_protocol(document, settings) == replace(
        QUICK, name="custom", processes=8, gates=Gates(max_wait_s=5.0, max_temperature_c=50)
    )


def test_the_defaults_are_those_of_the_first_version() -> None:
    """The cases of that version therefore keep their ids."""
    first = Protocol("quick", warmup_min_secs=0.1, num_runs=20, min_secs=0.2, processes=6)
    assert (
        first.order,
        first.gates,
        first.canary,
        first.answers,
        first.target,
        first.process_limit,
    ) == (
        "sequential",
        None,
        False,
        False,
        0.0,
        6,
    )
