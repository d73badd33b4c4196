from datetime import date
from pathlib import Path

import pytest

from harness.config.published import read_published
from harness.core.errors import ConfigError
from harness.core.published import PublishedLatency

HEADING = "model,precision,device,threads,latency_ms,accuracy,source,dated"
LINE = 'QuickNet,binary,Pixel 1,4,12.6,0.633,"A paper, 2021",2021-06-11'


def write_csv(folder: Path, *lines: str) -> Path:
    file = folder / "numbers.csv"
    file.write_text("\n".join(lines))
    return file


def test_every_line_is_a_latency_with_its_source(tmp_path: Path) -> None:
    (latency,) = read_published(write_csv(tmp_path, HEADING, LINE, ""))
    assert latency == PublishedLatency(
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
    file = write_csv(tmp_path, "size_bytes," + HEADING, f"1000,{LINE.replace('0.633', '')}")
    (latency,) = read_published(file)
    assert (latency.accuracy, latency.size_bytes) == (None, 1000)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert len(read_published(write_csv(tmp_path, "\ufeff" + HEADING, LINE))) == 1


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("12.6", "fast", "latency_ms is 'fast', but must be a valid number"),
        ("12.6", "-1", "latency_ms is '-1', but must be greater than 0"),
        ("12.6", "inf", "latency_ms is 'inf', but must be a finite number"),
        ("12.6", "", "latency_ms is missing"),
        (
            "0.633",
            "63.3",
            "accuracy is '63.3', but must be less than or equal to 1, as a share of 1",
        ),
        (
            "binary",
            "ternary",
            "precision is 'ternary', but must be 'float32', 'float16', 'int8' or 'binary'",
        ),
        (",4,", ",4.5,", "threads is '4.5', but must be a valid integer"),
        ("QuickNet", "Quick\0Net", "model is 'Quick\\x00Net'; remove its non-printable characters"),
        (
            "2021-06-11",
            "June",
            "dated is 'June', but must be a valid date in the format YYYY-MM-DD",
        ),
        (
            '"A paper, 2021"',
            "A paper, 2021",
            "has 9 cells, but the heading has 8; quote a cell that contains a comma",
        ),
    ],
)
def test_a_wrong_cell_is_named_by_file_line_and_column(
    tmp_path: Path, right: str, wrong: str, problem: str
) -> None:
    file = write_csv(tmp_path, HEADING, LINE, "", LINE.replace(right, wrong, 1))
    with pytest.raises(ConfigError) as caught:
        read_published(file)
    assert str(caught.value).startswith(f"{file}:4: {problem}")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("heading", "problem"),
    [
        (
            HEADING.replace("latency_ms", "latency_us"),
            "unknown column 'latency_us'; choose from: model, ",
        ),
        (HEADING.replace("latency_ms", "model"), "column model appears twice; remove one."),
        (
            HEADING.replace(",dated", ""),
            "column dated is missing; required: model, precision, device, threads, latency_ms, ",
        ),
        (HEADING.replace(",", ";"), "unknown column 'model;precision;device"),
        ("", "column model is missing"),
    ],
)
def test_a_wrong_heading_is_refused(tmp_path: Path, heading: str, problem: str) -> None:
    file = write_csv(tmp_path, heading, LINE)
    with pytest.raises(ConfigError) as caught:
        read_published(file)
    assert str(caught.value).startswith(f"{file}:1: {problem}")


def test_a_size_that_no_database_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="size_bytes is '99999999999999999999', but must be less than"
    ):
        read_published(write_csv(tmp_path, f"{HEADING},size_bytes", f"{LINE},99999999999999999999"))


def test_a_heading_without_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="has only a heading; add a line for each published latency"
    ):
        read_published(write_csv(tmp_path, HEADING))


def test_a_file_in_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_published(tmp_path)
    file = tmp_path / "image.csv"
    file.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(ConfigError, match="is not a text file in UTF-8"):
        read_published(file)
    with pytest.raises(ConfigError, match="is not a CSV file"):
        read_published(write_csv(tmp_path, HEADING, '"an open quote'))


def test_the_table_of_larq_compute_engines_readme_is_included(repository: Path) -> None:
    """Top-1 accuracy on ImageNet, and milliseconds with four threads, as in that README."""
    latencies = read_published(repository / "db" / "published" / "lce_quicknet.csv")
    assert {(latency.threads, latency.precision) for latency in latencies} == {(4, "binary")}
    rows = [
        (latency.model, latency.accuracy, latency.device, latency.latency_ms)
        for latency in latencies
    ]
    assert rows == [
        ("QuickNetSmall", 0.594, "Raspberry Pi 4B", 12.1),
        ("QuickNetSmall", 0.594, "Pixel 1", 8.9),
        ("QuickNetSmall", 0.594, "Mac Mini M1", 1.8),
        ("QuickNet", 0.633, "Raspberry Pi 4B", 20.8),
        ("QuickNet", 0.633, "Pixel 1", 12.6),
        ("QuickNet", 0.633, "Mac Mini M1", 2.5),
        ("QuickNetLarge", 0.669, "Raspberry Pi 4B", 31.7),
        ("QuickNetLarge", 0.669, "Pixel 1", 22.8),
        ("QuickNetLarge", 0.669, "Mac Mini M1", 3.9),
    ]
    days = sorted(latency.dated.isoformat() for latency in latencies)
    assert (days[0], days[-1]) == ("2021-06-11", "2022-04-20")
