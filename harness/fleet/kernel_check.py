"""The check whether a device's tool runs LCE's optimised kernels.

It times the binary canary with and without them, in turn. A tool that was built without Ruy, or for
another chip, silently runs the slow reference kernels.
"""

from contextlib import closing

from harness.bench import CANARIES
from harness.bench.statistics import estimate_paired_ratio
from harness.core.comparison import Estimate
from harness.core.device import Device
from harness.core.errors import CaseFailed, DeviceLost
from harness.core.observations import Kernels, KernelVerdict
from harness.fleet.canary import make_canary_case
from harness.fleet.device_check import DeviceAccess, hold_device
from harness.fleet.device_tool import collect_facts, install_tool
from harness.fleet.process import DeviceSession, read_run, run_process
from harness.store.database import now

_BINARY_CANARY = CANARIES / "binary.tflite"
_PAIRS = 6
# On ARM, optimised kernels are several times faster; a smaller ratio is noise, or there are none.
_MIN_RATIO = 1.1


def check_kernels(device: Device, access: DeviceAccess) -> Kernels:
    """Check a device's kernels. Raises CaseFailed if the device or its tool fails."""
    with (
        closing(access.open_transport(device)) as transport,
        hold_device(device, transport) as turn,
    ):
        facts = collect_facts(transport)
        device_tool = install_tool(device, transport, facts=facts, tools=access.tools)
        return _compare_kernels(
            DeviceSession(device, transport, device_tool=device_tool, facts=facts, turn=turn)
        )


def _compare_kernels(session: DeviceSession) -> Kernels:
    optimised_us, reference_us = [], []
    try:
        for _ in range(_PAIRS):
            optimised_us.append(_measure_latency_us(session, use_reference=False))
            reference_us.append(_measure_latency_us(session, use_reference=True))
    except DeviceLost:
        raise
    except CaseFailed as failure:
        return _make_unknown(session, f"it can't run the binary canary: {failure}")
    if min(*optimised_us, *reference_us) <= 0:
        return _make_unknown(session, "its clock shows 0 for the binary canary.")
    return _judge_kernels(session, estimate_paired_ratio(optimised_us, reference_us))


def _make_unknown(session: DeviceSession, message: str) -> Kernels:
    return Kernels(
        session.device.id,
        session.device_tool.tool,
        ratio=None,
        ratio_low=None,
        ratio_high=None,
        verdict=KernelVerdict.UNKNOWN,
        message=message,
        checked_at=now(),
    )


def _measure_latency_us(session: DeviceSession, *, use_reference: bool) -> float:
    """Return the average latency of the binary canary in microseconds."""
    case = make_canary_case(session, _BINARY_CANARY)
    flag = f"--use_reference_bconv={str(use_reference).lower()}"
    finished = run_process(case, session, file=_BINARY_CANARY, number=1, extra=[flag])
    return read_run(case, finished.process).log.inference.avg_us


def _judge_kernels(session: DeviceSession, ratio: Estimate) -> Kernels:
    verdict = _judge_ratio(ratio)
    return Kernels(
        session.device.id,
        session.device_tool.tool,
        ratio=ratio.value,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        verdict=verdict,
        message=_describe_verdict(session, ratio, verdict=verdict),
        checked_at=now(),
    )


def _judge_ratio(ratio: Estimate) -> KernelVerdict:
    if ratio.low is not None and ratio.low > _MIN_RATIO:
        return KernelVerdict.OPTIMISED
    if ratio.high is not None and ratio.high < _MIN_RATIO:
        return KernelVerdict.REFERENCE
    return KernelVerdict.UNKNOWN


def _describe_verdict(session: DeviceSession, ratio: Estimate, verdict: KernelVerdict) -> str:
    interval = f"{ratio.low:.2f} … {ratio.high:.2f}"
    comparison = (
        f"the binary canary takes × {ratio.value:.2f} ({interval}) with the reference kernels"
    )
    if verdict is KernelVerdict.OPTIMISED:
        return f"{comparison}: the optimised ones are in use."
    if verdict is KernelVerdict.REFERENCE:
        return (
            f"{comparison}: no gain, so its optimised kernels are missing or not made for this "
            "chip; add another build of the tool."
        )
    return (
        f"{comparison}: too noisy to tell; see `harness devices check {session.device.id}`, "
        "and check again."
    )
