"""Pictures as SVG, readable on a light and on a dark page: the data flow, and the rooms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tools.reference.project import read_rooms

BOX = (150, 74)
GAP = 36
LABEL = 40  # height of the line for a group's name, above its boxes
MARGIN = 6
GREY = "#8792a2"  # has enough contrast on white and on the site's dark background
ROOMS_IN_A_ROW = 3


@dataclass(frozen=True)
class Colours:
    """A box's fill and its border."""

    fill: str
    border: str


GROUPS = {
    "TRAIN": Colours("#dbeafe", "#3b82f6"),
    "MEASURE": Colours("#dcfce7", "#16a34a"),
    "ASK": Colours("#fef3c7", "#d97706"),
}
STEPS = (
    ("TRAIN", "sweep file", "jobs/*.yaml"),
    ("TRAIN", "plan", "what is missing"),
    ("TRAIN", "trials", "trained by Ray"),
    ("TRAIN", "artifacts", ".tflite files"),
    ("MEASURE", "cases", "artifact × device"),
    ("MEASURE", "runs", "tool processes"),
    ("ASK", "rows", "in the database"),
    ("ASK", "comparison", "with a verdict"),
)


def draw_flow(columns: int) -> str:
    """Return the data flow with so many steps in a row."""
    width, height = BOX
    rows = -(-len(STEPS) // columns)
    parts: list[str] = []
    for index, (group, title, subtitle) in enumerate(STEPS):
        left, top = _corner(index, columns)
        if index == 0 or STEPS[index - 1][0] != group:
            parts.append(_label(left, top - 9, text=group))
        if index:
            parts.append(_arrow(index, columns))
        parts += _box((left, top), BOX, texts=(title, subtitle), colours=GROUPS[group])
    size = (
        2 * MARGIN + columns * width + (columns - 1) * GAP,
        2 * MARGIN + rows * (LABEL + height) + (rows - 1) * MARGIN * 2,
    )
    return _svg(size, "Data flow: " + ", ".join(title for _, title, _ in STEPS), parts=parts)


def draw_rooms() -> str:
    """Return the rooms of the package in layers, each of which may import those below it."""
    width, height = 144, 34
    left, top = 34, MARGIN
    parts: list[str] = []
    for layer in read_rooms():
        colours = GROUPS["TRAIN"] if len(layer) == 1 else GROUPS["MEASURE"]
        for start in range(0, len(layer), ROOMS_IN_A_ROW):
            row = layer[start : start + ROOMS_IN_A_ROW]
            share = (3 * width + 2 * MARGIN - (len(row) - 1) * MARGIN) // len(row)
            for column, room in enumerate(row):
                corner = (left + column * (share + MARGIN), top)
                parts += _box(corner, (share, height), texts=(room,), colours=colours)
            top += height + MARGIN
        top += 10
    bottom = top - 16
    parts.append(_line(f"M14 {MARGIN}V{bottom}"))
    size = (left + 3 * width + 2 * MARGIN + MARGIN, bottom + MARGIN)
    return _svg(size, "Rooms: imports point down", parts=parts)


def _corner(index: int, columns: int) -> tuple[int, int]:
    row, column = divmod(index, columns)
    width, height = BOX
    return (
        MARGIN + column * (width + GAP),
        MARGIN + LABEL + row * (LABEL + height + 2 * MARGIN),
    )


def _arrow(index: int, columns: int) -> str:
    """Draw the arrow into a step from the one before it."""
    width, height = BOX
    left, top = _corner(index, columns)
    if index % columns:
        return _line(f"M{left - GAP} {top + height // 2}h{GAP}")
    last_left, last_top = _corner(index - 1, columns)
    start, end = last_left + width // 2, left + width - 20
    middle = last_top + height + 22
    return _line(
        f"M{start} {last_top + height}V{middle - 10}q0 10-10 10H{end + 10}q-10 0-10 10V{top}"
    )


def _box(
    corner: tuple[int, int], size: tuple[int, int], texts: Sequence[str], colours: Colours
) -> Iterator[str]:
    (left, top), (width, height) = corner, size
    middle = left + width // 2
    yield (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="8" '
        f'fill="{colours.fill}" stroke="{colours.border}" stroke-width="1.5"/>'
    )
    if len(texts) == 1:
        yield _text(
            middle, top + height // 2 + 5, text=texts[0], style='font-size="15" fill="#111827"'
        )
        return
    yield _text(
        middle, top + 32, text=texts[0], style='font-size="18" font-weight="600" fill="#111827"'
    )
    yield _text(middle, top + 56, text=texts[1], style='font-size="14" fill="#374151"')


def _label(left: int, bottom: int, text: str) -> str:
    style = f'font-size="14" font-weight="600" fill="{GREY}" text-anchor="start"'
    return _text(left, bottom, text=text, style=style)


def _text(x: int, y: int, text: str, style: str) -> str:
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'


def _line(path: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{GREY}" stroke-width="2" marker-end="url(#head)"/>'
    )


def _svg(size: tuple[int, int], title: str, parts: Sequence[str]) -> str:
    width, height = size
    head = "M0 0 8 4 0 8z"
    fonts = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" text-anchor="middle" '
        f'font-family="{fonts}">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="10" '
        f'markerHeight="10" markerUnits="userSpaceOnUse" orient="auto"><path d="{head}" '
        f'fill="{GREY}"/></marker></defs>',
        *parts,
        "</svg>",
    )
    return "\n".join(lines) + "\n"
