from dataclasses import replace
from typing import Any

import pytest

from harness.config.document import Document
from harness.config.protocol import parse_protocol, resolve_protocol
from harness.core.bench import PROTOCOLS, Gates, Protocol
from harness.core.errors import ConfigError

QUICK, STANDARD = PROTOCOLS["quick"], PROTOCOLS["standard"]


@pytest.mark.parametrize(
    ("text", "meant"),
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
def test_a_protocol_is_named_or_spelled_out(text: str, meant: Protocol) -> None:
    assert parse_protocol(text) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("slow", "'slow' is no protocol; known: quick, standard, thorough"),
        ("quick,fast", "'fast' has to look like key=value"),
        ("quick,speed=3", "speed is not a key that is known here"),
        ("quick,processes=0", "processes is 0"),
        ("quick,processes=many", 'processes is "many"'),
        ("quick,target=200%", "target is 2.0"),
        ("quick,threads=3", "threads is no part of a protocol"),
        ("base=slow", "base is 'slow', which is no protocol"),
        ("", "'' is no protocol"),
        ("quick,name=standard", "which means another; give it a name of its own"),
        ("quick,min_secs=200", "min_secs is 200, over max_secs, 150"),
        ("quick,processes=50,max_processes=10", "max_processes is 10, under processes, 50"),
        ("quick,processes=1000000000", "processes is 1000000000"),
        ("quick,gates=7", "gates has to be a mapping"),
        ("quick,gates.heat=3", "gates.heat is not a key that is known here"),
        ("quick,order=random", 'order is "random"'),
    ],
)
def test_what_is_no_protocol_is_told(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="--protocol") as refused:
        parse_protocol(text)
    assert words in str(refused.value)


def test_a_file_spells_one_out() -> None:
    words: dict[str, Any] = {"base": "quick", "processes": 8, "gates": {"max_temperature_c": 50}}
    made = resolve_protocol(Document("jobs/x.yaml", {}, lines={}, origins={}), words)
    assert made == replace(
        QUICK, name="custom", processes=8, gates=Gates(max_wait_s=5.0, max_temperature_c=50)
    )


def test_the_defaults_are_what_the_first_version_did() -> None:
    """So that its cases keep their ids."""
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
