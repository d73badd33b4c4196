"""Measurements of speed and accuracy, each beside a yardstick in the same run.

Start one by `python -m benchmarks.NAME`. With `--quick` it does little: a check that it still works.
"""

import argparse
from typing import Any


def parse_options(parser: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """Parse the command line; `quick` holds the defaults that `--quick` puts in the place of others."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only check that everything runs: the figures mean nothing",
    )
    if parser.parse_args().quick:
        parser.set_defaults(**quick)
    return parser.parse_args()
