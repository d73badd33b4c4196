from pathlib import Path

import pytest

from tests.fleet.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf.make(tmp_path)
