"""`harness devices` and `harness tools`: their words, options and help. Each imports its work only when called."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.commands.options import DevicesFile, end
from harness.core.device import DEVICES_FILE

devices_app = typer.Typer(
    help="The registry of devices, and the devices themselves.", no_args_is_help=True
)
tools_app = typer.Typer(help="The programs that run on devices.", no_args_is_help=True)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Devices by id; without one, all that are enabled."),
]


@devices_app.command("list")
def list_devices(devices: DevicesFile = DEVICES_FILE) -> None:
    """Show what is registered, without asking any device."""
    from harness.cli.actions.devices import list_devices as run

    run(devices)


@devices_app.command()
def check(ids: Ids = None, devices: DevicesFile = DEVICES_FILE) -> None:
    """Ask each device whether it can be benched: reachable, userland, CPU features, system, space, tool."""
    from harness.cli.actions.devices import check as run

    end(run(devices, ids or []))


@devices_app.command()
def facts(ids: Ids = None, devices: DevicesFile = DEVICES_FILE) -> None:
    """Show all that each device says of itself, as it is kept with every measurement."""
    from harness.cli.actions.devices import facts as run

    end(run(devices, ids or []))


@devices_app.command()
def add(
    id: Annotated[str, typer.Argument(help="A name for the device.")],
    host: Annotated[
        str | None, typer.Option(help="A board's host name or address: kind ssh.")
    ] = None,
    serial: Annotated[
        str | None, typer.Option(help="A phone's serial, as `adb devices` shows it: kind adb.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="The user to log in as.")] = None,
    port: Annotated[int | None, typer.Option(help="The SSH port.")] = None,
    key: Annotated[str | None, typer.Option(help="The file of the private key.")] = None,
    jump: Annotated[
        str | None, typer.Option(help="An ssh device's id, or [USER@]HOST[:PORT], on the way.")
    ] = None,
    via: Annotated[str | None, typer.Option(help="The ssh device that a phone hangs on.")] = None,
    abi: Annotated[
        str | None, typer.Option(help="aarch64, aarch32, android-arm64 or x86_64.")
    ] = None,
    tool: Annotated[str | None, typer.Option(help="A tool by its name.")] = None,
    python: Annotated[
        str | None, typer.Option(help="The Python there that has an interpreter.")
    ] = None,
    folder: Annotated[str | None, typer.Option(help="The working folder there.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="May be given more than once.")] = None,
    cpus: Annotated[
        str | None,
        typer.Option(help="The tool's cores, for example 2,3, or all; without it, the big ones."),
    ] = None,
    governor: Annotated[
        str | None, typer.Option(help="Its cpufreq governor while it is benched; needs root.")
    ] = None,
    power: Annotated[str | None, typer.Option(help="A command there that prints watts.")] = None,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Register a board (--host), a phone (--serial), or, with neither, this machine; comments in the file stay."""
    from harness.cli.actions.devices import add_device, cores
    from harness.core.errors import RequestError

    if host is not None and serial is not None:
        raise RequestError("give --host for a board or --serial for a phone, not both.")
    kind = "ssh" if host is not None else "adb" if serial is not None else "local"
    add_device(
        devices,
        {
            "id": id,
            "kind": kind,
            "host": host,
            "port": port,
            "user": user,
            "key": key,
            "jump": jump,
            "serial": serial,
            "via": via,
            "abi": abi,
            "tool": tool,
            "python": python,
            "folder": folder,
            "tags": tag,
            "cpus": cores(cpus),
            "governor": governor,
            "power": power,
        },
    )


@devices_app.command()
def discover(
    via: Annotated[
        str | None, typer.Option(help="Look on this ssh device, a hub; without it, here.")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Register those that are not.")] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Find phones that are attached here or to a hub."""
    from harness.cli.actions.devices import discover as run

    run(devices, via, add)


@devices_app.command()
def trust(
    id: Annotated[str, typer.Argument(help="An ssh device.")],
    yes: Annotated[bool, typer.Option("--yes", help="Record it without asking.")] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Show the host key that a device has now, and record it in the registry: no other is let in from then on."""
    from harness.cli.actions.devices import trust as run

    run(devices, id, (lambda _question: True) if yes else typer.confirm)


@devices_app.command()
def clean(
    ids: Ids = None,
    keep: Annotated[
        int, typer.Option(metavar="MB", help="Megabytes of the last used files that may stay.")
    ] = 0,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Remove artifacts and tools from devices, those that were used longest ago first."""
    from harness.cli.actions.devices import clean_devices

    end(clean_devices(devices, ids or [], keep_mb=keep))


@tools_app.command("add")
def add_tool(
    name: Annotated[
        str,
        typer.Argument(help="A release's name, such as lce_benchmark_model_aarch64, or your own."),
    ],
    url: Annotated[
        str | None, typer.Option(help="Fetch it from there instead of the release.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Take this file; needs no network.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Refuse it unless this is its SHA-256.")
    ] = None,
) -> None:
    """Keep a program for devices, by its SHA-256; the newest of a name is the one in use."""
    from harness.cli.actions.tools import add_tool as run

    run(name, url, file, sha256)


@tools_app.command("list")
def list_tools() -> None:
    """Show the tools that are here, and what each is for."""
    from harness.cli.actions.tools import list_tools as run

    run()


@tools_app.command("check")
def check_tools(ids: Ids = None, devices: DevicesFile = DEVICES_FILE) -> None:
    """Look whether each tool's file is whole, and whether it runs the optimised binary kernels on each device."""
    from harness.cli.actions.tools import check_tools as run

    end(run(devices, ids or []))
