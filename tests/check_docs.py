"""Holds the documents against the project: `python -m tests.check_docs`; with `--run`, runs README's commands too.

In README, a block marked `sh` holds commands that work in a checkout as they stand; `console` shows what they print.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    *(str(file.relative_to(ROOT)) for file in sorted((ROOT / "docs").glob("*.md"))),
)
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")
MAKE = ("make ",)


def main() -> int:
    problems = [*broken_links(), *unknown_commands(), *undocumented_queries()]
    for problem in problems:
        print(problem)
    if problems:
        return 1
    if "--run" in sys.argv[1:]:
        return run_readme()
    print(f"{len(DOCUMENTS)} documents: links, commands and queries hold.")
    return 0


def broken_links() -> Iterator[str]:
    for document in DOCUMENTS:
        for found in LINK.finditer((ROOT / document).read_text()):
            if not (ROOT / document).parent.joinpath(found["target"]).exists():
                yield f"{document}: links to {found['target']}, which is not here"


def commands(document: str) -> Iterator[str]:
    """Every line of the document's `sh` blocks, comments and blank lines left out."""
    for found in BLOCK.finditer((ROOT / document).read_text()):
        if found["language"] == "sh":
            yield from (
                line
                for line in found["code"].splitlines()
                if line.strip() and not line.startswith("#")
            )


def unknown_commands() -> Iterator[str]:
    """Lines that call a command or a make target that there is not."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for line in commands(document):
            words = line.split()
            if words[0] == "make" and words[1] not in targets:
                yield f"{document}: make {words[1]} is no target"
            if words[0] == "harness" and not helps(words[1]):
                yield f"{document}: harness {words[1]} is no command"


def helps(command: str) -> bool:
    asked = [sys.executable, "-m", "harness", command, "--help"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0


def undocumented_queries() -> Iterator[str]:
    for file in sorted((ROOT / "db" / "queries").glob("*.sql")):
        if not re.match(r"-- [A-Z].*\.\n", file.read_text()):
            yield f"{file.relative_to(ROOT)}: its first line has to be a comment that says in a sentence what it answers"


def run_readme() -> int:
    """Runs each command but make's, which are steps of their own; ends at the first that fails."""
    binaries = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    for line in commands("README.md"):
        if line.startswith(MAKE):
            continue
        print(f"$ {line}", flush=True)
        if code := subprocess.run(
            ["bash", "-c", line], cwd=ROOT, env=environment, check=False
        ).returncode:
            print(f"README.md: this command ended with {code}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
