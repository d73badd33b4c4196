"""The user's own networks: functions `(task, **parameters) → Keras model`, named `package.module:function`.

The model takes images of `task.shape` and ends in scores, as `Architecture` has it; it is deployed as it was trained.
Modules are found in the folder that the command is run in, and among the installed packages.
"""

import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.core.errors import Reason, RequestError, TrialFailed, first_line
from harness.core.ids import sha256_of_file
from harness.core.sweep import Trial
from harness.models.architecture import Task

if TYPE_CHECKING:
    from harness.models.keras import Model

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
            function = _function(reference)
        except RequestError as error:  # on another machine than it was planned on
            raise TrialFailed(Reason.BUG, f"The model {error}") from error
        if _named(reference, function) != self.name:
            raise TrialFailed(Reason.BUG, f"The source of {self.name} has changed since it was planned; submit again.")
        return function


def is_custom(name: str) -> bool:
    return ":" in name


def identify(reference: str, parameters: Mapping[str, Any]) -> str:
    """`<module>:<function>@<12 digits>` of the SHA-256 of the file that defines the function: what a trial's id holds.

    So an edited network is another one, and trained anew; what that file imports does not count.
    Raises RequestError, its message to follow what the model was named by.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # as harness.models.keras: the module may import TensorFlow first
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last: nothing that is installed is hidden by what happens to lie here
    function = _function(reference)
    try:
        inspect.signature(function).bind(None, **parameters)
    except TypeError as error:
        raise RequestError(f"is {reference!r}, whose parameters are others: {first_line(error)}.") from error
    return _named(reference, function)


def modules_of(trials: Iterable[Trial]) -> list[ModuleType]:
    """The user's top-level modules and packages that the trials need: those to ship to another cluster's workers."""
    modules = {trial.architecture.partition(":")[0] for trial in trials if is_custom(trial.architecture)}
    return [import_module(top) for top in sorted({module.partition(".")[0] for module in modules})]


def _function(reference: str) -> Callable[..., Any]:
    try:
        found = pkgutil.resolve_name(reference)
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise RequestError(f"is {reference!r}, which can't be imported from {Path.cwd()}: {problem}.") from error
    if not inspect.isfunction(inspect.unwrap(found)):
        raise RequestError(f"is {reference!r}, which is no function; name one that takes a task and its parameters.")
    function: Callable[..., Any] = found
    return function


def _named(reference: str, function: Callable[..., Any]) -> str:
    source = inspect.getsourcefile(inspect.unwrap(function)) or inspect.getfile(function)
    return f"{reference}@{sha256_of_file(Path(source))[:_SHOWN_DIGITS]}"
