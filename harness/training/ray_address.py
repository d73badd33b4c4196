"""The address of a Ray cluster, and whether anything listens at it."""

import socket
from urllib.parse import urlsplit


def check_listening(address: str, timeout_s: float) -> None:
    """Connect to HOST:PORT, or SCHEME://HOST:PORT, and hang up.

    Ray's own clients keep trying for minutes if nothing listens. Raises OSError if nothing does,
    ValueError if the address has no host or no port.
    """
    target = urlsplit(address if "://" in address else f"//{address}")
    if not target.hostname or not target.port:
        raise ValueError("host or port is missing")
    socket.create_connection((target.hostname, target.port), timeout_s).close()
