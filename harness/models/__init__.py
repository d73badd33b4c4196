"""One file an architecture: its parameters, the network that is trained, and the one that is deployed.

TensorFlow and Larq are imported inside the functions that build: parameters are checked without them.
"""

from harness.models.architecture import Architecture, Task
from harness.models.mlp import Mlp

ARCHITECTURES: dict[str, type[Architecture]] = {"mlp": Mlp}

__all__ = ["ARCHITECTURES", "Architecture", "Task"]
