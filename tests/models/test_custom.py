"""The user's own functions, in modules of the working directory."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import RequestError, TrialFailed
from harness.core.recipe import Recipe
from harness.core.sweep import Precision, Trial
from harness.models import build_architecture
from harness.models.custom import Custom, find_user_modules, identify
from tests.models.networks import layer_types, task

SETTINGS = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
NETWORK = """\
from harness.models.blocks import dense, normalisation

def tiny(task, units, layers=1):
    from harness.models.keras import Model, layers as kinds
    image = kinds.Input(task.shape)
    x = kinds.Flatten()(image)
    for index in range(layers):
        x = normalisation()(dense(task, units, real_input=index == 0)(x))
    return Model(image, dense(task, task.classes)(x))

def askew(task):
    from harness.models.keras import Model, layers as kinds
    image = kinds.Input(task.shape)
    return Model(image, kinds.Dense(task.classes)(image))

def nothing(task):
    return None

number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; modules imported from it are unloaded afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in (
        "ours",
        "ours_package",
        "ours_package.nets",
        "wrong",
        "loose",
        "loose.nets",
        "parts",
        "speaks",
    ):
        monkeypatch.setitem(sys.modules, name, None)  # the fixture then restores it
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "ours.py").write_text(NETWORK)
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    (tmp_path / "ours_package").mkdir()
    (tmp_path / "ours_package" / "__init__.py").write_text("from ours_package.nets import tiny\n")
    (tmp_path / "ours_package" / "nets.py").write_text(NETWORK)
    return tmp_path


def trial(name: str, **parameters: object) -> Trial:
    return Trial(
        name,
        parameters,
        chosen=parameters,
        precision=Precision.BINARY,
        dataset="digits",
        recipe=Recipe(epochs=1),
        seed=0,
    )


def test_a_users_function_is_an_architecture(folder: Path) -> None:
    name = identify("ours:tiny", {"units": 8, "layers": 2})
    architecture = build_architecture(name, {"units": 8, "layers": 2})
    model = architecture.build_training_model(task(Precision.BINARY))
    assert layer_types(model).count("QuantDense") == 3
    assert architecture.build_deployed_model(task(Precision.BINARY), model) is model


def test_the_name_has_the_hash_of_the_defining_file(folder: Path) -> None:
    name = identify("ours:tiny", {"units": 8})
    reference, digits = name.split("@")
    assert (reference, len(digits)) == ("ours:tiny", 12)
    (folder / "ours.py").write_text(NETWORK + "\n")
    assert identify("ours:tiny", {"units": 8}) != name


# The files of one network, which import each other in every way.
PIECES = {
    "ours.py": "import json, numpy, loose.nets\n" + NETWORK,
    "loose/nets.py": "from ours_package import deep\nfrom ours_package.deep import *\n",
    "ours_package/__init__.py": "",
    "ours_package/deep/__init__.py": "from . import widths\nfrom .. import odd\n",
    "ours_package/deep/widths.py": "def later():\n    import parts\n",
    "ours_package/odd.py": "try:\n    from ours_package import nothing\nexcept ImportError: ...\n",
    "parts.py": "import ours, nowhere\n",
}


def write_pieces(directory: Path) -> None:
    for name, text in PIECES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


@pytest.mark.parametrize("edited", PIECES)
def test_an_edit_of_any_imported_file_changes_the_name(folder: Path, edited: str) -> None:
    write_pieces(folder)
    name = identify("ours:tiny", {"units": 8})
    with (folder / edited).open("a") as file:
        file.write("# edited\n")
    assert identify("ours:tiny", {"units": 8}) != name


def test_an_edit_of_an_unrelated_file_keeps_the_name(
    folder: Path,
) -> None:
    name = identify("ours:tiny", {"units": 8})
    identify("ours_package.nets:tiny", {"units": 8})
    (folder / "ours_package" / "nets.py").write_text(NETWORK + "\n")
    assert identify("ours:tiny", {"units": 8}) == name


