"""Help for the keys of sweep files and of `devices.yaml`, beside the types that check them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KeyHelp:
    """A key's meaning, its unit and an example, for the manual and for editors.

    It stands in `Annotated`. pydantic calls the method to make a JSON Schema; checks ignore it.
    """

    meaning: str
    unit: str = ""
    example: Any = None

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: Callable[[Any], dict[str, Any]]
    ) -> dict[str, Any]:
        schema = {**handler(core_schema), "description": self.meaning}
        if self.unit:
            schema["x-unit"] = self.unit
        if self.example is not None:
            schema["examples"] = [self.example]
        return schema
