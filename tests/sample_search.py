"""A plausible search of 40 points, whose truth is known, written by the store.

Latency is decided by the units alone, accuracy mostly by the learning rate. Large networks are too
slow for the phone. The same seed always gives the same numbers.
"""

import random
from datetime import datetime, timedelta, timezone
from math import log10
from pathlib import Path

from sqlalchemy import Engine, select, update

from harness.core.errors import Reason
from harness.core.search import ACCURACY, Constraint
from harness.core.sweep import Failure
from harness.store.database import close_database, open_database
from harness.store.rows.trials import TrialRows
from harness.store.tables import sweep_trials, trials
from tests.store.searches import LATENCY_ON_PI4, LIMIT_ON_PHONES, StoredSearch, make_search

POINTS = 40
FAILED_POINT = 20
LIMIT_ON_PI4 = Constraint("latency", at_most=12_000.0, on="pi4")
_LIMIT_US = LIMIT_ON_PHONES.at_most
_START = datetime(2026, 11, 20, 9, tzinfo=timezone.utc)


def write_search(home: Path) -> None:
    """Add the search to a workspace's database; create that if there is none."""
    home.mkdir(parents=True, exist_ok=True)
    engine = open_database(f"sqlite:///{home / 'harness.db'}")
    search = make_search((ACCURACY, LATENCY_ON_PI4), (LIMIT_ON_PHONES, LIMIT_ON_PI4))
    stored, chance = StoredSearch(engine, search), random.Random(1)
    stored.submit()
    for number in range(1, POINTS + 1):
        _try_point(stored, number, chance=chance)
    _date_points(engine, chance)
    close_database(engine)


def _try_point(stored: StoredSearch, number: int, chance: random.Random) -> None:
    units, rate = 64 * chance.randint(1, 8), 10 ** chance.uniform(-4, -1)
    (trial,) = stored.begin(units, rate)
    latencies_us = {"pi4": 30.0 * units * chance.uniform(0.95, 1.05), "pixel6": 13.0 * units}
    for device, latency_us in latencies_us.items():
        stored.look(trial, device, latency_us=latency_us)
    if latencies_us["pixel6"] > _LIMIT_US:
        text = f"latency on phones is {latencies_us['pixel6'] / 1000:.2f} ms on pixel6, over 5 ms."
        stored.rule_out(trial, text)
        return
    if number == FAILED_POINT:
        failure = Failure(Reason.DIVERGED, "The loss became nan.")
        TrialRows(stored.engine).fail(trial.id, failure)
        return
    learning = 0.1 * (log10(rate) + 2.5) ** 2
    accuracy = 0.95 - learning - 0.1 * (64 / units) ** 0.7 + chance.gauss(0, 0.005)
    sha256 = stored.finish(trial, accuracy, size=40 * units, fit_s=20 + units / 10)
    for device, latency_us in latencies_us.items():
        stored.measure(sha256, device, latency_us=latency_us * chance.uniform(1, 1.05))


def _date_points(engine: Engine, chance: random.Random) -> None:
    """Let a point begin every 45 s, and take a minute or two."""
    with engine.begin() as connection:
        in_order = (
            select(sweep_trials.c.trial_id)
            .where(sweep_trials.c.point.is_not(None))
            .order_by(sweep_trials.c.submitted_at)
        )
        for number, trial_id in enumerate(connection.scalars(in_order).all()):
            begun = _START + timedelta(seconds=45 * number)
            ended = begun + timedelta(seconds=chance.uniform(50, 110))
            link, trial = sweep_trials.c.trial_id == trial_id, trials.c.id == trial_id
            connection.execute(
                update(sweep_trials).where(link).values(submitted_at=begun.isoformat())
            )
            connection.execute(update(trials).where(trial).values(finished_at=ended.isoformat()))
