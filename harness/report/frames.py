"""The database as pandas data frames, for notebooks, without importing TensorFlow or Ray.

A `workspace` is a folder (such as HARNESS_HOME), its SQLite file or a database's URL.
None stands for the workspace that the environment names.
A workspace is only read, except that a database of an older version is upgraded first.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.compare.pairs import compare_rows
from harness.core.comparison import Comparison
from harness.core.errors import RequestError, first_line
from harness.report.export.comparisons import tabulate_comparisons
from harness.store import reading
from harness.store.database import close_database, open_upgraded
from harness.store.files.workspace import Workspace, sqlite_url
from harness.store.queries import ParameterValue, load_named_queries

try:
    import pandas as pd
except ModuleNotFoundError as error:
    raise RequestError("Data frames need pandas; run pip install 'bnn-harness[frames]'.") from error

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

_URL = re.compile(r"[a-z][a-z0-9+]*://")
_BOOLEANS = frozenset({"classes_agree", "same_operators", "throttled", "untrained", "valid"})
# The dtype of a column by what pandas infers from its values.
_DTYPES = {
    "integer": "Int64",
    "boolean": "boolean",
    "string": "string",
    **dict.fromkeys(("floating", "mixed-integer-float"), "float64"),
}
# The dtype of a column without a value, by its name; any other is text.
_DTYPES_BY_NAME = {
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
    """Return the view `results`: the newest valid measurement of each case.

    A trial that belongs to several sweeps has a row for each of them.

    Args:
        workspace: Folder, SQLite file or URL of the database. By default the environment names it.
        sweep: Name of the only sweep to return.
        device: Id of the only device to return.
        model: Name of the only model to return.

    Returns:
        The rows by device, threads and size, with all columns of the view (see `docs/schema.md`).
        Among them are `accuracy` (0 to 1), `latency_us`, `latency_low_us` and `latency_high_us`
        (µs), `size_bytes` (bytes), `energy_uj` (µJ) and `measured_at` (a datetime in UTC).
        Integers have the dtype `Int64`, texts `string`.
        `parameters` and `recipe` are JSON; `expanded` turns them into columns.

    Raises:
        WorkspaceError: There is no database, or it cannot be opened.
        RequestError: A time in the database is not a time.
    """
    with open_reader(workspace) as reader:
        return read_results(reader, sweep=sweep, device=device, model=model)


def read_results(reader: "Engine", **filters: str | None) -> pd.DataFrame:
    """Return `results` from an open database; a filter is a column and its only value."""
    values = {column: value for column, value in filters.items() if value is not None}
    conditions = " AND ".join(f"{column} = :{column}" for column in values)
    condition = f"WHERE {conditions}" if conditions else ""
    order = "ORDER BY device, threads, size_bytes, artifact, sweep"
    sql = f"SELECT * FROM results {condition} {order}"  # noqa: S608  (the callers name the columns)
    return run_query(reader, sql, **values)


def query(
    question: str, workspace: Path | str | None = None, **parameters: ParameterValue
) -> pd.DataFrame:
    """Return the answer to a named query or to SQL.

    Args:
        question: Name of a query, such as `pareto` (`harness query` lists them), or a SELECT.
        workspace: Folder, SQLite file or URL of the database. By default the environment names it.
        **parameters: Values of the query's parameters. In SQL, `:device` is replaced by the value
            of `device="pi4"`.

    Returns:
        The rows, with the columns that the query selects. Their names end in their units.

    Raises:
        WorkspaceError: There is no database, or it cannot be opened.
        RequestError: The database refuses the SQL, or the query has no such parameter.
    """
    with open_reader(workspace) as reader:
        return run_query(reader, question, **parameters)


def run_query(reader: "Engine", question: str, **parameters: ParameterValue) -> pd.DataFrame:
    """Return the answer of an open database to a named query or to SQL."""
    named = load_named_queries().get(question)
    if named is not None:
        values = named.parse_values(parameters)
        return _make_frame(reading.run_query(reader, named.sql, values=values))
    return _make_frame(reading.run_query(reader, question, values=parameters or None))


def compare(baseline: str, candidate: str, workspace: Path | str | None = None) -> pd.DataFrame:
    """Return a row for each pair of measurements that `harness compare` finds.

    Args:
        baseline: What to compare with: a precision, trial, artifact or model file.
        candidate: What to judge, given in the same way.
        workspace: Folder, SQLite file or URL of the database. By default the environment names it.

    Returns:
        A row for each pair, with these columns:

        - `device`, `threads`, `variant`, `model`: what was compared, and on what.
        - `baseline_artifact`, `candidate_artifact`: SHA-256 of the model files.
        - `baseline_latency_us`, `candidate_latency_us`: µs.
        - `ratio`, `ratio_low`, `ratio_high`: candidate / baseline latency, and its 95 % interval.
        - `verdict`: `faster`, `slower`, `no difference found` or `unknown`.
        - `basis`: how latencies were compared, `block by block`, `through a reference` that both
          batches measured, or `apart`.
        - `reference_artifact`: SHA-256 of the reference, if there is one.
        - `p`: two-sided, adjusted for the number of pairs.
        - `smallest_change`: the smallest detectable change of the latency, as a share of 1.
        - `size_ratio`: candidate / baseline size.
        - `baseline_accuracy`, `candidate_accuracy`: 0 to 1.
        - `accuracy_difference`, `accuracy_difference_low`, `accuracy_difference_high`:
          candidate minus baseline, in shares of 1, and its 95 % interval.
        - `differences`: what else differs between the two measurements, in words.

    Raises:
        WorkspaceError: There is no database, or it cannot be opened.
        RequestError: `baseline` or `candidate` selects no result, or no two results match.
    """
    with open_reader(workspace) as reader:
        rows = reading.read_results(reader, selectors=(baseline, candidate))
        return frame_comparisons(compare_rows(reader, rows, baseline=baseline, candidate=candidate))


def twins(workspace: Path | str | None = None) -> pd.DataFrame:
    """Return each binary result beside its float32 twin, as `compare("float32", "binary")` does.

    Twins are networks trained in the same way at two precisions.
    If two people trained one trial, their artifacts may differ.
    The artifact that was measured last on a device then counts.

    Args:
        workspace: Folder, SQLite file or URL of the database. By default the environment names it.

    Returns:
        The columns of `compare`; empty if no twins were measured.

    Raises:
        WorkspaceError: There is no database, or it cannot be opened.
        RequestError: A time in the database is not a time.
    """
    with open_reader(workspace) as reader:
        return find_twins(reader, read_results(reader))


def find_twins(reader: "Engine", rows: pd.DataFrame) -> pd.DataFrame:
    """Return the twins among these rows of `results`, as `twins` does."""
    candidates = rows[rows["precision"].isin(["float32", "binary"])].drop_duplicates(
        ["case_id", "trial"]
    )
    key = [candidates[name] for name in ("device", "threads", "twin", "format", "precision")]
    newest = candidates.sort_values("measured_at").groupby(key)["artifact"].transform("last")
    newest_rows = candidates[candidates["artifact"] == newest[candidates.index]]
    times = [time.isoformat() for time in newest_rows["measured_at"]]
    plain = to_records(newest_rows.assign(measured_at=times), list(newest_rows.columns))
    try:
        return frame_comparisons(
            compare_rows(reader, plain, baseline="float32", candidate="binary")
        )
    except RequestError:  # no twins were measured
        return pd.DataFrame()


def to_records(rows: pd.DataFrame, columns: Sequence[str]) -> list[dict[Any, Any]]:
    """Return the rows as dictionaries, in which a missing value is None."""
    plain = rows[list(columns)].astype(object)
    return list(plain.where(plain.notna(), None).to_dict("records"))


def frame_comparisons(compared: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row for each of one or more comparisons, with the columns of `compare`."""
    columns, values = tabulate_comparisons(compared)
    return _make_frame(reading.QueryResult(columns, values))


