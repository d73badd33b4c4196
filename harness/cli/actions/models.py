"""The models that `harness bench` is given: files, and functions that build one."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.config.overrides import parse_override
from harness.conversion.anatomy import describe_file
from harness.conversion.convert import name_converter
from harness.core.errors import RequestError
from harness.core.forms import Form
from harness.core.sweep import Artifact, Failure, Precision
from harness.models.custom import identify
from harness.store.files.workspace import format_path
from harness.training.form_builder import Built, FormBuilder

_NAME = r"[^\W\d]\w*"
_FUNCTION = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})*")


@dataclass(frozen=True)
class LoadedModel:
    """A model's content, and its name in messages: a file's path, or a form's description.

    `file_name` is the name without its folder, under which it is stored.
    """

    name: str
    file_name: str
    content: bytes = field(repr=False)
    artifact: Artifact
    form: Form | None = None


@dataclass(frozen=True)
class LoadedModels:
    """The models, and the forms that could not be built, with the reasons."""

    models: tuple[LoadedModel, ...]
    failures: tuple[tuple[Form, Failure], ...] = ()


def load_models(models: Sequence[str], settings: Sequence[str]) -> LoadedModels:
    """Read model files, and build an untrained network from each `module:function`.

    `settings` (`KEY=VALUE`) are parameters of the functions. Failures to build one are printed.
    Raises RequestError if a file is not a model, or if there is no such function.
    """
    functions = list(dict.fromkeys(filter(_is_function, models)))
    if settings and not functions:
        raise RequestError("--set is for the parameters of a module:function; give one.")
    files = [_read_file(Path(model)) for model in models if model not in functions]
    forms = _make_forms(functions, settings)
    networks, failures = [], []
    for form, outcome in zip(forms, _build(forms), strict=True):
        if isinstance(outcome, Failure):
            print(f"{form}: {outcome.message}", file=sys.stderr)
            failures.append((form, outcome))
        else:
            networks.append(_describe(str(form), outcome, form=form))
    return LoadedModels((*files, *networks), tuple(failures))


def _make_forms(functions: Sequence[str], settings: Sequence[str]) -> list[Form]:
    parameters: dict[str, Any] = {}
    for setting in settings:
        path, value = parse_override(setting)
        parameters[".".join(map(str, path))] = value
    return [_make_form(function, parameters) for function in functions]


def _make_form(function: str, parameters: Mapping[str, Any]) -> Form:
    try:
        name = identify(function, parameters, takes_task=False)
    except RequestError as error:
        raise RequestError(f"The model {error}") from error
    converter = name_converter(Precision.FLOAT32)
    return Form(name, parameters, chosen=parameters, converter=converter)


def _build(forms: Sequence[Form]) -> list[Built]:
    if not forms:
        return []
    with FormBuilder() as builder:
        return [future.result() for future in list(map(builder.build, forms))]


def _is_function(model: str) -> bool:
    return _FUNCTION.fullmatch(model) is not None and not Path(model).exists()


def _read_file(file: Path) -> LoadedModel:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RequestError(
            f"{format_path(file)}: can't be read: {error.strerror}; check the path."
        ) from error
    return _describe(format_path(file), content, file_name=format_path(file.name))


def _describe(
    name: str, content: bytes, file_name: str = "", form: Form | None = None
) -> LoadedModel:
    try:
        artifact = describe_file(content)
    except ValueError as error:
        raise RequestError(f"{name}: {error}; give a .tflite file.") from error
    return LoadedModel(name, file_name or name, content=content, artifact=artifact, form=form)
