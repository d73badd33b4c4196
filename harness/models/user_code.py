"""Detection of the user's own modules: neither Python's, nor installed, nor the harness's.

The file's location decides, not the state of imports, so every process finds the same modules.
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


def find_sources(module: str) -> dict[str, Path]:
    """Return the files of a module and of its direct and indirect imports, by module.

    Only the user's own modules are followed and included.
    """
    sources: dict[str, Path] = {}
    pending = list(_with_packages(module))
    while pending:
        name = pending.pop()
        spec = None if name in sources else find_user_spec(name)
        if spec is not None and spec.origin is not None:  # a package may have no file
            sources[name] = Path(spec.origin)
            pending += _find_imports(name, sources[name])
    return sources


def find_user_spec(name: str) -> ModuleSpec | None:
    """Find a module without importing anything; None if it is missing or not the user's own."""
    top, *submodules = _with_packages(name)
    spec = PathFinder.find_spec(top)
    if spec is None or top == "harness" or not _is_user_code(spec):
        return None
    for submodule in submodules:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(submodule, spec.submodule_search_locations)
    return spec


def locate_in_user_code(error: BaseException) -> str:
    """Return `file:line` of the last call in the user's own code; empty if it was not running."""
    location = ""
    for frame, line in walk_tb(error.__traceback__):
        if _runs_user_file(frame):
            location = f"{Path(frame.f_code.co_filename).name}:{line}"
    return location


def _runs_user_file(frame: FrameType) -> bool:
    """Exclude the temporary copies of functions that TensorFlow runs: users can't look at those."""
    spec = find_user_spec(frame.f_globals.get("__name__") or "?")
    return spec is not None and spec.origin == frame.f_code.co_filename


def _is_user_code(spec: ModuleSpec) -> bool:
    locations = filter(None, (spec.origin, *(spec.submodule_search_locations or ())))
    paths = [Path(location).resolve() for location in locations]
    return not any(_INSTALLED & set(path.parts) or _is_standard(path) for path in paths)


def _is_standard(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _STANDARD_LIBRARY)


def _with_packages(name: str) -> Iterator[str]:
    """Return `a`, `a.b` and `a.b.c` for `a.b.c`, because importing it runs them all."""
    return accumulate(name.split("."), "{}.{}".format)


def _find_imports(name: str, file: Path) -> Iterator[str]:
    """Yield the imports in a module's source; some may be names in a module rather than modules."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # compiled code, or code that will not import
        return
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (*_with_packages(base), *(f"{base}.{alias.name}" for alias in node.names))
