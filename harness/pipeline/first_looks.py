"""First looks: networks that are built untrained, so that devices can measure them in advance."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from harness.conversion.anatomy import describe_file
from harness.conversion.convert import name_converter
from harness.core.forms import Form
from harness.core.sweep import Artifact, Failure, Trial
from harness.data import Dataset
from harness.store.files.artifacts import ArtifactFiles, FileState
from harness.store.rows.forms import FormRows
from harness.training.form_builder import Built

BuildForm = Callable[[Form], "Future[Built]"]


def find_form(trial: Trial, dataset: Dataset) -> Form:
    """Return the form of a trial, whose images and classes are those of its data set."""
    converter = name_converter(trial.precision)
    return Form.of_trial(trial, dataset.shape, dataset.classes, converter=converter)


class FirstLooks:
    """The untrained artifacts of forms: each is built and stored once, whatever asks for it.

    One thread calls the methods, as they write rows. `build` builds forms in the background.
    """

    def __init__(self, rows: FormRows, files: ArtifactFiles, build: BuildForm) -> None:
        self._rows = rows
        self._files = files
        self._build = build
        self._building: dict[str, tuple[Form, Future[Built]]] = {}
        self.artifacts: dict[str, Artifact] = {}
        """The artifacts that stand, by the id of their form."""
        self.failures: dict[str, Failure] = {}
        """Why a form has no artifact, by its id."""

    def request(self, forms: Iterable[Form]) -> None:
        """Have forms built, unless their files are here already."""
        for form in forms:
            is_known = form.id in self.artifacts or form.id in self.failures
            if not is_known and form.id not in self._building and not self._find_stored(form):
                self._building[form.id] = form, self._build(form)

    def collect(self) -> None:
        """Store the forms whose building has ended since the last call."""
        for form, future in list(self._building.values()):
            if future.done():
                del self._building[form.id]
                self._store(form, future.result())

    def _find_stored(self, form: Form) -> bool:
        sha256 = self._rows.get_artifacts([form]).get(form.id)
        if sha256 is None or self._files.state(sha256) is not FileState.INTACT:
            return False
        self.artifacts[form.id] = describe_file(self._files.path(sha256).read_bytes())
        return True

    def _store(self, form: Form, built: Built) -> None:
        if isinstance(built, Failure):
            self._rows.fail(form, built)
            self.failures[form.id] = built
            return
        self._files.save(built)
        artifact = describe_file(built)
        self._rows.save(form, artifact)
        self.artifacts[form.id] = artifact
