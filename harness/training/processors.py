"""The processors that TensorFlow trains on, and why it may not see a GPU."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

from harness.core.errors import Reason, TrialFailed

_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_DRIVER_VERSION = re.compile(r"\b\d{3,}\.\d+(?:\.\d+)?\b")
_PATIENCE_S = 20.0
NO_DRIVER = "no NVIDIA driver"
GPU_REMEDY = "pip install '.[gpu]'"


def describe_processors() -> str:
    """Return what TensorFlow sees in this process, such as `CPU, GPU NVIDIA A100-SXM4-40GB`."""
    from harness.models.keras import tf

    names = []
    for device in tf.config.get_visible_devices():
        details = tf.config.experimental.get_device_details(device)
        names.append(" ".join(filter(None, (device.device_type, details.get("device_name")))))
    return ", ".join(names)


def require_gpu() -> None:
    """Raise TrialFailed unless TensorFlow sees a GPU: it would train on the CPU without a word."""
    from harness.models.keras import tf

    if not tf.config.get_visible_devices("GPU"):
        driver = describe_driver()
        first_step = "install it and " if driver == NO_DRIVER else ""
        raise TrialFailed(
            Reason.NO_GPU,
            f"{platform.node()}: TensorFlow sees no GPU ({driver}); {first_step}"
            f"run `{GPU_REMEDY}` there, or set resources.gpu to 0.",
        )


def describe_driver(file: Path = _DRIVER_FILE) -> str:
    """Return this machine's NVIDIA driver, such as `NVIDIA driver 550.54.15`."""
    version = _read_driver_version(file)
    return f"NVIDIA driver {version}" if version else NO_DRIVER


def _read_driver_version(file: Path) -> str | None:
    """Return the driver's version; WSL has no such file, but the vendor's program."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        text = _ask_nvidia_smi()
    match = _DRIVER_VERSION.search(text)
    return match[0] if match else None


def _ask_nvidia_smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


if __name__ == "__main__":  # `harness doctor` runs it in a process of its own
    print(describe_processors())
