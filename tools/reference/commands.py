"""The page of commands, from what Typer knows about them."""

from collections.abc import Iterator
from typing import Any

import typer

from harness.cli.commands.main import app
from tools.reference.markdown import as_code, format_table

INTRODUCTION = """\
# Commands

`harness COMMAND --help` prints the same. `python -m harness` is the same program as `harness`.

"""
Command = Any  # click's, or a copy of it inside Typer: that depends on Typer's version


def describe_commands() -> str:
    """Return the page of every command with its arguments and options."""
    root = typer.main.get_command(app)
    options = f"## Options of every command\n\n{_format_parameters(root)}\n"
    sections = [_format_command(name, command) for name, command in list_commands(root, "harness")]
    return INTRODUCTION + options + "\n".join(sections)


def list_commands(group: Command, name: str) -> Iterator[tuple[str, Command]]:
    """Yield the commands below a group by their full names, in alphabetical order."""
    for word, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from list_commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def _format_command(name: str, command: Command) -> str:
    arguments = [_placeholder(parameter) for parameter in command.params if _is_argument(parameter)]
    options = ["[OPTIONS]"] if len(arguments) < len(command.params) else []
    usage = " ".join([name, *options, *arguments])
    parts = [f"## {name}", " ".join(command.help.split()), f"```text\n{usage}\n```"]
    if command.params:
        parts.append(_format_parameters(command))
    return "\n\n".join(parts).rstrip("\n") + "\n"


def _format_parameters(command: Command) -> str:
    rows = [
        (as_code(_spell(parameter)), _default_of(parameter), _explain(parameter))
        for parameter in command.params
    ]
    return format_table(("argument or option", "default", "meaning"), rows)


def _is_argument(parameter: Any) -> bool:
    return str(parameter.param_type_name) == "argument"


def _spell(parameter: Any) -> str:
    if _is_argument(parameter):
        return _placeholder(parameter).strip("[]").replace("]...", "...")
    name = str(parameter.opts[0])
    return name if parameter.is_flag else f"{name} {parameter.metavar or parameter.name.upper()}"


def _placeholder(parameter: Any) -> str:
    text = str(parameter.metavar or parameter.name.upper())
    return text if parameter.required or text.startswith("[") else f"[{text}]"


def _default_of(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default in (None, False, ()) or callable(parameter.default):
        return ""
    default = parameter.default
    return as_code(f"{default:g}" if isinstance(default, float) else default)


def _explain(parameter: Any) -> str:
    text = str(parameter.help or "")
    return f"{text} (Or `{parameter.envvar}`.)" if parameter.envvar else text
