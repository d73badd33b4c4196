"""The user's own networks: functions `(task, **parameters) → Keras model`, named `package.module:function`.

The model takes images of `task.shape` and ends in scores, as `Architecture` has it; it is deployed as it was trained.
Modules are found in the folder that the command is run in, and among the installed packages.
"""

import inspect
import pkgutil
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.core.errors import Reason, RequestError, TrialFailed, first_line
from harness.core.ids import canonical_json, sha256_of, sha256_of_file
from harness.core.sweep import Trial
from harness.models.architecture import Task
from harness.models.environment import settle_environment
from harness.models.own_code import own_spec, sources

if TYPE_CHECKING:
    from harness.models.keras import Model

NOT_SHIPPED = "put what it imports into the same file or package, or install it on every node"
_SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Custom:
    """`name` is `identify`'s."""

    name: str
    parameters: Mapping[str, Any]

    def training_model(self, task: Task) -> "Model":
        """Raises TrialFailed where the function is not the one that was planned with, or its model does not fit."""
        model = self._planned()(task, **self.parameters)
        found = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
        if found != (wanted := ((None, *task.shape), (None, task.classes))):
            raise TrialFailed(
                Reason.BUG,
                f"{self.name} has to return a Keras model from {wanted[0]} to {wanted[1]}, "
                f"but returned a {type(model).__name__} from {found[0]} to {found[1]}; mend it.",
            )
        return model

    def deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained

    def _planned(self) -> Callable[..., Any]:
        reference = self.name.partition("@")[0]
        try:
            function = _function(reference, f"on {platform.node()}")
        except RequestError as error:  # on another machine than it was planned on
            message = f"The model {str(error).rstrip('.')}; {NOT_SHIPPED}."
            raise TrialFailed(Reason.BUG, message) from error
        if _named(reference, function) != self.name:
            raise TrialFailed(
                Reason.BUG,
                f"The source of {self.name} has changed since it was planned; submit again.",
            )
        return function


def is_custom(name: str) -> bool:
    return ":" in name


def identify(reference: str, parameters: Mapping[str, Any]) -> str:
    """`<module>:<function>@<12 digits>` of the SHA-256 of the function's source: what a trial's id holds.

    Its source are the module's own files and those of every module of the user's that they import: a network that is
    edited anywhere is another one, and trained anew.
    Raises RequestError, its message to follow what the model was named by.
    """
    settle_environment()  # the module may import TensorFlow
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(
            here
        )  # last: nothing that is installed is hidden by what happens to lie here
    function = _function(reference, f"from {Path.cwd()}")
    try:
        inspect.signature(function).bind(None, **parameters)
    except TypeError as error:
        raise RequestError(
            f"is {reference!r}, whose parameters are others: {first_line(error)}."
        ) from error
    return _named(reference, function)


def modules_of(trials: Iterable[Trial]) -> list[ModuleType]:
    """The user's own top-level modules and packages that the trials need: those to ship to another cluster's workers.

    Nothing is imported: they know where they lie, and are empty.
    """
    modules = {
        trial.architecture.partition(":")[0] for trial in trials if is_custom(trial.architecture)
    }
    needed = {name.partition(".")[0] for module in modules for name in sources(module)}
    return [module_from_spec(spec) for top in sorted(needed) if (spec := own_spec(top))]


def _function(reference: str, where: str) -> Callable[..., Any]:
    try:
        found = pkgutil.resolve_name(reference)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise RequestError(
            f"is {reference!r}, which can't be imported {where}: {problem}."
        ) from error
    if not inspect.isfunction(inspect.unwrap(found)):
        raise RequestError(
            f"is {reference!r}, which is no function; name one that takes a task and its parameters."
        )
    function: Callable[..., Any] = found
    return function


def _named(reference: str, function: Callable[..., Any]) -> str:
    made = inspect.unwrap(function)
    definition = Path(
        inspect.getsourcefile(made) or inspect.getfile(made)
    )  # it may be of an installed package
    files = {**sources(reference.partition(":")[0]), made.__module__: definition}
    hashes = {name: sha256_of_file(file) for name, file in files.items()}
    return f"{reference}@{sha256_of(canonical_json(hashes).encode())[:_SHOWN_DIGITS]}"
