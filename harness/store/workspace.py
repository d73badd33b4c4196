"""The folder that holds everything: `HARNESS_HOME`, or `.harness` here."""

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "HARNESS_HOME"
DATABASE_VARIABLE = "HARNESS_DATABASE_URL"


@dataclass(frozen=True)
class Workspace:
    home: Path

    @classmethod
    def from_environment(cls) -> "Workspace":
        return cls(Path(os.environ.get(HOME_VARIABLE) or ".harness").absolute())

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def devices(self) -> Path:
        """Working folders of local devices."""
        return self.home / "devices"

    @property
    def database_url(self) -> str:
        return os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{self.home / 'harness.db'}"
