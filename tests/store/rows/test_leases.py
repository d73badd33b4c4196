import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from harness.store.rows.leases import Leases, identify_process, is_dead


def move_to_another_machine(engine: Engine) -> None:
    """Make the leases those of another machine, whose processes are not known to be alive."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE leases SET process = 'another machine 1 2'"))


def test_the_first_has_the_device_and_the_others_wait_in_line(engine: Engine) -> None:
    leases = Leases(engine)
    assert leases.renew({"pi4": "one"})["pi4"].is_first
    second = leases.renew({"pi4": "two"})["pi4"]
    assert not second.is_first
    assert f"(process {identify_process().split()[2]})" in second.holder
    assert leases.renew({"pi4": "three"})["pi4"].waiting == 2
    assert leases.renew({"pi4": "one"})["pi4"].waiting == 2
    leases.release(["one"])
    assert leases.renew({"pi4": "two"})["pi4"].is_first
    assert not leases.renew({"pi4": "three"})["pi4"].is_first
    assert not leases.renew({"pi4": "one"})["pi4"].is_first, (
        "a released position starts again at the end"
    )


def test_each_device_has_a_line_of_its_own(engine: Engine) -> None:
    leases = Leases(engine)
    leases.renew({"pi4": "one"})
    positions = leases.renew({"pi5": "two", "pixel": "three"})
    assert all(position.is_first and position.waiting == 0 for position in positions.values())


def test_a_position_expires_unless_it_is_renewed(engine: Engine) -> None:
    short, long = Leases(engine, seconds=0.05), Leases(engine)
    short.renew({"pi4": "sleeper"})
    move_to_another_machine(engine)
    deadline = time.monotonic() + 30
    while not long.renew({"pi4": "patient"})["pi4"].is_first:
        assert time.monotonic() < deadline
    assert not short.renew({"pi4": "sleeper"})["pi4"].is_first


def test_the_position_of_a_process_that_died_here_is_free_at_once(engine: Engine) -> None:
    leases = Leases(engine)
    leases.renew({"pi4": "dead"})
    boot, names, _pid, _started = identify_process().split(" ")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE leases SET process = :dead"), {"dead": f"{boot} {names} 4194000 1"}
        )
    assert leases.renew({"pi4": "heir"})["pi4"].is_first


def test_only_processes_of_this_machine_are_known_to_be_dead() -> None:
    boot, names, pid, started = identify_process().split(" ")
    assert not is_dead(identify_process())
    assert is_dead(f"{boot} {names} {pid} {int(started) + 1}"), "another process has the number now"
    assert not is_dead(f"{boot} other-container 4194000 1")
    assert not is_dead(f"other-boot {names} 4194000 1")


@pytest.mark.parametrize("process", ["", "nonsense", "unknown unknown 4194000 1", "a b c d"])
def test_a_process_that_is_not_identified_is_not_known_to_be_dead(
    engine: Engine, process: str
) -> None:
    leases = Leases(engine)
    leases.renew({"pi4": "one"})
    with engine.begin() as connection:
        connection.execute(text("UPDATE leases SET process = :process"), {"process": process})
    assert not leases.renew({"pi4": "two"})["pi4"].is_first


def test_a_database_has_one_id(engine: Engine) -> None:
    assert Leases(engine).get_database_id() == Leases(engine).get_database_id() != ""


def test_exactly_one_of_those_who_come_at_once_is_first(engine: Engine) -> None:
    leases, threads = Leases(engine), 6
    barrier = Barrier(threads)

    def come(device: str, token: str) -> bool:
        barrier.wait()
        return leases.renew({device: token})[device].is_first

    with ThreadPoolExecutor(threads) as pool:
        for number in range(10):
            device = f"device {number}"
            tokens = [f"{number}-{thread}" for thread in range(threads)]
            first = list(pool.map(come, [device] * threads, tokens))
            assert sum(first) == 1
            again = [leases.renew({device: token})[device].is_first for token in tokens]
            assert again == first, "nobody else becomes first later"
