"""Count how readable names and prose are, or list what breaks the project's rules.

    python tools/readability.py harness                 # the figures, as a table
    python tools/readability.py --check harness docs    # each violation, as file:line: message

The figures compare projects, so any folder of Python or Markdown files may be given.
"""

import argparse
import ast
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

VAGUE_NAMES = frozenset(
    """about alike anew apart around asked behind beside both far found given gone heard held here
    how is_now it kept known made many much one own said seen shown stuff such taken that them there
    these thing things this those told wanted was what when where who why""".split()  # noqa: SIM905
)
"""Names that do not say what the value is."""

WEAK_OPENINGS = frozenset(
    """above across after against along among and as at because before behind below beside besides
    between beyond but by despite due during except for from given how if in inside into like near
    of off on onto or out outside over past per raises since than that those though through to
    toward under unless until up upon via what when where whether which while who whose why with
    within without""".split()  # noqa: SIM905
)
"""First words that leave a docstring without a verb or a subject."""

LONGEST_SENTENCE = 24
MOST_POSITIONAL = 4

ALLOWED_NAMES: dict[tuple[str, str], str] = {}
"""File and name → the reason why a vague name is right there."""

_SKIPPED_FOLDERS = frozenset({".venv", ".git", "__pycache__", "data"})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*_`]*\s+(?=[\"'(\[*_`]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|approx|no|al)\.\s", re.IGNORECASE)
_WORD = re.compile(r"[^\W_][\w'’.,/:=@%+-]*")


@dataclass(frozen=True)
class Violation:
    """A place that breaks a rule."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass
class Figures:
    """Counts over a set of files; ratios are for comparing projects of different sizes."""

    lines: int = 0
    names: int = 0
    vague_names: int = 0
    nested_comprehensions: int = 0
    long_calls: int = 0
    docstrings: int = 0
    weak_docstrings: int = 0
    sentences: int = 0
    words: int = 0

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield a label and a value for each figure that the files can give."""
        if self.lines:
            thousands = self.lines / 1000
            yield (
                "names that say nothing",
                f"{_share(self.vague_names, self.names):.2f} % of {self.names}",
            )
            yield (
                "nested comprehensions",
                f"{self.nested_comprehensions / thousands:.1f} per 1,000 lines",
            )
            yield (
                "calls with five or more positional arguments",
                f"{self.long_calls / thousands:.1f} per 1,000 lines",
            )
            yield (
                "docstrings with a weak opening",
                f"{_share(self.weak_docstrings, self.docstrings):.1f} % of {self.docstrings}",
            )
        if self.sentences:
            average = self.words / self.sentences
            yield "words per sentence", f"{average:.1f} over {self.sentences} sentences"


def _share(part: int, total: int) -> float:
    return 100 * part / total if total else 0.0


def read_python(file: Path, figures: Figures) -> list[Violation]:
    """Add a Python file to the figures and return its violations."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    figures.lines += text.count("\n")
    violations = []
    for name, line in _bound_names(tree):
        figures.names += 1
        if name.strip("_").lower() in VAGUE_NAMES and (file.as_posix(), name) not in ALLOWED_NAMES:
            figures.vague_names += 1
            violations.append(
                Violation(file, line, message=f"the name {name!r} does not say what it is")
            )
    for comprehension in _nested_comprehensions(tree):
        figures.nested_comprehensions += 1
        message = "nested comprehension: write a loop or a named helper"
        violations.append(Violation(file, comprehension.lineno, message=message))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) > MOST_POSITIONAL:
            figures.long_calls += 1
    for docstring, line in _docstrings(tree):
        figures.docstrings += 1
        opening = _WORD.search(docstring)
        if opening and opening[0].lower() in WEAK_OPENINGS:
            figures.weak_docstrings += 1
            violations.append(
                Violation(file, line, message=f"docstring starts with {opening[0]!r}")
            )
        violations += _long_sentences(file, _docstring_blocks(docstring, line))
    violations += _long_sentences(file, _comment_blocks(file))
    violations += _long_sentences(file, _messages(tree))
    return violations


def _bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name) if name not in ("self", "cls"):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name) | ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name, node.lineno
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name, node.lineno
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from ((name, node.lineno) for name in names)


def _nested_comprehensions(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if not isinstance(node, _COMPREHENSIONS):
            continue
        inner = any(
            isinstance(below, _COMPREHENSIONS) for below in ast.walk(node) if below is not node
        )
        if len(node.generators) > 1 or inner:
            yield node


def _docstrings(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            yield docstring, node.body[0].lineno


def _docstring_blocks(docstring: str, line: int) -> Iterator[tuple[str, int]]:
    """Yield the paragraphs that are prose: not indented examples, lists or tables.

    Each entry under a heading such as `Args:` is a paragraph.
    """
    entry_ends = re.sub(r"\n(?= {4}\*{0,2}\w+: )", "\n\0", docstring)
    for block in re.finditer(r"(?:[^\n\0]+\n?)+", entry_ends):
        is_entry = entry_ends[: block.start()].endswith("\0")
        if is_entry or not re.match(r"\s{2,}|[-*|>]", block[0]):
            yield block[0], line + entry_ends.count("\n", 0, block.start())


def _comment_blocks(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the texts of comments; comments on consecutive lines are one text."""
    block: list[str] = []
    first, last = 0, -1
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type != tokenize.COMMENT:
                continue
            text = re.sub(r"^#+!?\s*|\s*(noqa|type: ignore|fmt:).*$", "", token.string)
            if token.start[0] == last + 1 and token.line.lstrip().startswith("#"):
                block.append(text)
            else:
                yield " ".join(block), first
                block, first = [text], token.start[0]
            last = token.start[0]
    yield " ".join(block), first


