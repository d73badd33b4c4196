"""The leases of a bench, in a database that another process locks."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event

from harness.core.errors import DatabaseBusy
from harness.fleet.lease_keeper import LeaseKeeper
from harness.store.database import open_database
from harness.store.rows.leases import Leases


class UnreleasableLeases(Leases):
    """Leases in a database that is locked whenever one is released; a real lock takes a minute."""

    def release(self, tokens: Sequence[str]) -> None:
        raise DatabaseBusy(f"Another process has locked the database; {len(tokens)} leases stay.")


def test_a_locked_database_does_not_turn_the_end_of_a_bench_into_an_error(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'harness.db'}")
    with LeaseKeeper(UnreleasableLeases(engine)) as keeper:
        for device in ("released", "kept"):
            assert keeper.wait_for(device, print, patience_s=60.0, stop=Event())
        keeper.release("released")
        assert not keeper.is_ours("released")
        assert keeper.is_ours("kept")
    engine.dispose()