def test_the_name_does_not_depend_on_where_the_files_are(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ray puts each top-level module into a separate folder on another node."""
    write_pieces(folder)
    name = identify("ours:tiny", {"units": 8})
    modules = ("ours.py", "loose", "ours_package", "parts.py")
    locations = [tmp_path_factory.mktemp("node") for _ in modules]
    for location, module in zip(locations, modules, strict=True):
        shutil.move(folder / module, location / module)
    code = "from harness.models.custom import identify; print(identify('ours:tiny', {'units': 8}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, locations))}
    completed = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    )
    assert completed.stdout == f"{name}\n"


def test_a_function_edited_after_planning_is_not_trained(
    folder: Path,
) -> None:
    name = identify("ours:tiny", {"units": 8})
    (folder / "ours.py").write_text(NETWORK + "\n")
    with pytest.raises(
        TrialFailed,
        match=f"^The source of {name} has changed since planning; run the command again.$",
    ):
        Custom(name, {"units": 8}).build_training_model(task(Precision.BINARY))


def test_a_worker_without_the_module_reports_it(folder: Path) -> None:
    message = (
        rf"^The model is 'nowhere:tiny', which can't be imported on {platform.node()}: "
        r"ModuleNotFoundError: No module named 'nowhere'; "
        r"put its imports into the same file or package, or install them on every node\.$"
    )
    with pytest.raises(TrialFailed, match=message):
        Custom("nowhere:tiny@0123456789ab", {}).build_training_model(task(Precision.BINARY))


@pytest.mark.parametrize(
    ("reference", "parameters", "ending"),
    [
        ("nowhere:tiny", {}, "ModuleNotFoundError: No module named 'nowhere'."),
        ("wrong:tiny", {}, "ZeroDivisionError: division by zero."),
        ("ours:huge", {}, "AttributeError: module 'ours' has no attribute 'huge'."),
        ("ours:", {}, "is not a function; name a function that takes a task and its parameters."),
        (
            "ours:number",
            {},
            "is not a function; name a function that takes a task and its parameters.",
        ),
        ("a b:c", {}, "ValueError: invalid format: 'a b:c'."),
        ("ours:tiny", {}, "missing a required argument: 'units'."),
        ("ours:tiny", {"units": 8, "colour": 1}, "got an unexpected keyword argument 'colour'."),
    ],
)
def test_a_wrong_module_function_or_parameter_is_refused(
    folder: Path, reference: str, parameters: dict[str, int], ending: str
) -> None:
    with pytest.raises(RequestError) as refused:
        identify(reference, parameters)
    assert str(refused.value).startswith(f"is {reference!r}, ")
    assert str(refused.value).endswith(ending)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "askew",
            r"but returned a Functional from \(None, 8, 8, 1\) to \(None, 8, 8, 10\); "
            r"correct it\.$",
        ),
        ("nothing", r"but returned a NoneType from None to None; correct it\.$"),
    ],
)
def test_a_model_of_other_shapes_fails_the_trial(folder: Path, function: str, message: str) -> None:
    with pytest.raises(TrialFailed, match=message):
        Custom(identify(f"ours:{function}", {}), {}).build_training_model(task(Precision.FLOAT32))


def test_another_cluster_needs_the_top_level_modules(folder: Path) -> None:
    names = [
        identify(reference, {"units": 8}) for reference in ("ours_package.nets:tiny", "ours:tiny")
    ]
    modules = find_user_modules([trial("mlp"), *(trial(name) for name in (*names, names[0]))])
    assert [module.__name__ for module in modules] == ["ours", "ours_package"]


def test_another_cluster_gets_imported_modules_but_no_installed_ones(
    folder: Path,
) -> None:
    modules = find_user_modules(
        [trial(identify("ours:tiny", {"units": 8})), trial("json:dumps@0123456789ab")]
    )
    assert [module.__name__ for module in modules] == ["ours"]
    write_pieces(folder)
    modules = find_user_modules([trial(identify("ours:tiny", {"units": 8}))])
    assert [module.__name__ for module in modules] == ["loose", "ours", "ours_package", "parts"]
    assert [[*module.__path__] for module in (modules[0], modules[2])] == [
        [str(folder / "loose")],
        [str(folder / "ours_package")],
    ]
    assert modules[3].__file__ == str(folder / "parts.py")
    assert "parts" not in sys.modules, "modules are parsed, not imported"


def test_planning_imports_no_tensorflow_but_sets_its_environment(
    folder: Path,
) -> None:
    (folder / "speaks.py").write_text(
        "import os\ndef settings(task): ...\n"
        + "".join(f"assert os.environ[{name!r}] == {value!r}\n" for name, value in SETTINGS.items())
    )
    code = (
        "import sys; from harness.models.custom import identify; identify('speaks:settings', {}); "
    )
    code += "assert not {'tensorflow', 'larq', 'ray'} & set(sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
