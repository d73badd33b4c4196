"""The networks of a search's trials: untrained ones at first, trained ones in the end."""

from collections.abc import Callable, Mapping

from harness.core.forms import Form
from harness.core.rating import RatedNetwork
from harness.core.sweep import Artifact, Failure, Trial
from harness.pipeline.first_looks import FirstLooks
from harness.pipeline.look_checks import LookChecks
from harness.sweep.results import TrainedNetwork, compute_means
from harness.sweep.study import SearchPoint
from harness.training.events import Failed, Finished, Stopped, SweepEvent


class Networks:
    """All networks of a search, by their trials.

    `ends` has the trials that ended without a network.
    """

    def __init__(
        self, looks: FirstLooks, checks: LookChecks, find_form: Callable[[Trial], Form | None]
    ) -> None:
        self._looks = looks
        self._checks = checks
        self._find_form = find_form
        self._forms: dict[str, Form] = {}
        self._trained: dict[str, TrainedNetwork] = {}
        self.ends: dict[str, Failure] = {}

    def begin(self, point: SearchPoint, trained: Mapping[str, TrainedNetwork]) -> dict[str, Form]:
        """Take in a point, of which some trials may be done, and return its forms by trial.

        It has none if the first looks of its architecture are not trusted.
        """
        forms: dict[str, Form] = {}
        for trial in point.trials:
            form = self._find_form(trial)
            if form is not None and self._checks.trusts(trial.architecture):
                forms[trial.id] = form
        self._forms |= forms
        self._trained |= trained
        return forms

    def note(self, event: SweepEvent) -> None:
        """Take note of the end of a trial."""
        match event:
            case Finished(trial=trial, outcome=outcome):
                network = TrainedNetwork.of_outcome(trial, outcome)
                self._trained[trial.id] = network
                if untrained := self._find_untrained(trial):
                    self._checks.expect(trial, untrained, trained=network)
            case Failed(trial=trial, failure=failure) | Stopped(trial=trial, cause=failure):
                self.ends[trial.id] = failure

    def is_trained(self, trial: Trial) -> bool:
        return trial.id in self._trained

    def has_ended(self, trial: Trial) -> bool:
        return trial.id in self._trained or trial.id in self.ends

    def find_failure(self, point: SearchPoint) -> Failure | None:
        """Return why an untrained network of a point can't be built, if one can't."""
        for trial in point.trials:
            form = self._forms.get(trial.id)
            if form is not None and form.id in self._looks.failures:
                return self._looks.failures[form.id]
        return None

    def list_untrained(self, point: SearchPoint) -> list[str] | None:
        """Return the untrained artifacts of a point, or None until all are built."""
        forms = [self._forms[trial.id] for trial in point.trials if trial.id in self._forms]
        artifacts = [self._looks.artifacts.get(form.id) for form in forms]
        built = [artifact.sha256 for artifact in artifacts if artifact is not None]
        return built if len(built) == len(forms) else None

    def list_networks(self, point: SearchPoint) -> list[RatedNetwork]:
        """Return the networks by which a point is rated.

        Their devices measure untrained ones as long as first looks are trusted. Their sizes are
        those of the trained ones as soon as these are there.
        """
        return [self._find_network(trial) for trial in point.trials]

    def average(self, point: SearchPoint) -> dict[str, float]:
        """Return the means of a trained point (see `compute_means`)."""
        return compute_means([self._trained[trial.id] for trial in point.trials])

    def _find_network(self, trial: Trial) -> RatedNetwork:
        name = f"{trial.architecture} {trial.precision}"
        trained, untrained = self._trained.get(trial.id), self._find_untrained(trial)
        if self.expects_look(trial):
            artifact = untrained.sha256 if untrained else None
        else:
            artifact = trained.artifact if trained else None
        size = trained or untrained
        return RatedNetwork(name, artifact, size_bytes=size.size_bytes if size else None)

    def expects_look(self, trial: Trial) -> bool:
        """Return whether the numbers of a trial are those of its untrained network."""
        return trial.id in self._forms and self._checks.trusts(trial.architecture)

    def _find_untrained(self, trial: Trial) -> Artifact | None:
        form = self._forms.get(trial.id)
        return self._looks.artifacts.get(form.id) if form else None