def expanded(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a column for each setting in `parameters` and `recipe`.

    Args:
        rows: Rows with the columns `parameters` and `recipe`, as `results` returns them.

    Returns:
        The rows and their columns, followed by such columns as `units` and `learning_rate`.
        A setting with the name of another column gets the suffix `_setting`.
        A setting that a row does not have is missing there.
    """
    parameters, recipes = (
        rows[name].map(json.loads, na_action="ignore") for name in ("parameters", "recipe")
    )
    settings = [_merge(*pair) for pair in zip(parameters, recipes, strict=True)]
    return rows.join(pd.DataFrame(settings, index=rows.index), rsuffix="_setting")


def _merge(*settings: Any) -> dict[str, Any]:
    """Merge the dictionaries; a model file of the user's own has missing values instead."""
    merged: dict[str, Any] = {}
    for part in settings:
        if isinstance(part, dict):
            merged.update(part)
    return merged


@contextmanager
def open_reader(workspace: Path | str | None) -> "Iterator[Engine]":
    """Open a workspace's database for reading, and upgrade it first if it is older.

    Raises WorkspaceError if there is none.
    """
    reader = open_upgraded(_url_of(workspace))
    try:
        yield reader
    finally:
        close_database(reader)


def _url_of(workspace: Path | str | None) -> "str | URL":
    if workspace is None:
        return Workspace.from_environment().database_url
    if isinstance(workspace, str) and _URL.match(workspace):
        return workspace
    path = Path(workspace).absolute()
    return sqlite_url(path if path.is_file() else path / "harness.db")


def _make_frame(rows: reading.QueryResult) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values), columns=list(rows.columns), dtype=object)
    return pd.DataFrame({name: _convert(frame[name]) for name in rows.columns})


def _convert(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column with the dtype that suits its name and values."""
    name = str(column.name)
    if name.endswith("_at"):
        return _parse_times(column)
    if name in _BOOLEANS:
        return column.astype("boolean")
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred == "empty":
        return column.astype(_guess_dtype(name))
    return column.astype(_DTYPES.get(inferred, "object"))


def _parse_times(column: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        return pd.to_datetime(column, utc=True, format="ISO8601").dt.as_unit("us")
    except (ValueError, TypeError) as error:
        raise RequestError(
            f"Column {column.name} has a value that is not a time ({first_line(error)}). "
            "The harness did not write it; correct or delete that row."
        ) from error


def _guess_dtype(name: str) -> str:
    """Return the dtype that a column of this name would have if it had a value."""
    return next(
        (dtype for dtype, names in _DTYPES_BY_NAME.items() if names.fullmatch(name)), "string"
    )
