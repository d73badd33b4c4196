"""The user's own functions, in modules of the folder that the command is run in."""

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
from harness.models import architecture_of
from harness.models.custom import Custom, identify, modules_of
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
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is run in; what is imported from it is forgotten."""
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
        monkeypatch.setitem(sys.modules, name, None)  # so that it is as it was, afterwards
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


def test_a_function_of_the_users_is_an_architecture(here: Path) -> None:
    name = identify("ours:tiny", {"units": 8, "layers": 2})
    architecture = architecture_of(trial(name, units=8, layers=2))
    model = architecture.training_model(task(Precision.BINARY))
    assert layer_types(model).count("QuantDense") == 3
    assert architecture.deployed_model(task(Precision.BINARY), model) is model


def test_its_name_has_the_hash_of_the_file_that_defines_it(here: Path) -> None:
    name = identify("ours:tiny", {"units": 8})
    reference, digits = name.split("@")
    assert (reference, len(digits)) == ("ours:tiny", 12)
    (here / "ours.py").write_text(NETWORK + "\n")
    assert identify("ours:tiny", {"units": 8}) != name


# Each file of a network, and what the others of it say to come to it.
PIECES = {
    "ours.py": "import json, numpy, loose.nets\n" + NETWORK,
    "loose/nets.py": "from ours_package import deep\nfrom ours_package.deep import *\n",
    "ours_package/__init__.py": "",
    "ours_package/deep/__init__.py": "from . import widths\nfrom .. import odd\n",
    "ours_package/deep/widths.py": "def later():\n    import parts\n",
    "ours_package/odd.py": "try:\n    from ours_package import nothing\nexcept ImportError: ...\n",
    "parts.py": "import ours, nowhere\n",
}


def in_pieces(folder: Path) -> None:
    for name, text in PIECES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("edited", PIECES)
def test_all_of_the_users_files_that_it_imports_count_however_they_are_imported(
    here: Path, edited: str
) -> None:
    in_pieces(here)
    before = identify("ours:tiny", {"units": 8})
    with (here / edited).open("a") as file:
        file.write("# edited\n")
    assert identify("ours:tiny", {"units": 8}) != before


def test_nothing_else_counts_neither_what_lies_beside_it_nor_what_is_imported_by_others(
    here: Path,
) -> None:
    before = identify("ours:tiny", {"units": 8})
    identify("ours_package.nets:tiny", {"units": 8})
    (here / "ours_package" / "nets.py").write_text(NETWORK + "\n")
    assert identify("ours:tiny", {"units": 8}) == before


def test_it_has_the_same_name_wherever_its_files_lie(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As on another node, where each top-level module comes to a folder of its own."""
    in_pieces(here)
    name = identify("ours:tiny", {"units": 8})
    places = [tmp_path_factory.mktemp("node") for _ in range(4)]
    for place, one in zip(places, ("ours.py", "loose", "ours_package", "parts.py"), strict=True):
        shutil.move(here / one, place / one)
    code = "from harness.models.custom import identify; print(identify('ours:tiny', {'units': 8}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
    )
    assert found.stdout == f"{name}\n"


def test_a_function_that_was_edited_after_the_plan_is_not_trained_under_its_name(
    here: Path,
) -> None:
    name = identify("ours:tiny", {"units": 8})
    (here / "ours.py").write_text(NETWORK + "\n")
    with pytest.raises(
        TrialFailed, match=f"^The source of {name} has changed since it was planned; submit again.$"
    ):
        Custom(name, {"units": 8}).training_model(task(Precision.BINARY))


def test_a_worker_that_has_not_its_module_says_so(here: Path) -> None:
    said = (
        rf"^The model is 'nowhere:tiny', which can't be imported on {platform.node()}: ModuleNotFoundError: No module "
        r"named 'nowhere'; put what it imports into the same file or package, or install it on every node\.$"
    )
    with pytest.raises(TrialFailed, match=said):
        Custom("nowhere:tiny@0123456789ab", {}).training_model(task(Precision.BINARY))


@pytest.mark.parametrize(
    ("reference", "parameters", "said"),
    [
        ("nowhere:tiny", {}, "ModuleNotFoundError: No module named 'nowhere'."),
        ("wrong:tiny", {}, "ZeroDivisionError: division by zero."),
        ("ours:huge", {}, "AttributeError: module 'ours' has no attribute 'huge'."),
        ("ours:", {}, "is no function; name one that takes a task and its parameters."),
        ("ours:number", {}, "is no function; name one that takes a task and its parameters."),
        ("a b:c", {}, "ValueError: invalid format: 'a b:c'."),
        ("ours:tiny", {}, "missing a required argument: 'units'."),
        ("ours:tiny", {"units": 8, "colour": 1}, "got an unexpected keyword argument 'colour'."),
    ],
)
def test_a_wrong_module_function_or_parameter_is_a_sentence(
    here: Path, reference: str, parameters: dict[str, int], said: str
) -> None:
    with pytest.raises(RequestError) as refused:
        identify(reference, parameters)
    assert str(refused.value).startswith(f"is {reference!r}, ")
    assert str(refused.value).endswith(said)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            "askew",
            r"but returned a Functional from \(None, 8, 8, 1\) to \(None, 8, 8, 10\); mend it\.$",
        ),
        ("nothing", r"but returned a NoneType from None to None; mend it\.$"),
    ],
)
def test_a_model_that_does_not_fit_is_a_sentence(here: Path, function: str, said: str) -> None:
    with pytest.raises(TrialFailed, match=said):
        Custom(identify(f"ours:{function}", {}), {}).training_model(task(Precision.FLOAT32))


def test_what_another_cluster_needs_are_the_top_level_modules(here: Path) -> None:
    names = [
        identify(reference, {"units": 8}) for reference in ("ours_package.nets:tiny", "ours:tiny")
    ]
    found = modules_of([trial("mlp"), *(trial(name) for name in (*names, names[0]))])
    assert [module.__name__ for module in found] == ["ours", "ours_package"]


def test_another_cluster_gets_what_they_import_too_but_nothing_that_is_installed(
    here: Path,
) -> None:
    found = modules_of(
        [trial(identify("ours:tiny", {"units": 8})), trial("json:dumps@0123456789ab")]
    )
    assert [module.__name__ for module in found] == ["ours"]
    in_pieces(here)
    found = modules_of([trial(identify("ours:tiny", {"units": 8}))])
    assert [module.__name__ for module in found] == ["loose", "ours", "ours_package", "parts"]
    assert [[*module.__path__] for module in (found[0], found[2])] == [
        [str(here / "loose")],
        [str(here / "ours_package")],
    ]
    assert found[3].__file__ == str(here / "parts.py")
    assert "parts" not in sys.modules, "it is looked at, not run"


def test_planning_imports_no_tensorflow_and_a_module_that_does_finds_its_settings(
    here: Path,
) -> None:
    (here / "speaks.py").write_text(
        "import os\ndef settings(task): ...\n"
        + "".join(f"assert os.environ[{name!r}] == {value!r}\n" for name, value in SETTINGS.items())
    )
    code = (
        "import sys; from harness.models.custom import identify; identify('speaks:settings', {}); "
    )
    code += "assert not {'tensorflow', 'larq', 'ray'} & set(sys.modules)"
    kept = {key: value for key, value in os.environ.items() if key not in SETTINGS}
    subprocess.run([sys.executable, "-c", code], check=True, env=kept)
