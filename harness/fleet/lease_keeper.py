"""The leases of one bench: a thread that renews them all and knows who has each device."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Condition, Event, Thread
from uuid import uuid4

from harness.core.errors import DatabaseBusy, DeviceBusy
from harness.store.rows.leases import LeasePosition, Leases

_RENEWAL_INTERVAL_S = 10.0
_POLL_INTERVAL_S = 1.0  # while a device is waited for


class LeaseKeeper:
    """A context in which leases are taken by `wait_for`, and kept until `release`.

    A lease is lost if this process stalls for too long. An error while a device's lease is renewed
    is raised by the methods that ask about that device.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._tokens: dict[str, str] = {}
        self._positions: dict[str, LeasePosition] = {}
        self._changed = Condition()
        self._wake_up = Event()
        self._ended = False
        self._errors: dict[str, Exception] = {}
        self._fatal_error: BaseException | None = None
        self._thread = Thread(target=self._run, name="leases", daemon=True)

    def __enter__(self) -> "LeaseKeeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake_up.set()
        self._thread.join()
        self._give_back(list(self._tokens.values()))

    def wait_for(
        self, device: str, on_wait: Callable[[str], None], patience_s: float, stop: Event
    ) -> bool:
        """Wait for a device; return True once it is ours, or False if `stop` was set.

        `on_wait` is called with its holder meanwhile. Raises DeviceBusy.
        """
        deadline = time.monotonic() + patience_s
        with self._changed:
            self._tokens.setdefault(device, uuid4().hex)
        self._wake_up.set()
        holder = ""
        while not stop.is_set():
            with self._changed:
                self._changed.wait_for(partial(self._has_news, device, holder), _POLL_INTERVAL_S)
                self._raise_error(device)
                position = self._positions.get(device)
            if position is not None and position.is_first:
                return True
            if position is not None and position.holder != holder:
                holder = position.holder
                on_wait(holder)
            if time.monotonic() > deadline:
                message = (
                    f"device {device}: in use by {holder} for more than {patience_s:.0f} s; "
                    "bench it later."
                )
                raise DeviceBusy(message)
        return False

    def _has_news(self, device: str, holder: str) -> bool:
        position = self._positions.get(device)
        return self._find_error(device) is not None or (
            position is not None and (position.is_first or position.holder != holder)
        )

    def count_waiting(self, device: str) -> int:
        """Return how many others wait for a device of ours."""
        with self._changed:
            position = self._positions.get(device)
            return position.waiting if position is not None else 0

    def is_ours(self, device: str) -> bool:
        """Return whether we still have the device."""
        with self._changed:
            self._raise_error(device)
            return self._has_device(device)

    def _has_device(self, device: str) -> bool:
        position = self._positions.get(device)
        return position is not None and position.is_first

    def release(self, device: str) -> None:
        """Give up a device, or the wait for it."""
        with self._changed:
            token = self._tokens.pop(device, None)
            self._positions.pop(device, None)
            self._errors.pop(device, None)
        if token is not None:
            self._give_back([token])

    def _give_back(self, tokens: Sequence[str]) -> None:
        if tokens:
            with suppress(DatabaseBusy):  # the leases expire, or end with this process
                self._leases.release(tokens)

    def _find_error(self, device: str) -> BaseException | None:
        return self._fatal_error or self._errors.get(device)

    def _raise_error(self, device: str) -> None:
        if (error := self._find_error(device)) is not None:
            raise error

    def _run(self) -> None:
        try:
            self._renew_until_ended()
        except BaseException as error:  # noqa: BLE001 - raised again in every lane
            with self._changed:
                self._fatal_error = error
                self._changed.notify_all()

    def _renew_until_ended(self) -> None:
        while not self._ended:
            self._wake_up.clear()
            with self._changed:
                tokens = dict(self._tokens)
            positions, errors = self._renew(tokens)
            with self._changed:
                for device in positions.keys() & self._tokens.keys():
                    self._positions[device] = positions[device]
                for device in errors.keys() & self._tokens.keys():
                    self._errors[device] = errors[device]
                is_waiting = not all(map(self._has_device, self._tokens))
                released = sorted({*tokens.values()} - {*self._tokens.values()})
                self._changed.notify_all()
            self._give_back(released)  # renewing may have put them in line again
            self._wake_up.wait(_POLL_INTERVAL_S if is_waiting else _RENEWAL_INTERVAL_S)

    def _renew(
        self, tokens: Mapping[str, str]
    ) -> tuple[dict[str, LeasePosition], dict[str, Exception]]:
        """Return the positions, and the errors of the devices whose leases can't be renewed.

        All are renewed together. If that fails, each is renewed alone: none affects another.
        """
        positions: dict[str, LeasePosition] = {}
        errors: dict[str, Exception] = {}
        groups = [tokens] if tokens else []
        while groups:
            group = groups.pop()
            try:
                positions |= self._leases.renew(group)
            except DatabaseBusy:
                pass  # leases outlive a database that is locked for a while
            except Exception as error:  # noqa: BLE001 - raised again in the device's lane
                if len(group) == 1:
                    errors |= dict.fromkeys(group, error)
                else:
                    groups += [{device: token} for device, token in group.items()]
        return positions, errors
