"""The output of a training and a bench that run at once."""

from dataclasses import dataclass

from rich.console import Console

from harness.cli.actions.bench import BenchReporter
from harness.cli.actions.search_report import SearchReporter
from harness.cli.actions.training import TrainingReporter
from harness.pipeline.run import DeviceTrains, PipelineEvent
from harness.pipeline.search_events import SearchEvent
from harness.report.terminal.work import WorkProgress
from harness.training.events import TrialEvent


@dataclass(frozen=True)
class PipelineReporter:
    """The reporters of both halves, and that of a search that hears devices."""

    progress: WorkProgress
    training: TrainingReporter
    bench: BenchReporter
    search: SearchReporter | None = None

    @property
    def failures(self) -> int:
        return self.training.failures + self.bench.failures

    def summarise(self, out: Console) -> None:
        """Print what was trained, and what a search made of it."""
        self.training.summarise()
        if self.search is not None:
            for line in self.search.summarise():
                out.print(line, soft_wrap=True)

    def report(self, event: PipelineEvent) -> None:
        if isinstance(event, DeviceTrains):
            id = event.device.id
            line = f"{id}: trains, too, so it is measured when training is over."
            self.progress.hold(id, line)
        elif isinstance(event, TrialEvent):
            self.training.report(event)
        elif isinstance(event, SearchEvent):
            if self.search is not None:
                self.search.report(event)
        else:
            self.bench.report(event)
