"""The database as pandas data frames, for notebooks: neither TensorFlow nor Ray is imported.

A `workspace` is a folder (as HARNESS_HOME), its SQLite file, a database's URL, or None for the one that the environment
names. It is only read, but for a database of an older version, which is upgraded first. Raises WorkspaceError where
there is none.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compare.pairs import compare_rows
from harness.core.comparison import Comparison, Estimate
from harness.core.errors import RequestError, first_line
from harness.report.variants import label_rows
from harness.store import reading as stored
from harness.store.database import open_upgraded
from harness.store.files.workspace import Workspace
from harness.store.queries import ParameterValue, load_named_queries

try:
    import pandas as pd
except ModuleNotFoundError as error:
    raise RequestError("Data frames need pandas; pip install 'bnn-harness[frames]'.") from error

if TYPE_CHECKING:
    from sqlalchemy import Engine

_BOOLEANS = frozenset({"classes_agree", "throttled", "valid"})
# By pandas's words for what a column's values are.
_KINDS = {
    "integer": "Int64",
    "boolean": "boolean",
    "string": "string",
    **dict.fromkeys(("floating", "mixed-integer-float"), "float64"),
}
_NUMBERS = {
    "Int64": re.compile(r".*_(bytes|macs|runs)|measurement_id|seed|params|threads|runs"),
    "float64": re.compile(
        r".*_(us|uj|uw|c|khz|s|ratio|low|high|difference|change)|ratio|p|accuracy|agreement"
    ),
}


def results(
    workspace: Path | str | None = None,
    *,
    sweep: str | None = None,
    device: str | None = None,
    model: str | None = None,
) -> pd.DataFrame:
    """The view `results`, or its rows of a sweep, device and model; a trial of several sweeps has a row for each.

    Times are datetimes in UTC, whole numbers `Int64`, text is `string`; `parameters` and `recipe` are JSON, which
    `expanded` takes apart.
    """
    with reading(workspace) as reader:
        return results_of(reader, sweep=sweep, device=device, model=model)


def results_of(reader: "Engine", **given: str | None) -> pd.DataFrame:
    """As `results`, of a database that is open."""
    wanted = {column: value for column, value in given.items() if value is not None}
    where = f"WHERE {' AND '.join(f'{column} = :{column}' for column in wanted)}" if wanted else ""
    order = "ORDER BY device, threads, size_bytes, artifact, sweep"
    return answer(reader, f"SELECT * FROM results {where} {order}", **wanted)  # noqa: S608  (names are from here)


def query(
    question: str, workspace: Path | str | None = None, **parameters: ParameterValue
) -> pd.DataFrame:
    """The answer to a named query, or to SQL of one's own, in which `:device` stands for `device="pi4"`.

    Raises RequestError where the database refuses it, or the query has no such parameter.
    """
    with reading(workspace) as reader:
        return answer(reader, question, **parameters)


def answer(reader: "Engine", question: str, **parameters: ParameterValue) -> pd.DataFrame:
    """As `query`, of a database that is open."""
    named = load_named_queries().get(question)
    if named is not None:
        return _frame(stored.run_query(reader, named.sql, values=named.parse_values(parameters)))
    return _frame(stored.run_query(reader, question, values=parameters or None))


def compare(baseline: str, candidate: str, workspace: Path | str | None = None) -> pd.DataFrame:
    """One row a pair, as `harness compare` finds them; ratios are candidate / baseline.

    Differences are candidate minus baseline; `p` is adjusted for how many pairs there are; `smallest_change` and the
    accuracies are shares of 1; `differences` says in words what else differs. Raises RequestError where a word selects
    nothing, or nothing matches.
    """
    with reading(workspace) as reader:
        return of_comparisons(
            compare_rows(
                reader, stored.read_results(reader), baseline=baseline, candidate=candidate
            )
        )


def twins(workspace: Path | str | None = None) -> pd.DataFrame:
    """Each binary result beside its float32 twin, as `compare("float32", "binary")` has them; no row where none is.

    Where two people trained one trial, and its artifacts differ, the one that was measured last on a device counts.
    """
    with reading(workspace) as reader:
        return twins_among(reader, results_of(reader))


def twins_among(reader: "Engine", rows: pd.DataFrame) -> pd.DataFrame:
    """Those among these rows of `results`."""
    held = rows[rows["precision"].isin(["float32", "binary"])].drop_duplicates(["case_id", "trial"])
    place = [held[name] for name in ("device", "threads", "twin", "format", "precision")]
    newest = held.sort_values("measured_at").groupby(place)["artifact"].transform("last")
    once = held[held["artifact"] == newest[held.index]]
    told = once.assign(measured_at=[at.isoformat() for at in once["measured_at"]])
    try:
        return of_comparisons(
            compare_rows(
                reader, records(told, list(told.columns)), baseline="float32", candidate="binary"
            )
        )
    except RequestError:  # nothing was measured so
        return pd.DataFrame()


def records(rows: pd.DataFrame, columns: Sequence[str]) -> list[dict[Any, Any]]:
    """What is missing is None."""
    plain = rows[list(columns)].astype(object)
    return list(plain.where(plain.notna(), None).to_dict("records"))


def of_comparisons(found: Sequence[Comparison]) -> pd.DataFrame:
    """A row for each of at least one."""
    names = label_rows([one.pair.candidate for one in found])
    rows = [_compared(one, name) for one, name in zip(found, names, strict=True)]
    return _frame(stored.QueryResult(tuple(rows[0]), tuple(tuple(row.values()) for row in rows)))


def expanded(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column more for each setting of their `parameters` and `recipe`, as `units`, `learning_rate`."""
    columns = (rows[name].map(json.loads, na_action="ignore") for name in ("parameters", "recipe"))
    settings = [
        {name: value for one in both if isinstance(one, dict) for name, value in one.items()}
        for both in zip(*columns, strict=True)
    ]
    return rows.join(pd.DataFrame(settings, index=rows.index), rsuffix="_setting")


