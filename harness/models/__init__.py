"""Architectures, one file each: the parameters, the trained network and the deployed network.

Only the functions that build networks import TensorFlow and Larq; parameters are checked without.
"""

from collections.abc import Mapping
from typing import Any

from harness.models.architecture import Architecture, Task, make_task
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


def build_architecture(name: str, parameters: Mapping[str, Any]) -> Architecture:
    if is_custom(name):
        return Custom(name, parameters)
    return ARCHITECTURES[name](**parameters)


__all__ = ["ARCHITECTURES", "Architecture", "Task", "build_architecture", "make_task"]
