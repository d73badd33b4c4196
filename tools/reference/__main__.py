"""Write the reference pages and pictures: `python -m tools.reference`.

A test compares them with the code.
"""

from collections.abc import Callable, Mapping
from functools import partial

from harness.cli.actions.schema import format_schema
from tools.reference.commands import describe_commands
from tools.reference.diagrams import draw_flow, draw_rooms
from tools.reference.keys import describe_device_keys, describe_sweep_keys
from tools.reference.outcomes import describe_failures, describe_warnings
from tools.reference.project import ROOT
from tools.reference.schema import describe_schema

NOTE = "<!-- Made by `python -m tools.reference`: change the code, not this page. -->\n\n"
PAGES: Mapping[str, Callable[[], str]] = {
    "docs/images/flow.svg": partial(draw_flow, 4),
    "docs/images/flow_narrow.svg": partial(draw_flow, 2),
    "docs/images/rooms.svg": draw_rooms,
    "docs/reference/commands.md": describe_commands,
    "docs/reference/device_keys.md": describe_device_keys,
    "docs/reference/failures.md": describe_failures,
    "docs/reference/schema.md": describe_schema,
    "docs/reference/sweep_keys.md": describe_sweep_keys,
    "docs/reference/warnings.md": describe_warnings,
    "harness/config/schemas/devices.schema.json": partial(format_schema, "devices"),
    "harness/config/schemas/sweep.schema.json": partial(format_schema, "sweep"),
}


def render(page: str) -> str:
    """Return a page as its file should be."""
    text = PAGES[page]()
    return f"{text}\n" if page.endswith(".json") else NOTE + text


def main() -> None:
    """Write each page that is not up to date."""
    for page in PAGES:
        file, text = ROOT / page, render(page)
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"{page}: written.")


if __name__ == "__main__":
    main()
