from datetime import date
from pathlib import Path

import pytest

from harness.config.published import read_published
from harness.core.errors import ConfigError
from harness.core.published import PublishedLatency

HEADING = "model,precision,device,threads,latency_ms,accuracy,source,dated"
LINE = 'QuickNet,binary,Pixel 1,4,12.6,0.633,"A paper, 2021",2021-06-11'


def file_of(folder: Path, *lines: str) -> Path:
    file = folder / "numbers.csv"
    file.write_text("\n".join(lines))
    return file


def test_every_line_is_a_number_with_its_source(tmp_path: Path) -> None:
    (number,) = read_published(file_of(tmp_path, HEADING, LINE, ""))
    assert number == PublishedLatency(
        "QuickNet",
        "binary",
        device="Pixel 1",
        threads=4,
        latency_ms=12.6,
        source="A paper, 2021",
        dated=date(2021, 6, 11),
        accuracy=0.633,
    )


def test_accuracy_and_size_may_be_unknown(tmp_path: Path) -> None:
    file = file_of(tmp_path, "size_bytes," + HEADING, f"1000,{LINE.replace('0.633', '')}")
    (number,) = read_published(file)
    assert (number.accuracy, number.size_bytes) == (None, 1000)


def test_a_spreadsheets_byte_order_mark_is_no_name(tmp_path: Path) -> None:
    assert len(read_published(file_of(tmp_path, "\ufeff" + HEADING, LINE))) == 1


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("12.6", "fast", "latency_ms is 'fast', but has to be a valid number"),
        ("12.6", "-1", "latency_ms is '-1', but has to be greater than 0"),
        ("12.6", "inf", "latency_ms is 'inf', but has to be a finite number"),
        ("12.6", "", "latency_ms is missing"),
        (
            "0.633",
            "63.3",
            "accuracy is '63.3', but has to be less than or equal to 1, as a share of 1",
        ),
        (
            "binary",
            "ternary",
            "precision is 'ternary', but has to be 'float32', 'float16', 'int8' or 'binary'",
        ),
        (",4,", ",4.5,", "threads is '4.5', but has to be a valid integer"),
        ("QuickNet", "Quick\0Net", "model is 'Quick\\x00Net', which can't be shown in a line"),
        (
            "2021-06-11",
            "June",
            "dated is 'June', but has to be a valid date in the format YYYY-MM-DD",
        ),
        (
            '"A paper, 2021"',
            "A paper, 2021",
            "has 9 cells, but the heading 8; quote what holds a comma",
        ),
    ],
)
def test_a_wrong_cell_is_named_by_file_line_and_column(
    tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    file = file_of(tmp_path, HEADING, LINE, "", LINE.replace(right, wrong, 1))
    with pytest.raises(ConfigError) as caught:
        read_published(file)
    assert str(caught.value).startswith(f"{file}:4: {told}")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        (
            HEADING.replace("latency_ms", "latency_us"),
            "'latency_us' is no column that is known here; known: model, ",
        ),
        (HEADING.replace("latency_ms", "model"), "model is there twice."),
        (
            HEADING.replace(",dated", ""),
            "dated is missing; needed: model, precision, device, threads, latency_ms, ",
        ),
        (HEADING.replace(",", ";"), "'model;precision;device"),
        ("", "model is missing"),
    ],
)
def test_a_wrong_heading_is_told(tmp_path: Path, heading: str, told: str) -> None:
    file = file_of(tmp_path, heading, LINE)
    with pytest.raises(ConfigError) as caught:
        read_published(file)
    assert str(caught.value).startswith(f"{file}:1: {told}")


def test_a_size_that_no_database_holds_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="size_bytes is '99999999999999999999', but has to be less than"
    ):
        read_published(file_of(tmp_path, f"{HEADING},size_bytes", f"{LINE},99999999999999999999"))


def test_a_heading_without_numbers_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="has a heading alone; add a line for each published number"
    ):
        read_published(file_of(tmp_path, HEADING))


def test_what_is_no_csv_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_published(tmp_path)
    file = tmp_path / "image.csv"
    file.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ConfigError, match="is no CSV file in UTF-8"):
        read_published(file)
    with pytest.raises(ConfigError, match="is no CSV file in UTF-8"):
        read_published(file_of(tmp_path, HEADING, '"an open quote'))


def test_the_table_of_larq_compute_engines_readme_is_here(repository: Path) -> None:
    """Top-1 on ImageNet and milliseconds with four threads, as that README has them."""
    numbers = read_published(repository / "db" / "published" / "lce_quicknet.csv")
    assert {(number.threads, number.precision) for number in numbers} == {(4, "binary")}
    assert [
        (number.model, number.accuracy, number.device, number.latency_ms) for number in numbers
    ] == [
        (model, accuracy, device, latency_ms)
        for model, accuracy, latencies in (
            ("QuickNetSmall", 0.594, (12.1, 8.9, 1.8)),
            ("QuickNet", 0.633, (20.8, 12.6, 2.5)),
            ("QuickNetLarge", 0.669, (31.7, 22.8, 3.9)),
        )
        for device, latency_ms in zip(
            ("Raspberry Pi 4B", "Pixel 1", "Mac Mini M1"), latencies, strict=True
        )
    ]
    days = sorted(number.dated.isoformat() for number in numbers)
    assert (days[0], days[-1]) == ("2021-06-11", "2022-04-20")
