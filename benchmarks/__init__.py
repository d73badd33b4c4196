"""Measurements of speed and accuracy, each beside a yardstick in the same run.

Start one with `python -m benchmarks.NAME`. `--quick` makes a short run that shows it still works.
"""

import argparse
from typing import Any


def parse_options(parser: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """Parse the command line; `quick` holds the defaults that apply with `--quick`."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="only check that everything runs: the figures mean nothing",
    )
    if parser.parse_args().quick:
        parser.set_defaults(**quick)
    return parser.parse_args()
