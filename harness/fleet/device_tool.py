"""The tool of a device: the one that its entry names, one for its ABI, or the Python runner."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.bench.elf import abis_of
from harness.bench.facts import abi_of, build_facts_script, read_facts
from harness.bench.tools import NO_INTERPRETER, PYTHON_RUNNER, RUNNER_FILE
from harness.core.bench import Tool
from harness.core.device import DEFAULT_PYTHON, AdbDevice, Device
from harness.core.errors import LONGEST_QUOTE, CaseFailed, Reason, ToolFileError
from harness.core.ids import sha256_of_file
from harness.devices import RunResult, Transport
from harness.store.files.tools import ToolFile

_DESCRIBE_TIMEOUT_S = 120.0  # small boards need long to import numpy


@dataclass(frozen=True)
class DeviceTool:
    """A tool that is installed on a device; `argv` starts it."""

    tool: Tool
    argv: tuple[str, ...]


def collect_facts(transport: Transport) -> dict[str, str]:
    """Collect the device's facts, such as its CPU, system and sensors.

    Raises CaseFailed: unparsable if the device knows none, as no device does whose shell works.
    """
    result = transport.run_script(build_facts_script())
    if facts := read_facts(result.stdout):
        return facts
    lines = result.stderr.strip().splitlines() or [f"exit code {result.exit_code}"]
    message = (
        f"The device's shell did not run the harness's script ({lines[-1][:LONGEST_QUOTE]}); "
        "log in and try `sh -c 'uname -m'`."
    )
    raise CaseFailed(Reason.UNPARSABLE, message, log=result.stdout + result.stderr)


def install_tool(
    device: Device, transport: Transport, facts: Mapping[str, str], tools: Mapping[str, ToolFile]
) -> DeviceTool:
    """Send the device its tool, unless it has it. Raises CaseFailed: wrong_abi, no_interpreter."""
    abi = resolve_abi(device, facts)
    tool_file = _choose_tool_file(device, abi, tools=tools)
    if tool_file is None:
        return _install_python_runner(device, transport)
    return _install_binary(device, transport, abi=abi, tool_file=tool_file)


def refuse_missing_tool(device: Device, tools: Mapping[str, ToolFile]) -> None:
    """Raise CaseFailed if the device surely gets no tool: wrong_abi, no_interpreter.

    Only its entry and the added tools are looked at. A board may have an interpreter, which its
    facts tell; a phone has none unless its entry says where.
    """
    tool_file = _choose_tool_file(device, device.abi, tools=tools)
    if tool_file is not None:
        _refuse_other_abi(device, device.abi, tool_file=tool_file)
    elif _is_phone_without_tool(device, tools):
        abi = device.abi or "android-arm64"
        message = (
            f"device {device.id}: no tool was added for {abi}; "
            f"run `harness tools add {_name_binary(abi)}`, or set `python` in its entry to a "
            "Python that has an interpreter."
        )
        raise CaseFailed(Reason.NO_INTERPRETER, message)


def _is_phone_without_tool(device: Device, tools: Mapping[str, ToolFile]) -> bool:
    """Return whether it is a phone that is left to a Python, which no phone comes with.

    If its ABI is unknown, any tool may fit.
    """
    is_phone = isinstance(device, AdbDevice) and device.tool is None
    return is_phone and device.python == DEFAULT_PYTHON and (device.abi is not None or not tools)


def resolve_abi(device: Device, facts: Mapping[str, str]) -> str | None:
    """Return the ABI of the device's programs, or None if unknown. Raises CaseFailed: wrong_abi.

    The registry entry counts, unless the facts contradict it. Phones can't report a Linux userland
    (Termux, a chroot), which runs aarch64 programs.
    """
    detected = abi_of(dict(facts))
    if (
        device.abi is not None
        and detected is not None
        and _chip_of(device.abi) != _chip_of(detected)
    ):
        bits = f" and a {facts['userland_bits']}-bit userland" if "userland_bits" in facts else ""
        hint = "install a 64-bit system, or set" if detected == "aarch32" else "set"
        message = (
            f"device {device.id}: its entry says abi {device.abi}, "
            f"but it has {facts.get('machine', '?')}{bits}: {hint} `abi: {detected}`."
        )
        raise CaseFailed(Reason.WRONG_ABI, message)
    return device.abi or detected


def _chip_of(abi: str) -> str:
    return "aarch64" if abi == "android-arm64" else abi


def _choose_tool_file(
    device: Device, abi: str | None, tools: Mapping[str, ToolFile]
) -> ToolFile | None:
    """Return the file of the device's tool, or None for the Python runner. Raises CaseFailed."""
    if device.tool == PYTHON_RUNNER:
        return None
    if device.tool is not None:
        if device.tool not in tools:
            message = (
                f"device {device.id}: its tool {device.tool!r} was not found "
                f"(available: {', '.join((*tools, PYTHON_RUNNER))}); "
                f"add it with `harness tools add {device.tool} --file …`."
            )
            raise CaseFailed(Reason.NO_INTERPRETER, message)
        return tools[device.tool]
    return tools.get(_name_binary(abi)) if abi else None


def _name_binary(abi: str) -> str:
    return f"lce_benchmark_model_{abi.replace('-', '_')}"


def _install_binary(
    device: Device, transport: Transport, abi: str | None, tool_file: ToolFile
) -> DeviceTool:
    _refuse_other_abi(device, abi, tool_file=tool_file)
    program = transport.push(tool_file.path, tool_file.sha256, name=tool_file.name)
    return DeviceTool(Tool(tool_file.name, tool_file.sha256), (program,))


def _refuse_other_abi(device: Device, abi: str | None, tool_file: ToolFile) -> None:
    try:
        tool_abis = abis_of(tool_file.path)
    except ToolFileError as error:
        raise CaseFailed(
            Reason.WRONG_ABI, f"tool {tool_file.name}: its file {error}; add it again."
        ) from error
    if abi is not None and abi not in tool_abis:
        message = (
            f"device {device.id} runs {abi} programs, but its tool {tool_file.name} is for "
            f"{' or '.join(sorted(tool_abis))}: add one for {abi}."
        )
        raise CaseFailed(Reason.WRONG_ABI, message)


def _install_python_runner(device: Device, transport: Transport) -> DeviceTool:
    sha256 = sha256_of_file(RUNNER_FILE)
    program = transport.push(Path(RUNNER_FILE), sha256, name=RUNNER_FILE.name)
    argv = (*transport.python_argv, program)
    description = transport.run([*argv, "--describe"], _DESCRIBE_TIMEOUT_S)
    if description.exit_code != 0:
        raise _explain_missing_interpreter(device, description)
    tool = Tool(PYTHON_RUNNER, sha256, interpreter=description.stdout.strip())
    return DeviceTool(tool, argv)


def _explain_missing_interpreter(device: Device, description: RunResult) -> CaseFailed:
    if description.exit_code == NO_INTERPRETER:
        reason = "its Python has no interpreter"
    else:
        output = description.stderr.strip() or description.stdout.strip()
        lines = output.splitlines() or [f"exit code {description.exit_code}"]
        reason = f"its Python does not run ({lines[-1]})"
    message = (
        f"device {device.id}: no tool was added for its ABI, and {reason}. "
        "Add lce_benchmark_model with `harness tools add`. For models without binary layers, "
        "`pip install ai-edge-litert` on the device, and set `python` in its entry to that Python."
    )
    return CaseFailed(Reason.NO_INTERPRETER, message, log=description.stdout + description.stderr)
