"""The leases of one bench: one thread keeps them all alive, and says whose turn it is."""

import time
from collections.abc import Callable
from functools import partial
from threading import Condition, Event, Thread
from uuid import uuid4

from harness.core.errors import DatabaseBusy, DeviceBusy
from harness.store.rows.leases import LeasePosition, Leases

_RENEW_S = 10.0
_WAITING_S = 1.0


class LeaseKeeper:
    """Used as a context; a place is taken by `wait_for`, and kept until `leave` unless this process stalls too long."""

    def __init__(self, leases: Leases, stop: Event) -> None:
        self._leases = leases
        self._stop = stop
        self._wanted: dict[str, str] = {}
        self._places: dict[str, LeasePosition] = {}
        self._changed = Condition()
        self._asked = Event()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._keep, name="leases", daemon=True)

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._asked.set()
        self._thread.join()
        self._leases.release(list(self._wanted.values()))

    def wait_for(self, device: str, told: Callable[[str], None], patience_s: float) -> bool:
        """Whether we got the device; False where the bench was stopped. `told` hears who has it meanwhile.

        Raises DeviceBusy.
        """
        deadline = time.monotonic() + patience_s
        with self._changed:
            self._wanted.setdefault(device, uuid4().hex)
        self._asked.set()
        heard = ""
        while not self._stop.is_set():
            with self._changed:
                self._changed.wait_for(partial(self._heard_of, device, heard), 1.0)
                self._raise_error()
                place = self._places.get(device)
            if place is not None and place.is_first:
                return True
            if place is not None and place.holder != heard:
                heard = place.holder
                told(heard)
            if time.monotonic() > deadline:
                message = f"device {device}: used by {heard} for more than {patience_s:.0f} s; bench it later."
                raise DeviceBusy(message)
        return False

    def _heard_of(self, device: str, heard: str) -> bool:
        place = self._places.get(device)
        return self._error is not None or (
            place is not None and (place.is_first or place.holder != heard)
        )

    def others_waiting(self, device: str) -> int:
        with self._changed:
            place = self._places.get(device)
            return place.waiting if place is not None else 0

    def is_ours(self, device: str) -> bool:
        """Whether the place was not lost."""
        with self._changed:
            place = self._places.get(device)
            return place is not None and place.is_first

    def leave(self, device: str) -> None:
        with self._changed:
            token = self._wanted.pop(device, None)
            self._places.pop(device, None)
        if token is not None:
            self._leases.release([token])

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _keep(self) -> None:
        while not self._ended:
            self._asked.clear()
            with self._changed:
                wanted = dict(self._wanted)
            try:
                places = self._leases.renew(wanted) if wanted else {}
            except DatabaseBusy:
                continue  # a place outlives a database that is locked for a while
            except Exception as error:  # noqa: BLE001 - raised again in every thread that waits
                self._fail(error)
                return
            with self._changed:
                self._places.update(
                    {device: place for device, place in places.items() if device in self._wanted}
                )
                waits = any(not place.is_first for place in self._places.values())
                self._changed.notify_all()
            self._asked.wait(_WAITING_S if waits else _RENEW_S)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
