"""Speed benchmarks, each beside a yardstick of the same run. Leave the machine otherwise idle."""
