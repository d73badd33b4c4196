"""The commands `harness devices` and `harness tools`.

Each imports its implementation only when it is called.
"""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.commands.options import DevicesFile, end
from harness.core.device import DEVICES_FILE

devices_app = typer.Typer(help="Manage devices and their registry.", no_args_is_help=True)
tools_app = typer.Typer(help="Manage the programs that run on devices.", no_args_is_help=True)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Ids of devices; without one, all enabled devices."),
]


@devices_app.command("list")
def list_devices(devices: DevicesFile = DEVICES_FILE) -> None:
    """List the registered devices without connecting to them."""
    from harness.cli.actions.devices import list_devices as run

    run(devices)


@devices_app.command()
def check(ids: Ids = None, devices: DevicesFile = DEVICES_FILE) -> None:
    """Check that devices can be reached and benched, and show their system, space and tool."""
    from harness.cli.actions.devices import check_devices as run

    end(run(devices, ids or []))


@devices_app.command()
def facts(ids: Ids = None, devices: DevicesFile = DEVICES_FILE) -> None:
    """Show the facts about devices that every measurement is stored with."""
    from harness.cli.actions.devices import show_facts as run

    end(run(devices, ids or []))


@devices_app.command()
def add(
    id: Annotated[str, typer.Argument(help="A name for the device.")],
    host: Annotated[str | None, typer.Option(help="The host name or address of a board.")] = None,
    serial: Annotated[
        str | None, typer.Option(help="The serial of a phone, or its port, from `adb devices -l`.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="The user to log in as.")] = None,
    port: Annotated[int | None, typer.Option(help="The SSH port.")] = None,
    key: Annotated[str | None, typer.Option(help="The file with the private key.")] = None,
    jump: Annotated[
        str | None,
        typer.Option(
            help="Connect through this host: an ssh device's id, [USER@]HOST[:PORT] or none."
        ),
    ] = None,
    via: Annotated[
        str | None, typer.Option(help="The ssh device that the phone is attached to.")
    ] = None,
    abi: Annotated[
        str | None, typer.Option(help="aarch64, aarch32, android-arm64 or x86_64.")
    ] = None,
    tool: Annotated[str | None, typer.Option(help="The name of the tool to run.")] = None,
    python: Annotated[
        str | None, typer.Option(help="The device's Python with a TensorFlow Lite interpreter.")
    ] = None,
    folder: Annotated[str | None, typer.Option(help="The working folder on the device.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="A tag for `--tag` of other commands; repeatable.")
    ] = None,
    cpus: Annotated[
        str | None,
        typer.Option(
            help="The cores for the tool, for example 2,3, or all; by default the fast ones."
        ),
    ] = None,
    governor: Annotated[
        str | None, typer.Option(help="The cpufreq governor during a bench; setting it needs root.")
    ] = None,
    power: Annotated[
        str | None, typer.Option(help="A command on the device that prints its power in watts.")
    ] = None,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Register a board (--host), a phone (--serial) or else this machine."""
    from harness.cli.actions.devices import add_device, add_phone, parse_cores
    from harness.core.errors import RequestError

    if host is not None and serial is not None:
        raise RequestError("give --host for a board or --serial for a phone, not both.")
    kind = "ssh" if host is not None else "adb" if serial is not None else "local"
    register = add_phone if kind == "adb" else add_device
    register(
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
            "cpus": parse_cores(cpus),
            "governor": governor,
            "power": power,
        },
    )


@devices_app.command()
def discover(
    *,
    via: Annotated[
        str | None, typer.Option(help="Search this ssh device instead of this machine.")
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Register the new phones.")] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """List the phones that are attached to this machine or to a hub."""
    from harness.cli.actions.devices import discover as run

    end(run(devices, via, register=add))


@devices_app.command()
def trust(
    id: Annotated[str, typer.Argument(help="The id of an ssh device.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Record the key without asking.")] = False,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Show a device's host key and record it as the only one to accept."""
    from harness.cli.actions.devices import trust as run

    run(devices, id, confirm=(lambda _question: True) if yes else typer.confirm)


@devices_app.command()
def clean(
    ids: Ids = None,
    keep: Annotated[
        int,
        typer.Option(metavar="MB", help="Keep so many megabytes of the files that were used last."),
    ] = 0,
    devices: DevicesFile = DEVICES_FILE,
) -> None:
    """Remove artifacts and tools from devices."""
    from harness.cli.actions.devices import clean_devices

    end(clean_devices(devices, ids or [], keep_mb=keep))


@tools_app.command("add")
def add_tool(
    name: Annotated[
        str,
        typer.Argument(
            help="The name of a release, such as lce_benchmark_model_aarch64, or your own name."
        ),
    ],
    url: Annotated[str | None, typer.Option(help="Download the tool from here.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Add this file instead of downloading one.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="Refuse a file with another SHA-256.")] = None,
) -> None:
    """Add a program for devices; it replaces an older one of its name."""
    from harness.cli.actions.tools import add_tool as run

    run(name, url, file=file, sha256=sha256)


@tools_app.command("list")
def list_tools() -> None:
    """List the tools and the devices that each is for."""
    from harness.cli.actions.tools import list_tools as run

    run()


@tools_app.command("check")
def check_tools(ids: Ids = None, devices: DevicesFile = DEVICES_FILE) -> None:
    """Check that tools are intact and run optimised binary kernels on each device."""
    from harness.cli.actions.tools import check_tools as run

    end(run(devices, ids or []))
