"""`harness compare` on a database with measurements."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from junitparser import JUnitXml
from numpy.typing import NDArray
from sqlalchemy import Engine

from harness.conversion.evaluate import pack_correct
from harness.core.bench import PROTOCOLS, Case
from harness.core.sweep import Precision
from harness.store.database import open_database
from harness.store.rows.cases import CaseRows
from harness.store.rows.trials import TrialRows
from tests.harness_cli import Cli
from tests.store.examples import (
    TOOL,
    make_artifact,
    make_case,
    make_measurement_from,
    make_outcome,
    make_sweep,
    make_trial,
)

# Relative changes over ten blocks: DRIFT affects both variants, NOISE each by itself.
DRIFT = np.linspace(1.0, 1.6, 10)
NOISE = np.array([0.0, 4, -3, 1, -2, 3, -4, 2, -1, 0]) / 1000
IMAGES = np.arange(1000)


@pytest.fixture
def engine(cli: Cli) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{cli.home / 'harness.db'}")
    yield engine
    engine.dispose()


def train(engine: Engine, seed: int = 0, *, with_answers: bool = True) -> tuple[str, str]:
    """Store a float artifact and its binary twin, and return their ids.

    They classify 95 % and 90 % of 1,000 images correctly; `with_answers` stores which images.
    """
    correct_images = {
        Precision.FLOAT32: IMAGES < 950,
        Precision.BINARY: (IMAGES >= 10) & (IMAGES < 910),
    }
    outcomes = []
    for precision, is_correct in correct_images.items():
        trial = make_trial(seed, precision)
        correct = pack_correct(is_correct) if with_answers else b""
        outcome = make_outcome(trial, accuracy=float(is_correct.mean()), correct=correct)
        TrialRows(engine).submit(make_sweep(trial), [])
        TrialRows(engine).finish(outcome)
        outcomes.append(outcome)
    floats, binary = (outcome.artifacts[0].sha256 for outcome in outcomes)
    return floats, binary


def measure(
    engine: Engine,
    case: Case,
    averages: Sequence[float] | NDArray[np.float64],
    batch: str | None = None,
) -> None:
    CaseRows(engine).finish(
        "ssh", make_measurement_from(case, [float(average) for average in averages], batch=batch)
    )


def measure_together(engine: Engine, device: str, floats: str, binary: str, ratio: float) -> None:
    """Store measurements in the blocks of one batch, during which the device becomes slower."""
    measure(
        engine, make_case(floats, device), averages=1000 * DRIFT * (1 + NOISE), batch=f"on {device}"
    )
    measure(
        engine,
        make_case(binary, device),
        averages=1000 * ratio * DRIFT * (1 - NOISE),
        batch=f"on {device}",
    )


def test_faster_slower_and_no_difference_found(cli: Cli, engine: Engine) -> None:
    for seed, ratio in ((0, 0.25), (1, 1.03), (2, 1.0)):
        measure_together(engine, "pi4", *train(engine, seed), ratio)
    measure_together(engine, "pi5", *train(engine), 0.8)
    compared = cli.run("compare", "float32", "binary")
    assert compared.returncode == 0, compared.stderr
    _, heading, *lines = compared.stdout.splitlines()
    assert "verdict" in heading
    assert "smallest change" in heading
    lines_by_variant = {line.split()[3]: line for line in lines if line.startswith("pi4  ")}
    for variant, verdict in (
        ("seed=0", "faster"),
        ("seed=1", "slower"),
        ("seed=2", "no difference found"),
    ):
        assert verdict in lines_by_variant[variant]
        assert "-5.0 points (-" in lines_by_variant[variant]
    assert "× 0.25 (0.2" in lines_by_variant["seed=0"]
    sentences = [line for line in lines if line.startswith(("pi4, 1 thread:", "pi5, 1 thread:"))]
    assert (
        "binary is faster in 1 of 3 variants (× 0.25), slower in 1 (× 1.03), "
        "no difference found in 1 (" in sentences[0]
    )
    assert "% would have been detected)." in sentences[0]
    assert sentences[1] == "pi5, 1 thread: binary is faster in 1 of 1 variant (× 0.8)."
    assert " apart" not in compared.stdout


def test_a_small_change_shows_in_spite_of_a_drift_that_affects_both(
    cli: Cli, engine: Engine
) -> None:
    """The device becomes 60 % slower meanwhile, and 3 % still show, but not in separate batches."""
    floats, binary = train(engine)
    measure_together(engine, "pi4", floats=floats, binary=binary, ratio=1.03)
    together = cli.run(
        "compare", "float32", "binary", "--metric", "latency", "--fail-on-regression", "1%"
    )
    assert together.returncode == 1
    assert "latency on pi4, 1 thread" in together.stderr
    assert "3.0% worse, more than the limit of 1.0%." in together.stderr
    assert "would not have been detected" not in together.stderr

    later = train(engine, seed=1)
    for artifact, factor, batch in zip(later, (1000, 1030), ("one", "another"), strict=True):
        measure(
            engine, make_case(artifact, "pi4"), averages=factor * DRIFT * (1 + NOISE), batch=batch
        )
    separate = cli.run("compare", *later, "--metric", "latency", "--fail-on-regression", "1%")
    assert separate.returncode == 0
    assert "no difference found" in separate.stdout
    assert "pi4: measured under a minute apart" in separate.stdout
    (warning,) = separate.stderr.splitlines()
    assert warning.startswith(
        "latency on pi4, 1 thread: "
        "a change of 1.0% would not have been detected in 1 of 1 comparison"
    )
    assert "--protocol thorough" in warning


def store_batches_with_a_reference(engine: Engine) -> tuple[str, str]:
    """Measure twins in two batches, and a third artifact in both.

    Return the ids of the float twin and of the third, the reference.

    The binary twin is 10 % faster. The device is 30 % slower in its batch.
    """
    floats, binary = train(engine)
    reference, _ = train(engine, seed=1)
    for artifact, factor, batch in (
        (floats, 1000.0, "first"),
        (reference, 400.0, "first"),
        (binary, 900.0 * 1.3, "second"),
        (reference, 400.0 * 1.3, "second"),
    ):
        noise = NOISE[::-1] if artifact == reference else NOISE
        measure(
            engine,
            make_case(artifact, "pi4"),
            averages=factor * DRIFT * (1 + noise),
            batch=batch,
        )
    return floats, reference


def test_twins_of_two_batches_are_compared_through_a_reference(cli: Cli, engine: Engine) -> None:
    """The faster twin would seem to be slower if there were no reference."""
    _, reference = store_batches_with_a_reference(engine)
    ask = ("compare", "float32", "binary", "--metric", "latency")
    table = cli.run(*ask).stdout
    assert "binary is faster in 1 of 1 variant (× 0.9)." in table
    words = f"compared through {reference[:12]}, measured under a minute apart"
    assert f"pi4: {words}" in table
    assert f"through {reference[:12]}" in table.split(words)[0], "the table's own column"
    assert words in cli.run(*ask, "--format", "markdown").stdout.replace("\\", "")
    (suite,) = JUnitXml.fromstring(cli.run(*ask, "--format", "junit").stdout)
    (case,) = suite
    assert words in case.system_out
    (line,) = cli.run(*ask, "--format", "json").stdout.splitlines()
    row = json.loads(line)
    assert row["ratio"] == pytest.approx(0.9, rel=0.01)
    assert row["ratio_low"] < row["ratio"] < row["ratio_high"] < 1
    assert (row["basis"], row["reference_artifact"]) == ("through a reference", reference)
    assert row["differences"] == words


def test_the_reference_itself_is_compared_in_the_batch_of_the_other(
    cli: Cli, engine: Engine
) -> None:
    floats, reference = store_batches_with_a_reference(engine)
    compared = cli.run("compare", reference, floats, "--metric", "latency")
    assert f"{floats} is slower in 1 of 1 variant (× 2.5)." in compared.stdout
    assert (
        "pi4: compared in a batch that both share, newest measured under a minute apart"
        in compared.stdout
    )


def test_a_slowdown_under_the_limit_passes(cli: Cli, engine: Engine) -> None:
    measure_together(engine, "pi4", *train(engine), 1.03)
    passed = cli.run(
        "compare", "float32", "binary", "--metric", "latency", "--fail-on-regression", "10%"
    )
    assert (passed.returncode, passed.stderr) == (0, "")


@pytest.mark.parametrize(("limit", "code"), [("5%", 1), ("6%", 0)])
def test_an_accuracy_regresses_by_its_share(
    cli: Cli, engine: Engine, limit: str, code: int
) -> None:
    measure_together(engine, "pi4", *train(engine), 1.0)
    ended = cli.run(
        "compare", "float32", "binary", "--metric", "accuracy", "--fail-on-regression", limit
    )
    assert ended.returncode == code
    assert ("5.3% worse" in ended.stderr) == (code == 1)


def test_measurements_from_before_there_were_blocks_still_compare(cli: Cli, engine: Engine) -> None:
    floats, binary = train(engine, with_answers=False)
    measure(engine, make_case(floats, "pi4"), averages=1000 * (1 + NOISE))
    measure(engine, make_case(binary, "pi4"), averages=500 * (1 - NOISE))
    compared = cli.run("compare", "float32", "binary")
    assert compared.returncode == 0, compared.stderr
    assert "binary is faster in 1 of 1 variant (× 0.5)." in compared.stdout
    assert "-5.0 points  " in compared.stdout, (
        "no interval: it is unknown which images were classified correctly"
    )


def test_different_conditions_of_two_measurements_are_reported(cli: Cli, engine: Engine) -> None:
    floats, binary = train(engine)
    measure(engine, make_case(floats, "pi4"), averages=1000 * (1 + NOISE), batch="on pi4")
    tool, protocol = replace(TOOL, sha256="4d5e6f" + "0" * 58), PROTOCOLS["standard"]
    measure(
        engine,
        replace(make_case(binary, "pi4"), tool=tool, protocol=protocol),
        averages=500 * (1 - NOISE),
        batch="on pi4",
    )
    compared = cli.run("compare", "float32", "binary")
    assert compared.returncode == 0, compared.stderr
    assert compared.stdout.splitlines()[-2:] == [
        f"pi4: tool python_runner: {TOOL.sha256[:6]}… → 4d5e6f…",
        "pi4: protocol quick → standard",
    ]


def test_the_measurements_with_the_most_similar_conditions_are_compared(
    cli: Cli, engine: Engine
) -> None:
    floats, binary = train(engine)
    measure_together(engine, "pi4", floats=floats, binary=binary, ratio=0.5)
    thorough = replace(make_case(binary, "pi4"), protocol=PROTOCOLS["thorough"])
    measure(engine, thorough, averages=2000 * (1 + NOISE), batch="another")
    compared = cli.run("compare", "float32", "binary", "--metric", "latency")
    assert "binary is faster in 1 of 1 variant (× 0.5)." in compared.stdout.splitlines()[-1]


def test_model_files_compare_without_accuracy(cli: Cli, engine: Engine) -> None:
    rows = TrialRows(engine)
    for name, latency in (("old.tflite", 100.0), ("new.tflite", 101.0)):
        artifact = make_artifact(name.encode(), accuracy=None, agreement=None)
        rows.add_artifact(artifact, name)
        measure(engine, make_case(artifact.sha256), averages=[latency] * 2)
    compared = cli.run("compare", "old.tflite", "new.tflite", "--fail-on-regression", "5%")
    assert compared.returncode == 0, compared.stderr
    assert "unknown in 1 of 1 variant (too few or too short runs to tell)." in compared.stdout
    assert "a change of 5.0% would not have been detected in 1 of 1 comparison" in compared.stderr


def test_a_regression_is_reported_to_a_ci_server(cli: Cli, engine: Engine) -> None:
    measure_together(engine, "pi4", *train(engine), 1.03)
    file = cli.home / "compare.xml"
    limited = ("compare", "float32", "binary", "--metric", "latency", "--fail-on-regression", "1%")
    ended = cli.run(*limited, "--format", "junit", "--out", file)
    assert (ended.returncode, ended.stdout) == (1, "")
    (suite,) = JUnitXml.fromfile(str(file))
    assert suite.failures == 1
    (sentence,) = ended.stderr.splitlines()
    assert sentence in file.read_text()
    markdown = cli.run(*limited, "--format", "markdown")
    assert markdown.returncode == 1
    assert f"- Regression: {sentence}" in markdown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "html"), "--format html: unknown format; use table, json, junit, markdown."),
        (
            ("--out", "table.txt"),
            "--out table.txt: needs --format json or junit or markdown; a table is only printed.",
        ),
    ],
)
def test_an_unknown_format_is_refused_before_anything_is_read(
    cli: Cli, arguments: tuple[str, ...], message: str
) -> None:
    ended = cli.run("compare", "float32", "binary", *arguments)
    assert ended.returncode == 2
    assert ended.stderr == f"error: {message}\n"
