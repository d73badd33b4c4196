"""Each class and type alias has a name of its own, so that a search for it finds one definition."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_TYPE_NAME = re.compile(r"[A-Z]+[a-z]\w*")


def list_type_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names of a module's classes and public type aliases."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if _TYPE_NAME.fullmatch(name):
                    yield name


def test_classes_and_type_aliases_have_different_names(repository: Path) -> None:
    modules = [ast.parse(file.read_text()) for file in (repository / "harness").rglob("*.py")]
    names = Counter[str]()
    for module in modules:
        names.update(list_type_names(module))
    assert names["Anatomy"] == names["Operands"] == 1, "classes and aliases are counted"
    assert [name for name, count in names.items() if count > 1] == []
