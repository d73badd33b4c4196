"""Which modules are the user's own: neither Python's, nor installed, nor the harness.

They are known by where they are found, never by what has been imported, so that every process tells the same ones.
"""

import ast
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path
from traceback import walk_tb
from types import FrameType

_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")
)


def sources(module: str) -> dict[str, Path]:
    """The files of a module and of all that it imports, wherever in it, and so on, by module: those that are own."""
    found: dict[str, Path] = {}
    left = list(_with_packages(module))
    while left:
        name = left.pop()
        spec = None if name in found else own_spec(name)
        if spec is not None and spec.origin is not None:  # a package may have no file
            found[name] = Path(spec.origin)
            left += _imported(name, found[name])
    return found


def own_spec(name: str) -> ModuleSpec | None:
    """Found without importing anything; None where it is not the user's own, or not there."""
    top, *inner = _with_packages(name)
    spec = PathFinder.find_spec(top)
    if spec is None or top == "harness" or not _is_own(spec):
        return None
    for one in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(one, spec.submodule_search_locations)
    return spec


def place_of(error: BaseException) -> str:
    """`file:line` of the last call in the user's own code; empty where none of it was running."""
    own = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _is_in_own_file(frame)]
    return f"{Path(own[-1][0].f_code.co_filename).name}:{own[-1][1]}" if own else ""


def _is_in_own_file(frame: FrameType) -> bool:
    """TensorFlow runs a module's functions from copies too, which nobody could look at."""
    spec = own_spec(frame.f_globals.get("__name__") or "?")
    return spec is not None and spec.origin == frame.f_code.co_filename


def _is_own(spec: ModuleSpec) -> bool:
    places = [
        Path(place).resolve()
        for place in (spec.origin, *(spec.submodule_search_locations or ()))
        if place
    ]
    return not any(_INSTALLED & set(place.parts) or _is_standard(place) for place in places)


def _is_standard(place: Path) -> bool:
    return any(place.is_relative_to(folder) for folder in _STANDARD_LIBRARY)


def _with_packages(name: str) -> Iterator[str]:
    """`a.b.c` → `a`, `a.b`, `a.b.c`: importing it runs them all."""
    return accumulate(name.split("."), "{}.{}".format)


def _imported(name: str, file: Path) -> Iterator[str]:
    """What a module's source says that it imports; some of it may be no module, but a name in one."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # compiled, or one that Python refuses when it is imported
        return
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (*_with_packages(base), *(f"{base}.{alias.name}" for alias in node.names))
