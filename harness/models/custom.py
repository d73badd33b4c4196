"""The user's own networks: functions of a task and parameters that return a Keras model.

A function is named `package.module:function`.
Its module is in the working directory of the command, or in an installed package.
The model takes images of `task.shape` and ends in scores, as in `Architecture`.
It is deployed as it was trained.
"""

import inspect
import pkgutil
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import module_from_spec
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.core.errors import Reason, RequestError, TrialFailed, first_line
from harness.core.ids import canonical_json, sha256_of, sha256_of_file
from harness.core.sweep import Trial
from harness.models.architecture import Task
from harness.models.environment import settle_environment
from harness.models.user_code import find_sources, find_user_spec

if TYPE_CHECKING:
    from harness.models.keras import Model

SHIPPING_ADVICE = "put its imports into the same file or package, or install them on every node"
_HASH_DIGITS = 12


@dataclass(frozen=True)
class Custom:
    """A network of the user's own; `name` is the one that `identify` returns."""

    name: str
    parameters: Mapping[str, Any]

    def build_training_model(self, task: Task) -> "Model":
        """Call the user's function.

        Raises TrialFailed if its source has changed since planning, or if its model has other
        shapes. So does a model with a training of its own, which the recipe would replace.
        """
        model = import_planned(self.name)(task, **self.parameters)
        actual = getattr(model, "input_shape", None), getattr(model, "output_shape", None)
        expected = (None, *task.shape), (None, task.classes)
        if actual != expected:
            raise TrialFailed(
                Reason.BUG,
                f"{self.name} must return a Keras model from {expected[0]} to {expected[1]}, but "
                f"returned a {type(model).__name__} from {actual[0]} to {actual[1]}; correct it.",
            )
        _refuse_own_training(self.name, model)
        return model

    def build_deployed_model(self, task: Task, trained: "Model") -> "Model":
        return trained


def import_planned(name: str) -> Callable[..., Any]:
    """Import a user's function; `name` is the one from `identify`.

    Raises TrialFailed if it can't be imported here, or if its source has changed since planning.
    """
    reference = name.partition("@")[0]
    try:
        function = _import_function(reference, f"on {platform.node()}")
    except RequestError as error:  # on another machine than at planning
        message = f"The model {str(error).rstrip('.')}; {SHIPPING_ADVICE}."
        raise TrialFailed(Reason.BUG, message) from error
    if _format_name(reference, function) != name:
        raise TrialFailed(
            Reason.BUG,
            f"The source of {name} has changed since planning; run the command again.",
        )
    return function


def _refuse_own_training(name: str, model: "Model") -> None:
    """Raise TrialFailed if the model was compiled, or overrides how Keras trains it.

    The recipe decides the optimizer, the loss and the steps.
    """
    from harness.models.keras import Model

    overridden = [
        f"overrides {method}"
        for method in ("train_step", "compute_loss")
        if getattr(type(model), method) is not getattr(Model, method)
    ]
    if getattr(model, "optimizer", None) is not None:
        overridden.append("is compiled")
    if overridden:
        raise TrialFailed(
            Reason.BUG,
            f"The model of {name} {overridden[0]}, but the recipe decides how it is trained; "
            "remove that, or load it with compile=False.",
        )


def is_custom(name: str) -> bool:
    return ":" in name


def build_own_model(name: str, parameters: Mapping[str, Any]) -> "Model":
    """Call a user's function that takes parameters only; `name` is the one from `identify`.

    Raises TrialFailed if its source has changed since, or if it returns no Keras model with inputs
    of fixed sizes.
    """
    from harness.models.keras import Model

    model = import_planned(name)(**parameters)
    if not isinstance(model, Model):
        raise TrialFailed(
            Reason.BUG,
            f"{name} must return a Keras model, but returned a {type(model).__name__}; correct it.",
        )
    shapes = [tuple(tensor.shape) for tensor in model.inputs or ()]
    if not shapes or any(None in shape[1:] for shape in shapes):
        sizes = ", ".join(map(str, shapes)) or "none"
        raise TrialFailed(
            Reason.BUG,
            f"{name} must return a model with inputs of fixed sizes, not {sizes}; "
            "give the function its input shape with --set.",
        )
    return model


def identify(reference: str, parameters: Mapping[str, Any], *, takes_task: bool = True) -> str:
    """Return `<module>:<function>@<12 digits>`, the name that is part of a trial's id.

    The digits start the SHA-256 of the function's source.
    The source includes all of the user's own modules that the function's module imports.
    So a network that is edited anywhere is a new one, and is trained again.
    The function must take these parameters, after a task if `takes_task`.
    Raises RequestError, whose message continues the key's name: "model.name" + "is 'x', which …".
    """
    settle_environment()  # the module may import TensorFlow
    if (working_directory := str(Path.cwd())) not in sys.path:
        sys.path.append(working_directory)  # last, so that it hides no installed package
    function = _import_function(reference, f"from {working_directory}")
    try:
        inspect.signature(function).bind(*([None] if takes_task else []), **parameters)
    except TypeError as error:
        raise RequestError(
            f"is {reference!r}, which does not take these parameters: {first_line(error)}."
        ) from error
    return _format_name(reference, function)


def find_user_modules(trials: Iterable[Trial]) -> list[ModuleType]:
    """Return the user's own top-level modules that the trials need, to ship to remote workers.

    The modules are created without being imported: they have a location, but no content.
    """
    modules = {
        trial.architecture.partition(":")[0] for trial in trials if is_custom(trial.architecture)
    }
    sources = chain.from_iterable(map(find_sources, modules))
    top_level = {name.partition(".")[0] for name in sources}
    specs = map(find_user_spec, sorted(top_level))
    return [module_from_spec(spec) for spec in specs if spec]


def _import_function(reference: str, location: str) -> Callable[..., Any]:
    try:
        function: Any = pkgutil.resolve_name(reference)
    except (Exception, SystemExit) as error:  # anything that the user's module raises
        problem = f"{type(error).__name__}: {first_line(error)}"
        raise RequestError(
            f"is {reference!r}, which can't be imported {location}: {problem}."
        ) from error
    if not inspect.isfunction(inspect.unwrap(function)):
        raise RequestError(
            f"is {reference!r}, which is not a function; "
            "name a function that takes a task and its parameters."
        )
    imported: Callable[..., Any] = function
    return imported


def _format_name(reference: str, function: Callable[..., Any]) -> str:
    unwrapped = inspect.unwrap(function)
    # The definition may be in an installed package, which `find_sources` leaves out.
    definition = Path(inspect.getsourcefile(unwrapped) or inspect.getfile(unwrapped))
    files = {**find_sources(reference.partition(":")[0]), unwrapped.__module__: definition}
    hashes = {name: sha256_of_file(file) for name, file in files.items()}
    return f"{reference}@{sha256_of(canonical_json(hashes).encode())[:_HASH_DIGITS]}"
