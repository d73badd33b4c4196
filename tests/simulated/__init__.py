"""A simulated fleet of SSH devices, for tests with many devices or bad connections.

It needs neither root nor containers.
"""

from tests.simulated.fleet import Endpoint, SimulatedFleet

__all__ = ["Endpoint", "SimulatedFleet"]
