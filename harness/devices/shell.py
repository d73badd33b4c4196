"""The one way to a device's `sh`: past any login shell, in the C locale, with a framed answer.

An SSH server, or adb, gives a command line to the account's login shell. That may be fish or tcsh,
and its start-up files may print at any time. A terminal may add carriage returns, or join the two
outputs. So a script travels as one quoted word that means the same to all of them. Its outputs are
kept until it ends; each then leaves in one piece, with its size, between marks that are new for
each command.
"""

import re
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from harness.core.errors import LONGEST_QUOTE, Unreachable
from harness.core.exit_codes import SIGNALLED
from harness.devices.link import CommandResult, Link

# The mark is in two parts, so that a shell that prints its commands does not print the mark.
# Variables drop a script's last empty lines, hence the `=`; a Korn shell may lack `printf`.
_PROGRAM = (
    "set +Cefuvx; unset CDPATH; LC_ALL=C; export LC_ALL; "
    'echo "$1$2:"; emit() { printf %s "$1"; }; '
    'case ${KSH_VERSION-} in *KSH*|*Version*) emit() { print -rn -- "$1"; };; esac; exec 3>&1; '
    'errors=$({ output=$( (eval "$(printf %b "$3")" 3>&-); echo "=$?"); '
    'emit "$1$2<${#output}:$output$1$2>" >&3; } 2>&1; echo =); '
    'emit "$1$2(${#errors}:$errors$1$2)" >&2'
)
# Inside single quotes, csh replaces `!` and ends at a new line, and fish reads `\'` and `\\`.
_UNSAFE = re.compile(rb"[^ -~]|['!\\]")
_TOKEN = rb"harness-[0-9a-f]{16}-[0-9a-f]{16}"
_START = re.compile(_TOKEN + b":")
_END_OF_OUTPUT = re.compile(_TOKEN + b">")
_END_OF_ERRORS = re.compile(_TOKEN + rb"\)")


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

    Bytes of value 0 are dropped. Raises Unreachable if the connection is lost, or if the device's
    login shell runs no commands or changes their output.
    """
    mark = Mark.make()
    answer = link.execute(build_line(script, mark), timeout_s, stdin=stdin)
    return read_answer(answer, mark)


def build_line(script: str, mark: Mark) -> str:
    """Return a command line that runs the script in `sh`, whatever shell reads the line."""
    encoded = _UNSAFE.sub(
        lambda match: b"\\0%03o" % ord(match[0]), script.encode(errors="surrogateescape")
    )
    return f"sh -c '{_PROGRAM}' sh {mark.first} {mark.second} '{encoded.decode()}'"


def read_answer(answer: CommandResult, mark: Mark) -> CommandResult:
    """Return the script's own output, errors and exit code. Raises Unreachable without them."""
    name = "".join(mark).encode()
    output = _read_frame(answer.stdout, name + b"<", closing=name + b">")
    if output is None:
        is_begun = any(name in text for text in (answer.stdout, answer.stderr))
        raise _explain_missing_answer(answer, is_begun=is_begun)
    stdout, _, exit_code = output.rpartition(b"=")
    errors = None
    for text in (answer.stderr, answer.stdout):  # a terminal joins the two
        errors = errors or _read_frame(text, name + b"(", closing=name + b")")
    if not re.fullmatch(rb"[0-9]{1,3}\n?", exit_code):
        raise _explain_change()
    return CommandResult(int(exit_code), stdout, stderr=(errors or b"").removesuffix(b"="))


def _read_frame(text: bytes, opening: bytes, closing: bytes) -> bytes | None:
    """Return what stands between two marks after its size, without a terminal's carriage returns.

    The result is None without the marks. Raises Unreachable for content of another size.
    """
    start = text.find(opening)
    end = text.find(closing, start)
    if start == -1 or end == -1:
        return None
    size, _, content = text[start + len(opening) : end].partition(b":")
    for candidate in (content, content.replace(b"\r\n", b"\n")):
        if size == b"%d" % len(candidate):
            return candidate
    raise _explain_change()


def is_answered(stdout: bytes, stderr: bytes = b"") -> bool:
    """Return whether a script of ours has sent its whole answer, with whichever mark."""
    has_errors = any(_END_OF_ERRORS.search(text) for text in (stderr, stdout))
    return has_errors and has_output(stdout)


def has_begun(stdout: bytes) -> bool:
    """Return whether a script of ours has started, with whichever mark."""
    return _START.search(stdout) is not None


def has_output(stdout: bytes) -> bool:
    """Return whether a script of ours has sent all of its output, with whichever mark."""
    return _END_OF_OUTPUT.search(stdout) is not None


def _explain_change() -> Unreachable:
    message = (
        "its login shell changed a command's output: "
        "let its start-up files filter nothing, and start nothing in the background"
    )
    return Unreachable(message, passing=False)


def _explain_missing_answer(answer: CommandResult, *, is_begun: bool) -> Unreachable:
    is_killed = not 0 <= answer.exit_code < SIGNALLED
    if is_begun:
        return Unreachable("its shell was killed") if is_killed else _explain_change()
    printed = (answer.stderr.strip() or answer.stdout.strip()).decode(errors="replace")
    if not printed and is_killed:
        return Unreachable("its shell was killed")
    lines = [line.strip() for line in printed.splitlines() if re.search(r"\w", line)]
    last_line = (lines or [f"exit code {answer.exit_code}"])[-1]
    message = (
        f"its login shell does not run commands ({last_line[:LONGEST_QUOTE].rstrip('.')}): "
        "correct its start-up files, or set another with `chsh -s /bin/sh`"
    )
    return Unreachable(message, passing=False)