@contextmanager
def reading(workspace: Path | str | None) -> "Iterator[Engine]":
    opened = open_upgraded(_url(workspace))
    try:
        yield opened
    finally:
        opened.dispose()


def _url(workspace: Path | str | None) -> str:
    if workspace is None:
        return Workspace.from_environment().database_url
    if "://" in str(workspace):
        return str(workspace)
    given = Path(workspace).absolute()
    return f"sqlite:///{given if given.is_file() else given / 'harness.db'}"


def _frame(rows: stored.QueryResult) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values), columns=list(rows.columns), dtype=object)
    return pd.DataFrame({name: _typed(frame[name]) for name in rows.columns})


def _typed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    name = str(column.name)
    if name.endswith("_at"):
        return _times(column)
    if name in _BOOLEANS:
        return column.astype("boolean")
    held = pd.api.types.infer_dtype(column, skipna=True)
    return column.astype(_kind_of(name) if held == "empty" else _KINDS.get(held, "object"))


def _times(column: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        return pd.to_datetime(column, utc=True, format="ISO8601").dt.as_unit("us")
    except (ValueError, TypeError) as error:
        words = "whoever wrote that row, it was not the harness; correct or delete it"
        raise RequestError(f"{column.name}: {first_line(error)}; {words}.") from error


def _kind_of(name: str) -> str:
    """Of a column without a single value, by its name: what it would hold."""
    return next((kind for kind, names in _NUMBERS.items() if names.fullmatch(name)), "string")


def _compared(one: Comparison, label: str) -> dict[str, Any]:
    old, new, accuracy = (
        one.pair.baseline,
        one.pair.candidate,
        one.accuracy or Estimate(float("nan")),
    )
    return {
        **{name: new[name] for name in ("device", "threads")},
        "variant": label,
        "model": new["model"],
        "baseline_artifact": old["artifact"],
        "candidate_artifact": new["artifact"],
        "baseline_latency_us": old["latency_us"],
        "candidate_latency_us": new["latency_us"],
        "ratio": one.latency.value,
        "ratio_low": one.latency.low,
        "ratio_high": one.latency.high,
        "verdict": str(one.verdict),
        "p": one.p,
        "smallest_change": one.latency.smallest_change,
        "size_ratio": one.size.value,
        "baseline_accuracy": old["accuracy"],
        "candidate_accuracy": new["accuracy"],
        "accuracy_difference": accuracy.value,
        "accuracy_difference_low": accuracy.low,
        "accuracy_difference_high": accuracy.high,
        "differences": "; ".join(one.pair.differences),
    }
