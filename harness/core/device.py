"""What a device is, as its entry in `devices.yaml` says. How one talks to it is its transport's business."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, MinLen

from harness.core.bench import MAX_THREADS, STRICT

DEVICES_FILE = Path("devices.yaml")
"""The registry that is read unless another is named."""
MAX_CPUS = 1024
ABI: TypeAlias = Literal["aarch64", "aarch32", "android-arm64", "x86_64"]
Threads: TypeAlias = Annotated[int, Ge(1), Le(MAX_THREADS)]
Port: TypeAlias = Annotated[int, Ge(1), Le(65535)]
Text: TypeAlias = Annotated[str, MinLen(1)]


@dataclass(frozen=True, kw_only=True)
class _Device:
    """`threads`, where given, is what is measured unless the command says otherwise.

    `cpus` is the tool's affinity: those cores, `all` of them, or the `big` ones where some are faster than others.
    `governor` is set while the device is benched, and put back. `power` is a command that prints watts.

    `tool` names one of `harness tools list`, or `python_runner`; without it, one that fits `abi` is taken.
    `folder` is the device's working folder, of which artifacts may take `cache_mb` (megabytes of 1,000,000 bytes).
    A link that is lost is tried again for `patience_s`.
    """

    id: Text
    tags: tuple[str, ...] = ()
    enabled: bool = True
    abi: ABI | None = None
    tool: Text | None = None
    python: Text = "python3"
    threads: Annotated[tuple[Threads, ...], MinLen(1)] | None = None
    cpus: Literal["big", "all"] | tuple[Annotated[int, Ge(0), Le(MAX_CPUS - 1)], ...] = "big"
    governor: Text | None = None
    power: Text | None = None
    folder: Text | None = None
    cache_mb: Annotated[int, Ge(1)] = 2000
    timeout_s: Annotated[float, Gt(0)] | None = None
    patience_s: Annotated[float, Ge(0)] = 120.0
    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class LocalDevice(_Device):
    """This machine."""

    kind: Literal["local"] = "local"
    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class SshDevice(_Device):
    """A board. What is not given, `~/.ssh/config` says. `jump` is another ssh device's id, or `[user@]host[:port]`.

    `host_key`, as `type base64`, is the one key that is trusted; without it, `~/.ssh/known_hosts` decides.
    """

    kind: Literal["ssh"] = "ssh"
    host: Text
    port: Port | None = None
    user: Text | None = None
    key: Text | None = None
    jump: Text | None = None
    host_key: Text | None = None
    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class AdbDevice(_Device):
    """A phone. `via` is the id of the ssh device that it hangs on; without it, it hangs on this machine."""

    kind: Literal["adb"] = "adb"
    serial: Text
    via: Text | None = None
    __pydantic_config__ = STRICT


Device: TypeAlias = LocalDevice | SshDevice | AdbDevice
