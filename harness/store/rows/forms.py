"""Forms, and the untrained artifacts that are measured in place of trained ones."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Engine, bindparam, select, update

from harness.core.forms import Form, Latency, SecondLook
from harness.core.ids import to_plain
from harness.core.sweep import Artifact, Failure
from harness.store.database import now, write_transaction
from harness.store.reading import run_query
from harness.store.rows.trials import TrialRows
from harness.store.rows.values import insert_or_replace, is_any_of, make_storable, to_json
from harness.store.tables import forms, trials


class FormRows:
    """Forms, each with its untrained artifact, or with the reason why there is none."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def save(self, form: Form, artifact: Artifact) -> None:
        """Store the untrained artifact of a form; the form's description becomes its name."""
        TrialRows(self._engine).add_artifact(artifact, str(form))
        self._replace(form, artifact=artifact.sha256, reason=None, message=None)

    def fail(self, form: Form, failure: Failure) -> None:
        """Store why a form has no artifact; a later success replaces that."""
        message = make_storable(failure.message)
        self._replace(form, artifact=None, reason=str(failure.reason), message=message)

    def get_artifacts(self, requested: Iterable[Form]) -> dict[str, str]:
        """Return the SHA-256 of those forms that have been built, by the form's id."""
        ids = {form.id for form in requested}
        query = select(forms.c.id, forms.c.artifact).where(
            is_any_of(self._engine.dialect, forms.c.id, values=ids), forms.c.artifact.is_not(None)
        )
        with self._engine.connect() as connection:
            return dict(connection.execute(query).all())

    def link(self, by_trial: Mapping[str, Form]) -> None:
        """Store the form of each trial, by the trial's id. The trials must be stored already."""
        if not by_trial:
            return
        statement = (
            update(trials)
            .where(trials.c.id == bindparam("trial_id"))
            .values(form=bindparam("form_id"))
        )
        rows = [{"trial_id": id, "form_id": by_trial[id].id} for id in sorted(by_trial)]
        with write_transaction(self._engine) as connection:
            connection.execute(statement, rows)

    def list_second_looks(self) -> list[SecondLook]:
        """Return each measured untrained network beside each trained one of its form."""
        rows = run_query(self._engine, "SELECT * FROM second_looks").records()
        return [_make_look(row) for row in rows]

    def _replace(self, form: Form, **outcome: str | None) -> None:
        with write_transaction(self._engine) as connection:
            insert_or_replace(connection, forms, row={**_form_columns(form), **outcome})


def _form_columns(form: Form) -> dict[str, Any]:
    task = form.task
    return {
        "id": form.id,
        "model": form.architecture,
        "parameters": to_json(to_plain(form.parameters)),
        "precision": task.precision.value if task else None,
        "input_shape": json.dumps(task.shape) if task else None,
        "classes": task.classes if task else None,
        "converter": form.converter,
        "built_at": now(),
    }


def _make_look(row: Mapping[str, Any]) -> SecondLook:
    untrained, trained = (
        Latency(row[f"{kind}_us"], row[f"{kind}_low_us"], high_us=row[f"{kind}_high_us"])
        for kind in ("untrained", "trained")
    )
    return SecondLook(
        row["form"],
        row["model"],
        device=row["device"],
        threads=row["threads"],
        untrained=untrained,
        trained=trained,
        same_operators=bool(row["same_operators"]),
    )
