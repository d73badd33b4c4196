"""The leases of a bench, in a database that another process locks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import Engine

from harness.core.errors import DatabaseBusy
from harness.fleet.lease_keeper import LeaseKeeper
from harness.store.database import open_database
from harness.store.rows.leases import LeasePosition, Leases


class UnreleasableLeases(Leases):
    """Leases in a database that is locked whenever one is released; a real lock takes a minute."""

    def release(self, tokens: Sequence[str]) -> None:
        raise DatabaseBusy(f"Another process has locked the database; {len(tokens)} leases stay.")


class SlowLeases(Leases):
    """Leases whose renewal takes until a test lets it go on."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.begun, self.may_go_on = Event(), Event()
        self.may_go_on.set()

    def renew(self, tokens: Mapping[str, str]) -> dict[str, LeasePosition]:
        self.begun.set()
        self.may_go_on.wait()
        return super().renew(tokens)


def test_a_lease_that_is_released_while_it_is_renewed_is_not_left_behind(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'harness.db'}")
    leases = SlowLeases(engine)
    with LeaseKeeper(leases) as keeper:
        assert keeper.wait_for("pi4", print, patience_s=60.0, stop=Event())
        leases.may_go_on.clear()
        leases.begun.clear()
        waiting = Thread(
            target=keeper.wait_for,
            args=("phone", print),
            kwargs={"patience_s": 60.0, "stop": Event()},
        )
        waiting.start()
        leases.begun.wait()  # both are being renewed
        keeper.release("pi4")
        leases.may_go_on.set()
        waiting.join()
        assert keeper.wait_for("pi4", print, patience_s=10.0, stop=Event())
    engine.dispose()


def test_a_locked_database_does_not_turn_the_end_of_a_bench_into_an_error(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'harness.db'}")
    with LeaseKeeper(UnreleasableLeases(engine)) as keeper:
        for device in ("released", "kept"):
            assert keeper.wait_for(device, print, patience_s=60.0, stop=Event())
        keeper.release("released")
        assert not keeper.is_ours("released")
        assert keeper.is_ours("kept")
    engine.dispose()
