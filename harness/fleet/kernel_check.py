"""Whether a device's tool runs LCE's optimised kernels: the binary canary with and without them, in turn.

A binary that was built without Ruy, or for another chip, runs the slow reference kernels without a word.
"""

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

BINARY = CANARIES / "binary.tflite"
_PAIRS = 6
_LEAST_RATIO = 1.1  # the optimised kernels are several times faster on ARM; under this it is noise, or none are there
_MODES = ("false", "true")


def check_kernels(device: Device, access: DeviceAccess) -> Kernels | CaseFailed:
    """The failure is of the device, or of its tool."""
    transport = access.open_transport(device)
    try:
        with hold_device(device, transport) as turn:
            facts = collect_facts(transport)
            device_tool = install_tool(device, transport, facts=facts, tools=access.tools)
            return _compare(
                DeviceSession(device, transport, device_tool=device_tool, facts=facts, turn=turn)
            )
    except CaseFailed as failure:
        return failure
    finally:
        transport.close()


def _compare(session: DeviceSession) -> Kernels:
    try:
        optimised, reference = zip(*(_pair(session) for _ in range(_PAIRS)), strict=True)
    except DeviceLost:
        raise
    except CaseFailed as failure:
        return _unknown(session, f"it can't run the binary canary: {failure}")
    if min(*optimised, *reference) <= 0:
        return _unknown(session, "its clock shows 0 for the binary canary.")
    return _kernels(session, estimate_paired_ratio(optimised, reference))


def _unknown(session: DeviceSession, why: str) -> Kernels:
    return Kernels(
        session.device.id,
        session.device_tool.tool,
        ratio=None,
        ratio_low=None,
        ratio_high=None,
        verdict=KernelVerdict.UNKNOWN,
        message=why,
        checked_at=now(),
    )


def _pair(session: DeviceSession) -> tuple[float, ...]:
    """Microseconds with the optimised kernels and with the reference ones, one right after the other."""
    case = make_canary_case(session, BINARY)
    ended = [
        run_process(case, session, file=BINARY, number=1, extra=[f"--use_reference_bconv={mode}"])
        for mode in _MODES
    ]
    return tuple(read_run(case, one.process).log.inference.avg_us for one in ended)


def _kernels(session: DeviceSession, ratio: Estimate) -> Kernels:
    verdict = _verdict(ratio)
    about = (session.device.id, session.device_tool.tool, ratio.value, ratio.low, ratio.high)
    return Kernels(*about, verdict, _message(session, ratio, verdict=verdict), now())


def _verdict(ratio: Estimate) -> KernelVerdict:
    if ratio.low is not None and ratio.low > _LEAST_RATIO:
        return KernelVerdict.OPTIMISED
    if ratio.high is not None and ratio.high < _LEAST_RATIO:
        return KernelVerdict.REFERENCE
    return KernelVerdict.UNKNOWN


def _message(session: DeviceSession, ratio: Estimate, verdict: KernelVerdict) -> str:
    times = f"the binary canary takes × {ratio.value:.2f} ({ratio.low:.2f} … {ratio.high:.2f}) with the reference kernels"
    if verdict is KernelVerdict.OPTIMISED:
        return f"{times}: the optimised ones are in use."
    if verdict is KernelVerdict.REFERENCE:
        return f"{times}: no gain, so its optimised kernels are missing or not made for this chip; add another build."
    return f"{times}: too noisy to tell; see `harness devices check {session.device.id}`, and check again."
