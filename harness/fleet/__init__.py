"""The benchmarks of a fleet: from artifacts to measurements, with a lane for each device."""
