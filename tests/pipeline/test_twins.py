"""Artifacts wait for their twins, and not for ever."""

from harness.core.sweep import Precision
from harness.pipeline.twins import MAX_WAIT_S, TwinGroups
from tests.store.examples import make_trial

BINARY = make_trial()
FLOAT = make_trial(precision=Precision.FLOAT32)
OTHER = make_trial(seed=1)


def test_twins_are_taken_together_in_the_order_of_their_ends() -> None:
    groups = TwinGroups()
    groups.expect([BINARY, FLOAT, OTHER])
    groups.end(FLOAT, ["float"], now_s=1)
    assert groups.take(2) == []
    groups.end(BINARY, ["binary"], now_s=3)
    assert groups.take(3) == [("float", "binary")]
    assert groups.take(3) == []


def test_a_trial_that_failed_makes_no_twin_wait() -> None:
    groups = TwinGroups()
    groups.expect([BINARY, FLOAT])
    groups.end(BINARY, (), now_s=1)
    groups.end(FLOAT, ["float"], now_s=2)
    assert groups.take(2) == [("float",)]


def test_a_twin_that_takes_long_is_not_waited_for() -> None:
    groups = TwinGroups()
    groups.expect([BINARY, FLOAT])
    groups.end(FLOAT, ["float"], now_s=10)
    assert groups.take(9.9 + MAX_WAIT_S) == []
    assert groups.take(10 + MAX_WAIT_S) == [("float",)]
    groups.end(BINARY, ["binary"], now_s=500)
    assert groups.take(500) == [("binary",)]


def test_a_trial_that_nobody_expected_waits_for_nothing() -> None:
    groups = TwinGroups()
    groups.end(BINARY, ["binary"], now_s=0)
    assert groups.take(0) == [("binary",)]
