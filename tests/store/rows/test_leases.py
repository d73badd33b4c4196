import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy import Engine, text

from harness.store.rows.leases import Leases, identify_process, is_dead


def make_all_elsewhere(engine: Engine) -> None:
    """As if another machine had them: whether its processes live can't be known."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE leases SET process = 'another machine 1 2'"))


def test_who_comes_first_has_the_device_and_the_others_stand_in_line(engine: Engine) -> None:
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
    assert not leases.renew({"pi4": "one"})["pi4"].is_first, "who left comes again at the end"


def test_devices_have_nothing_to_do_with_each_other(engine: Engine) -> None:
    leases = Leases(engine)
    leases.renew({"pi4": "one"})
    places = leases.renew({"pi5": "two", "pixel": "three"})
    assert all(place.is_first and place.waiting == 0 for place in places.values())


def test_a_place_expires_unless_it_is_renewed(engine: Engine) -> None:
    short, long = Leases(engine, seconds=0.05), Leases(engine)
    short.renew({"pi4": "sleeper"})
    make_all_elsewhere(engine)
    deadline = time.monotonic() + 30
    while not long.renew({"pi4": "patient"})["pi4"].is_first:
        assert time.monotonic() < deadline
    assert not short.renew({"pi4": "sleeper"})["pi4"].is_first


def test_the_place_of_a_process_that_died_here_is_free_at_once(engine: Engine) -> None:
    leases = Leases(engine)
    leases.renew({"pi4": "dead"})
    boot, names, _pid, _started = identify_process().split(" ")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE leases SET process = :dead"), {"dead": f"{boot} {names} 4194000 1"}
        )
    assert leases.renew({"pi4": "heir"})["pi4"].is_first


def test_only_a_process_of_this_machine_can_be_known_to_be_dead() -> None:
    boot, names, pid, started = identify_process().split(" ")
    assert not is_dead(identify_process())
    assert is_dead(f"{boot} {names} {pid} {int(started) + 1}"), (
        "the number was given to another process since"
    )
    assert not is_dead(f"{boot} other-container 4194000 1")
    assert not is_dead(f"other-boot {names} 4194000 1")


def test_a_database_knows_itself(engine: Engine) -> None:
    assert Leases(engine).get_database_id() == Leases(engine).get_database_id() != ""


def test_of_those_who_come_at_once_one_is_first(engine: Engine) -> None:
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
            assert again == first, "nobody else comes first later"