def _messages(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the texts that end as a sentence, such as messages and help, by paragraphs.

    A placeholder counts as a word. Docstrings are left out.
    """
    match node:
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Constant(value=str(text)) if text.rstrip().endswith("."):
            yield from ((block, node.lineno) for block in text.split("\n\n"))
        case ast.JoinedStr(values=values):
            parts = [part.value if isinstance(part, ast.Constant) else "text" for part in values]
            joined = ast.Constant("".join(map(str, parts)), lineno=node.lineno)
            yield from _messages(joined)
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _messages(child)


def find_unnamed_arguments(files: Sequence[Path]) -> Iterator[Violation]:
    """Yield the calls that give the files' own functions and classes a third value by position.

    The function or class is called by its plain name, or as a method of `self`.
    """
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    own_names = _find_callables(trees.values())
    for file, tree in trees.items():
        names = own_names - _find_variables(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _has_third_value(node):
                name = _find_called_name(node)
                if name in names:
                    message = f"name the arguments of {name} from the third one on"
                    yield Violation(file, node.lineno, message=message)


def _has_third_value(call: ast.Call) -> bool:
    return len(call.args) > 2 and not any(isinstance(value, ast.Starred) for value in call.args)


def _find_called_name(call: ast.Call) -> str | None:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name):
            return str(name)
    return None


def _find_callables(trees: Iterable[ast.AST]) -> set[str]:
    """Return the names of functions and classes that take a fixed number of arguments."""
    fixed, variadic = set(), set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                (variadic if node.args.vararg else fixed).add(node.name)
            elif isinstance(node, ast.ClassDef):
                (variadic if _takes_any_number(node) else fixed).add(node.name)
    return fixed - variadic


def _takes_any_number(definition: ast.ClassDef) -> bool:
    return any(
        isinstance(member, ast.FunctionDef) and member.name == "__init__" and member.args.vararg
        for member in definition.body
    )


def _find_variables(tree: ast.AST) -> set[str]:
    """Return the names of variables and parameters, which may hold another library's function."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


def read_markdown(file: Path, figures: Figures) -> list[Violation]:
    """Add a Markdown file to the figures and return its violations."""
    blocks = list(_markdown_blocks(file.read_text(encoding="utf-8")))
    for text, _ in blocks:
        for sentence in _sentences(text):
            figures.sentences += 1
            figures.words += len(_words(sentence))
    return _long_sentences(file, blocks)


def _markdown_blocks(text: str) -> Iterator[tuple[str, int]]:
    """Yield paragraphs, list items and table cells, without code, headings and comments."""
    text = re.sub(
        r"<!--.*?-->", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.DOTALL
    )
    block: list[str] = []
    first, in_code = 0, False
    for number, line in enumerate(text.splitlines(), 1):
        is_fence = line.lstrip().startswith(("```", "~~~"))
        in_code ^= is_fence
        starts_item = re.match(r"\s*(?:[-*+]|\d+\.)\s", line)
        ends_block = (
            is_fence or in_code or not line.strip() or line.startswith(("#", "|", "!!!", "???"))
        )
        if (ends_block or starts_item) and block:
            yield "\n".join(block), first
            block = []
        if line.startswith("|") and not in_code:
            for cell in line.strip("|").split("|"):
                yield cell, number
        elif not ends_block:
            first = first if block else number
            block.append(re.sub(r"^\s*(?:[-*+>]|\d+\.)\s+", "", line))
    if block:
        yield "\n".join(block), first


def _sentences(text: str) -> list[str]:
    """Split prose into sentences, without texts of up to three words."""
    text = re.sub(r"</?[a-z][^<>]*>", " ", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text))
    text = _ABBREVIATION.sub(lambda match: match[0].replace(".", ""), re.sub(r"\s+", " ", text))
    return [part for part in _SENTENCE_END.split(text.strip()) if len(_words(part)) > 3]


def _words(sentence: str) -> list[str]:
    """Count a code span as one word: it is read as one name."""
    return _WORD.findall(re.sub(r"`[^`]*`", " code ", sentence))


def _long_sentences(
    file: Path, blocks: Iterator[tuple[str, int]] | Sequence[tuple[str, int]]
) -> list[Violation]:
    violations = []
    for text, line in blocks:
        for sentence in _sentences(text):
            count = len(_words(sentence))
            if count > LONGEST_SENTENCE:
                start = " ".join(sentence.split()[:6])
                message = f"sentence of {count} words: {start} …"
                violations.append(Violation(file, line, message=message))
    return violations


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the Python and Markdown files at or below the paths."""
    for path in paths:
        candidates = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in candidates:
            below = file.relative_to(path).parts if path.is_dir() else ()
            if file.suffix in (".py", ".md") and not _SKIPPED_FOLDERS.intersection(below):
                yield file


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures, or with `--check` the violations; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, help="files or folders")
    parser.add_argument("--check", action="store_true", help="list violations; exit with 1 if any")
    options = parser.parse_args(arguments)
    figures, violations = Figures(), []
    files = list(files_of(options.paths))
    for file in files:
        read = read_python if file.suffix == ".py" else read_markdown
        violations += read(file, figures)
    violations += find_unnamed_arguments([file for file in files if file.suffix == ".py"])
    if options.check:
        print("\n".join(map(str, violations)) or "Names and prose follow the rules.")
        return 1 if violations else 0
    for label, value in figures.rows():
        print(f"{label:<46} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
