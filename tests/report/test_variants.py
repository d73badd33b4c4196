import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.variants import label_rows
from tests.rows import own_model_row, result_row


def mlp(units: int = 256, layers: int = 3, seed: int = 0) -> dict[str, object]:
    return result_row(parameters={"layers": layers, "units": units}, seed=seed)


def test_no_rows_have_no_labels() -> None:
    assert label_rows([]) == []


def test_a_single_row_is_labelled_by_its_model() -> None:
    assert label_rows([mlp()]) == ["mlp"]


def test_precisions_of_one_model_have_the_same_label() -> None:
    """The column `precision` tells them apart."""
    assert label_rows([result_row(precision="binary"), result_row(precision="float32")]) == [
        "mlp",
        "mlp",
    ]


def test_only_settings_that_differ_are_named() -> None:
    assert label_rows([mlp(128, seed=0), mlp(256, seed=0), mlp(256, seed=1)]) == [
        "mlp units=128 seed=0",
        "mlp units=256 seed=0",
        "mlp units=256 seed=1",
    ]


def test_the_recipe_and_the_data_set_are_named_where_they_differ() -> None:
    rows = [
        result_row(recipe={"epochs": 5, "learning_rate": 0.001}),
        result_row(recipe={"epochs": 5, "learning_rate": 0.01}, dataset="fashion_mnist"),
    ]
    assert label_rows(rows) == [
        "mlp learning_rate=0.001 dataset=digits",
        "mlp learning_rate=0.01 dataset=fashion_mnist",
    ]


def test_a_learning_rate_schedule_is_shortened() -> None:
    schedule = {"schedule": "cosine", "initial": 0.1}
    rows = [
        result_row(recipe={"learning_rate": schedule}),
        result_row(recipe={"learning_rate": 0.5}),
    ]
    assert label_rows(rows) == ["mlp learning_rate=cosine/0.1", "mlp learning_rate=0.5"]


def test_a_parameter_of_only_one_model_is_named_for_that_model() -> None:
    rows = [result_row(parameters={"units": 8}), result_row(model="cnn", parameters={"filters": 4})]
    assert label_rows(rows) == ["mlp units=8", "cnn filters=4"]


@pytest.mark.parametrize(("file", "label"), [("own.tflite", "own.tflite"), (None, "e" * 12)])
def test_a_users_own_model_is_labelled_by_its_file_or_its_artifact(
    file: str | None, label: str
) -> None:
    assert label_rows([own_model_row(file=file), mlp()]) == [label, "mlp"]


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2)),
        unique=True,
        min_size=1,
        max_size=6,
    )
)
def test_different_settings_have_different_labels(settings: list[tuple[int, int, int]]) -> None:
    labels = label_rows([mlp(units, layers=layers, seed=seed) for units, layers, seed in settings])
    assert len(set(labels)) == len(settings)
    for name, values in zip(("units", "layers", "seed"), zip(*settings, strict=True), strict=True):
        if len(set(values)) == 1:
            assert not [label for label in labels if f"{name}=" in label]
