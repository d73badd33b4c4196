"""A simulated fleet of SSH devices, for what needs many of them or bad lines: no root, no containers."""

from tests.simulated.fleet import Endpoint, SimulatedFleet

__all__ = ["Endpoint", "SimulatedFleet"]
