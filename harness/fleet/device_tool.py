"""Which tool a device runs: the one that its entry names, one that fits its ABI, or the Python runner."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.bench.elf import abis_of
from harness.bench.facts import abi, read_facts, script
from harness.bench.tools import NO_INTERPRETER, PYTHON_RUNNER, RUNNER_FILE
from harness.core.bench import Tool
from harness.core.device import Device
from harness.core.errors import CaseFailed, Reason
from harness.core.ids import sha256_of_file
from harness.devices import Transport
from harness.store.files.tools import ToolFile

_QUESTION_TIMEOUT_S = 120.0  # a small board takes its time to import numpy


@dataclass(frozen=True)
class DeviceTool:
    """A tool that is on the device: `argv` starts it there."""

    tool: Tool
    argv: tuple[str, ...]


def collect_facts(transport: Transport) -> dict[str, str]:
    return read_facts(transport.run_script(script()).stdout)


def install_tool(
    device: Device, transport: Transport, facts: Mapping[str, str], tools: Mapping[str, ToolFile]
) -> DeviceTool:
    """Pushes the device's tool, if it is not there. Raises CaseFailed: wrong_abi, no_interpreter."""
    there = resolve_abi(device, facts)
    chosen = _chosen(device, there, tools=tools)
    return (
        _python_runner(device, transport)
        if chosen is None
        else _binary(device, transport, there=there, chosen=chosen)
    )


def resolve_abi(device: Device, facts: Mapping[str, str]) -> str | None:
    """What its programs are; None where that is not known. Raises CaseFailed: wrong_abi.

    Its entry's word counts, unless the device contradicts it. Of one thing a phone knows nothing: whether there is a
    Linux userland on it (Termux, a chroot), which runs aarch64 programs.
    """
    found = abi(dict(facts))
    if device.abi is not None and found is not None and _chip(device.abi) != _chip(found):
        bits = f" and a {facts['userland_bits']}-bit userland" if "userland_bits" in facts else ""
        hint = "install a 64-bit system, or say" if found == "aarch32" else "say"
        message = (
            f"device {device.id}: its entry says abi {device.abi}, but it has {facts.get('machine', '?')}{bits}: "
            f"{hint} `abi: {found}`."
        )
        raise CaseFailed(Reason.WRONG_ABI, message)
    return device.abi or found


def _chip(abi: str) -> str:
    return "aarch64" if abi == "android-arm64" else abi


def _chosen(device: Device, there: str | None, tools: Mapping[str, ToolFile]) -> ToolFile | None:
    """None means the Python runner."""
    if device.tool == PYTHON_RUNNER:
        return None
    if device.tool is not None:
        if device.tool not in tools:
            known = ", ".join((*tools, PYTHON_RUNNER))
            message = (
                f"device {device.id}: its tool {device.tool!r} is not here (here are: {known}); "
                f"`harness tools add {device.tool} --file …`."
            )
            raise CaseFailed(Reason.NO_INTERPRETER, message)
        return tools[device.tool]
    return tools.get(f"lce_benchmark_model_{there.replace('-', '_')}") if there else None


def _binary(
    device: Device, transport: Transport, there: str | None, chosen: ToolFile
) -> DeviceTool:
    try:
        fits = abis_of(chosen.path)
    except (OSError, ValueError) as error:
        raise CaseFailed(
            Reason.WRONG_ABI, f"tool {chosen.name}: its file {error}; add it again."
        ) from error
    if there is not None and there not in fits:
        message = (
            f"device {device.id} runs {there} programs, and its tool {chosen.name} is for "
            f"{' or '.join(sorted(fits))}: add one for {there}."
        )
        raise CaseFailed(Reason.WRONG_ABI, message)
    program = transport.push(chosen.path, chosen.sha256, name=chosen.name)
    return DeviceTool(Tool(chosen.name, chosen.sha256), (program,))


def _python_runner(device: Device, transport: Transport) -> DeviceTool:
    sha256 = sha256_of_file(RUNNER_FILE)
    argv = (
        *transport.python_argv,
        transport.push(Path(RUNNER_FILE), sha256, name=RUNNER_FILE.name),
    )
    answer = transport.run([*argv, "--describe"], _QUESTION_TIMEOUT_S)
    if answer.exit_code != 0:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines() or [
            f"exit code {answer.exit_code}"
        ]
        why = (
            "its Python has no interpreter"
            if answer.exit_code == NO_INTERPRETER
            else f"no Python there ({said[-1]})"
        )
        message = (
            f"device {device.id}: it has no tool for its ABI, and {why}: add lce_benchmark_model for it "
            "(`harness tools add`), or pip install ai-edge-litert there for models without binary layers, "
            "and say with `python` which Python has it."
        )
        raise CaseFailed(Reason.NO_INTERPRETER, message, log=answer.stdout + answer.stderr)
    return DeviceTool(Tool(PYTHON_RUNNER, sha256, interpreter=answer.stdout.strip()), argv)
