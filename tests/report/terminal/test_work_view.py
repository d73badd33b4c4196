"""The table of work under way, as text on screens of fixed sizes."""

import io

import pytest
from rich.console import Console

from harness.report.terminal.estimate import Remaining
from harness.report.terminal.work_view import (
    ArtifactsView,
    DeviceState,
    DeviceView,
    FrontPoint,
    SweepView,
    TrialView,
    WorkView,
    render_view,
)

TRIAL = TrialView(
    "0c6d6f1ea6b4 mlp layers=3 units=256 binary", 3, epochs=10, seconds=12.3, note="loss 0.2"
)
SWEEP = SweepView("digits", 24, done=3, failed=1, running=(TRIAL,), remaining_s=200.0)
BOARD = DeviceView(
    "pi4",
    DeviceState.MEASURING,
    doing="a1b2c3d4e5f6, 1 thread, process 3, does not count: the clock fell to 600 MHz",
    finished=4,
    total=12,
    remaining_s=45.2,
    temperature_c=51.3,
)
POINT = FrontPoint("model.units=128 train.learning_rate=0.003", ("92.1 %", "4.25 ms"))


def draw(view: WorkView, width: int, height: int = 24) -> list[str]:
    """Return the lines of the view on a screen, which it never exceeds."""
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    console.print(render_view(view, width, height=height))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    assert len(lines) < height
    return lines


def test_both_halves_and_the_front_are_one_table_of_80_columns() -> None:
    view = WorkView(
        (SWEEP,),
        ArtifactsView(waiting=2, queued=3, measuring=4),
        devices=(BOARD, DeviceView("here", DeviceState.WAITING, doing="waiting for training")),
        front=(POINT,),
        headings=("accuracy", "latency on pi4"),
        remaining=Remaining(725.0),
    )
    assert draw(view, width=80) == [
        "digits: 3 of 24 trials done, 1 failed, 1 in training, about 3 min 20 s left",
        "trial                                       epoch    time",
        "0c6d6f1ea6b4 mlp layers=3 units=256 binary   3/10  12.3 s  loss 0.2",
        "artifacts: 2 waiting for twins, 3 queued, 4 being measured",
        "device  °C  done    left  doing",
        "pi4     51  4/12  45.2 s  a1b2c3d4e5f6, 1 thread, process 3, does not count: th…",
        "here     –     –       –  waiting for training",
        "best so far                                accuracy  latency on pi4",
        "model.units=128 train.learning_rate=0.003    92.1 %         4.25 ms",
        "trials: 4/24, cases: 4/12: about 12 min 05 s left",
    ]


def test_a_wide_screen_cuts_nothing_off() -> None:
    lines = draw(WorkView((SWEEP,), devices=(BOARD,)), width=160)
    assert TRIAL.name in lines[2]
    assert lines[4].endswith(BOARD.doing)


def test_nothing_is_estimated_before_something_has_ended() -> None:
    view = WorkView((SweepView("digits", 6),))
    assert draw(view, width=80) == [
        "digits: 0 of 6 trials done",
        "trials: 0/6: time left unknown",
    ]


def make_shelf(count: int) -> tuple[DeviceView, ...]:
    """Return so many boards, of which the last two are in trouble and the others have less left."""
    boards = [
        DeviceView(f"board{number:03}", DeviceState.MEASURING, finished=number, total=count)
        for number in range(count - 2)
    ]
    troubled = [
        DeviceView(f"lost{number}", DeviceState.TROUBLED, doing="unreachable")
        for number in range(2)
    ]
    return (*boards, *troubled)


@pytest.mark.parametrize(("height", "rows"), [(60, 20), (24, 16), (12, 4)])
def test_of_200_boards_the_troubled_and_the_busiest_are_names(height: int, rows: int) -> None:
    lines = draw(WorkView((SWEEP,), devices=make_shelf(200)), width=80, height=height)
    names = [line.split()[0] for line in lines if line.startswith(("board", "lost"))]
    assert names == [*(f"board{number:03}" for number in range(rows - 2)), "lost0", "lost1"]
    assert f"… and {200 - rows} more: {200 - rows} measuring" in lines


def test_many_lost_boards_leave_room_for_those_that_work() -> None:
    lost = [DeviceView(f"lost{number}", DeviceState.TROUBLED) for number in range(100)]
    lines = draw(WorkView(devices=(*lost, *make_shelf(30)[:28])), width=80, height=40)
    names = [line.split()[0] for line in lines]
    assert sum(name.startswith("lost") for name in names) == 10
    assert sum(name.startswith("board") for name in names) == 10
    assert "… and 108 more: 90 in trouble, 18 measuring" in lines


def test_long_lists_end_with_how_many_are_hidden() -> None:
    running = tuple(TrialView(f"trial{number}", 0, epochs=5) for number in range(60))
    sweep = SweepView("digits", 100, running=running)
    view = WorkView((sweep,), front=(POINT,) * 6, headings=("accuracy", "latency on pi4"))
    lines = draw(view, width=80, height=40)
    assert "… and 52 more trials" in lines
    assert "… and 1 more point" in lines


def test_the_text_of_devices_and_trials_is_not_markup() -> None:
    view = WorkView(devices=(DeviceView("[red]pi[/red]", DeviceState.DONE, doing="a\nb [link]"),))
    lines = draw(view, width=80)
    assert lines[1].startswith("[red]pi[/red]")
    assert lines[1].endswith("a b [link]")
