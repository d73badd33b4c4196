"""One file an architecture: its parameters, the network that is trained, and the one that is deployed.

TensorFlow and Larq are imported inside the functions that build: parameters are checked without them.
"""

from harness.core.sweep import Trial
from harness.models.architecture import Architecture, Task, task_of
from harness.models.binarynet import BinaryNet
from harness.models.birealnet import BiRealNet
from harness.models.cnn import Cnn
from harness.models.custom import Custom, is_custom
from harness.models.lstm import Lstm
from harness.models.mlp import Mlp
from harness.models.quicknet import QuickNet
from harness.models.transformer import Transformer

ARCHITECTURES: dict[str, type[Architecture]] = {
    "binarynet": BinaryNet,
    "birealnet": BiRealNet,
    "cnn": Cnn,
    "lstm": Lstm,
    "mlp": Mlp,
    "quicknet": QuickNet,
    "transformer": Transformer,
}


def architecture_of(trial: Trial) -> Architecture:
    if is_custom(trial.architecture):
        return Custom(trial.architecture, trial.parameters)
    return ARCHITECTURES[trial.architecture](**trial.parameters)


__all__ = ["ARCHITECTURES", "Architecture", "Task", "architecture_of", "task_of"]
