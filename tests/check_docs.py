"""Compare the documents with the project: `python -m tests.check_docs`.

`--run` also runs every command that works in a checkout as it stands: the lines of `sh` blocks.
Blocks marked `console` show a session; their commands are checked, but not run.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import typer

from harness.cli.commands.main import app

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#:\s]*)(?:#(?P<anchor>[^)]*))?\)")
SPAN = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")
PATH = re.compile(r"(?:\.ci|benchmarks|dashboards|db|docs|harness|jobs|tests|tools)/[\w./*-]*")
IMPORT = re.compile(r"from (?P<module>harness[\w.]*) import (?P<names>[\w, ]+)")
SHELL_ENDS = frozenset({"|", "||", "&&", ">", ">>", ";"})
PARTS = ("start", "guides", "reference", "inside")


def documents(root: Path = ROOT) -> list[str]:
    """Return every document, in the order in which a newcomer reads them."""
    files = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    for part in PARTS:
        files += sorted((root / "docs" / part).glob("*.md"))
    files += [root / "CHANGELOG.md", root / "CONTRIBUTING.md"]
    return [str(file.relative_to(root)) for file in files if file.exists()]


def main() -> int:
    problems = find_problems()
    for problem in problems:
        print(problem)
    if problems:
        return 1
    if "--run" in sys.argv[1:]:
        return run_commands()
    print(f"{len(documents())} documents: links, paths, commands, imports and queries are right.")
    return 0


def find_problems(root: Path = ROOT) -> list[str]:
    """Return a sentence for each thing that the documents say and the project does not have."""
    problems = []
    for document in documents(root):
        text = (root / document).read_text(encoding="utf-8")
        for check in (broken_links, missing_paths, unknown_commands, unknown_imports):
            problems += [f"{document}: {problem}" for problem in check(root / document, text)]
    return [*problems, *undescribed_queries(root)]


def broken_links(document: Path, text: str) -> Iterator[str]:
    """Yield links to files and headings that do not exist."""
    for link in LINK.finditer(BLOCK.sub("", text)):
        target, anchor = link["target"], link["anchor"]
        file = document.parent / target if target else document
        if not file.exists():
            yield f"the link to {target} leads nowhere"
        elif anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{target or 'this page'} has no heading for #{anchor}"


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site both make them."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def missing_paths(document: Path, text: str) -> Iterator[str]:
    """Yield code spans that name a file of the project that does not exist.

    A file that the text says to create need not exist.
    """
    created = set(re.findall(r"\bCreate\b[^`.]*`([^`]+)`", text))
    root = next(folder for folder in document.parents if (folder / "README.md").exists())
    for code in spans(text):
        if PATH.fullmatch(code) and code not in created and not any(root.glob(code)):
            yield f"`{code}` does not exist"


def unknown_commands(document: Path, text: str) -> Iterator[str]:
    """Yield commands in blocks and code spans that have a wrong name or option."""
    runnable = block_commands(text, "sh")
    for line in runnable:
        if line.split()[0] not in ("harness", "make"):
            yield f"`{line}`: only harness and make run here; mark the block console or shell"
    for line in [*runnable, *session_commands(text), *spans(text)]:
        if problem := command_problem(line):
            yield f"`{line}`: {problem}"


def unknown_imports(document: Path, text: str) -> Iterator[str]:
    """Yield what Python in blocks and code spans imports from the package, but does not exist.

    A class that the text adds need not exist.
    """
    added = set(re.findall(r"\bclass (\w+)", text))
    code = "\n".join([*block_commands(text, "python"), *spans(text)])
    for line in IMPORT.finditer(code):
        module = ROOT.joinpath(*line["module"].split("."))
        files = [module.with_suffix(".py"), module / "__init__.py"]
        source = "".join(file.read_text(encoding="utf-8") for file in files if file.exists())
        for name in set(re.findall(r"\w+", line["names"])) - added:
            exists = re.search(rf"\b{name}\b", source) or module.joinpath(f"{name}.py").exists()
            if not exists:
                yield f"{line['module']} has no {name}"


def spans(text: str) -> list[str]:
    """Return the code spans of a text, outside its blocks."""
    return [span["code"] for span in SPAN.finditer(BLOCK.sub("", text))]


def block_commands(text: str, language: str) -> list[str]:
    """Return the lines of a text's blocks in a language, without comments and blank lines."""
    blocks = [block["code"] for block in BLOCK.finditer(text) if block["language"] == language]
    lines = "".join(blocks).splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def session_commands(text: str) -> list[str]:
    """Return the commands behind a prompt in the `console` blocks of a text."""
    lines = block_commands(text, "console")
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def command_problem(line: str) -> str:
    """Return what is wrong with a command line; an empty text for a right or a foreign one."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return ""
    ends = [index for index, word in enumerate(words) if word in SHELL_ENDS]
    words = words[: min(ends, default=len(words))]
    if words[:1] == ["make"] and len(words) > 1:
        return "" if words[1] in make_targets() else f"the Makefile has no target {words[1]}"
    if words[:2] == ["python", "-m"] and words[2].split(".")[0] in ("benchmarks", "tests", "tools"):
        module = ROOT.joinpath(*words[2].split("."))
        is_module = module.with_suffix(".py").exists() or (module / "__main__.py").exists()
        return "" if is_module else f"there is no module {words[2]}"
    if words[:1] == ["harness"] or words[:3] == ["python", "-m", "harness"]:
        return harness_problem(words[1 if words[0] == "harness" else 3 :])
    return ""


def harness_problem(words: Sequence[str]) -> str:
    """Return what is wrong with the arguments of `harness`: a command or an option."""
    command: Any = typer.main.get_command(app)
    options = _options_of(command)
    for word in words:
        if word == "--":
            break
        name = word.split("=")[0]
        if name.startswith("--") and name not in options:
            return f"{command.name or 'harness'} has no option {name}"
        commands = getattr(command, "commands", {})
        if not commands or name.startswith("-") or not name.islower():
            continue
        if name not in commands:
            return f"there is no command {name}"
        command = commands[name]
        options |= _options_of(command)
    return ""


def _options_of(command: Any) -> set[str]:
    options = {"--help"}
    for parameter in command.params:
        options.update(parameter.opts)
    return options


@cache
def make_targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def undescribed_queries(root: Path) -> Iterator[str]:
    """Yield queries that do not start with what they answer."""
    for file in sorted((root / "db" / "queries").glob("*.sql")):
        if not re.match(r"-- [A-Z].*\.\n", file.read_text(encoding="utf-8")):
            name = file.relative_to(root)
            yield f"{name}: start with a comment that says in a sentence what the query answers"


def run_commands() -> int:
    """Run each command but make's, which are steps of their own; stop at the first that fails."""
    binaries = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    for document in documents():
        for line in block_commands((ROOT / document).read_text(encoding="utf-8"), "sh"):
            if line.startswith("make "):
                continue
            print(f"$ {line}", flush=True)
            argv = ["bash", "-c", line]
            code = subprocess.run(argv, cwd=ROOT, env=environment, check=False).returncode
            if code:
                print(f"{document}: this command ended with {code}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
