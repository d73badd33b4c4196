"""The one way to a device's `sh`: past any login shell, in the C locale, with a marked answer.

An SSH server, or adb, gives a command line to the account's login shell. That may be fish or tcsh,
its start-up files may print, and a terminal may add carriage returns or join the two outputs. So a
script travels as one quoted word that means the same to all of them. Marks that are new for each
command enclose its output, its errors and its exit code.
"""

import re
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from harness.core.errors import Unreachable
from harness.devices.link import CommandResult, Link

_SIGNALLED = 128
_LONGEST_QUOTE = 100

# The mark is in two parts, so that a shell that prints its commands does not print the mark.
_PROGRAM = (
    "unset CDPATH; LC_ALL=C; export LC_ALL; "
    'echo "$1$2<"; echo "$1$2(" >&2; '
    '(eval "$(printf %b "$3")"); set -- "$1$2" "$?"; '
    'echo "$1)" >&2; echo "$1>$2"'
)
# Inside single quotes, csh replaces `!` and ends at a new line, and fish reads `\'` and `\\`.
_UNSAFE = re.compile(rb"[^ -~]|['!\\]")


class Mark(NamedTuple):
    """The mark around one answer, in the two parts in which the command line has it."""

    first: str
    second: str

    @classmethod
    def make(cls) -> "Mark":
        """Return a mark that no earlier answer and no program contains."""
        token = uuid4().hex
        return cls(f"harness-{token[:16]}", f"-{token[16:]}")


def run_in_sh(
    link: Link, script: str, timeout_s: float, stdin: Path | None = None
) -> CommandResult:
    """Run a script of POSIX shell to its end, and return what it printed and nothing else.

    Raises Unreachable if the connection is lost, or if the device's login shell runs no commands.
    """
    mark = Mark.make()
    answer = link.execute(build_line(script, mark), timeout_s, stdin=stdin)
    return read_answer(answer, mark)


def build_line(script: str, mark: Mark) -> str:
    """Return a command line that runs the script in `sh`, whatever shell reads the line."""
    encoded = _UNSAFE.sub(
        lambda match: b"\\0%03o" % ord(match[0]), script.encode(errors="surrogateescape")
    )
    return f"exec sh -c '{_PROGRAM}' sh {mark.first} {mark.second} '{encoded.decode()}'"


def read_answer(answer: CommandResult, mark: Mark) -> CommandResult:
    """Return the script's own output, errors and exit code. Raises Unreachable without them."""
    name = "".join(mark).encode()
    begin = re.search(rb"%b<(\r?)\n" % name, answer.stdout)
    end = re.compile(rb"%b>([0-9]{1,3})\r?\n" % name).search(
        answer.stdout, begin.end() if begin else len(answer.stdout)
    )
    if begin is None or end is None:
        raise _explain_missing_answer(answer, is_begun=begin is not None)
    stdout = answer.stdout[begin.end() : end.start()]
    joined = _cut_errors(stdout, name)
    if joined is not None:  # a terminal joins the two outputs
        stdout = stderr = joined
    else:
        separate = _cut_errors(answer.stderr, name)
        stderr = answer.stderr if separate is None else separate
    if begin[1]:
        stdout, stderr = (text.replace(b"\r\n", b"\n") for text in (stdout, stderr))
    return CommandResult(int(end[1]), stdout, stderr=stderr)


def _cut_errors(text: bytes, name: bytes) -> bytes | None:
    """Return what stands between the marks of the error output, or None without these."""
    begin = re.search(rb"%b\(\r?\n" % name, text)
    end = text.find(name + b")", begin.end()) if begin else -1
    return text[begin.end() : end] if begin and end != -1 else None


def is_marked(stdout: bytes) -> bool:
    """Return whether a script of ours has printed its whole answer, with whichever mark."""
    return re.search(rb"harness-[0-9a-f]{16}-[0-9a-f]{16}>[0-9]{1,3}\r?\n", stdout) is not None


def _explain_missing_answer(answer: CommandResult, *, is_begun: bool) -> Unreachable:
    if is_begun:
        return Unreachable("the connection was lost during a command")
    printed = (answer.stderr.strip() or answer.stdout.strip()).decode(errors="replace")
    if not printed and not 0 <= answer.exit_code < _SIGNALLED:
        return Unreachable("its shell was killed")
    last_line = (printed.splitlines() or [f"exit code {answer.exit_code}"])[-1]
    message = (
        f"its login shell does not run commands ({last_line[:_LONGEST_QUOTE].rstrip('.')}): "
        "set another with `chsh -s /bin/sh`, and start nothing in its start-up files"
    )
    return Unreachable(message, passing=False)
