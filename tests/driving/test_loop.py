"""The loop, with an engine and a channel that are made up: what is obeyed, what is published, and how it ends."""

import threading
import time
from collections import deque

import numpy as np
import pytest

from napari_cryospin.driving import loop
from napari_cryospin.driving.loop import drive
from napari_cryospin.driving.publisher import Budget
from napari_cryospin.engine.images import Interrupted
from napari_cryospin.engine.switching import SwitchAdvice
from napari_cryospin.engine.symmetry_change import SymmetryChange
from napari_cryospin.geometry.symmetry import point_group
from napari_cryospin.runs.messages import Command, RefusedError
from napari_cryospin.runs.results import Results
from napari_cryospin.runs.snapshot import Snapshot
from napari_cryospin.runs.verdict import Verdict
from napari_cryospin.runs.waiting import WAITS_FOR_SWITCH
from napari_cryospin.settings import MachineSettings, Settings
from support.records import epoch_record, particle_record

STEPS_PER_EPOCH = 5
N = 4


@pytest.fixture(autouse=True)
def made_up_commands(monkeypatch):
    """The made-up engine carries out its commands itself."""
    monkeypatch.setattr(loop, "Commands", lambda reconstruction: reconstruction)


class FakeReconstruction:
    """An engine that computes nothing."""

    def __init__(self, epochs=4, step_time=0.0, snapshot_time=0.0, fail_at=None, due_at=99):
        self.stage = "auto-encoding"
        self.step = self.epoch = 0
        self.epochs = epochs
        self.epoch_ended = False
        self.step_time, self.snapshot_time, self.fail_at, self.due_at = step_time, snapshot_time, fail_at, due_at
        self.inside_a_step = False
        self.snapshots = self.comparisons = 0
        self.half_sets, self.resolution, self.band = None, float("nan"), 9.0
        self.whole_state = None
        self.by_hand = False
        self.symmetry, self.looks_like = point_group("C1"), ""
        self.news = []
        self.symmetries = []  # What is taken at the end of each epoch from the second on; None: nothing after all.

    @property
    def waits_for_switch(self):
        return self.by_hand and self.finished and self.stage == "auto-encoding"

    @property
    def progress(self):
        return self.step / (self.epochs * STEPS_PER_EPOCH)

    @property
    def finished(self):
        return self.epoch >= self.epochs

    def advance(self):
        self.inside_a_step = True
        time.sleep(self.step_time)
        if self.step == self.fail_at:
            raise RuntimeError("CUDA out of memory")
        self.step += 1
        self.epoch_ended = self.step % STEPS_PER_EPOCH == 0
        self.epoch += self.epoch_ended
        self.inside_a_step = False
        return {"loss": 1 / self.step}

    def epoch_metrics(self):
        assert self.epoch_ended
        return {"loss": 1.0, "resolution": self.resolution, "head_share_0": 0.5, "band": self.band}

    def verdict(self):
        return Verdict(kind="open")

    def compare_halves(self):
        assert self.epoch_ended
        self.comparisons += 1
        self.resolution = 7.0
        return {"fsc": {"frequency": [0.0, 0.1], "corrected": [1.0, 0.2]}, "half_sets_warning": ""}

    def switch_to_auto_decoding(self, reason):
        assert not self.inside_a_step
        if self.stage == "auto-decoding":
            raise RefusedError("the run is auto-decoding already")
        self.stage = "auto-decoding"
        self.epochs = max(self.epochs, self.epoch + 1)

    def drop_class(self, number):
        assert not self.inside_a_step
        if number > 3:
            raise RefusedError(f"there is no class {number}; expected 1 to 3")
        return f"class {number} was taken out"

    def merge_classes(self, first, second):
        assert not self.inside_a_step
        return f"classes {first} and {second} are one class now"

    def take_news(self):
        news, self.news = self.news, []
        return news

    def switch_advice(self):
        return SwitchAdvice(self.switch_due is not None, "heads and posterior agree")

    @property
    def symmetry_due(self):
        return self.epoch_ended and bool(self.symmetries) and self.epoch >= 2

    def take_symmetry(self):
        assert not self.inside_a_step
        found = self.symmetries.pop(0)
        return found if found is None else SymmetryChange("C1", found, note=f"{found} imposed")

    @property
    def switch_due(self):
        due = self.epoch_ended and self.epoch >= self.due_at and self.stage == "auto-encoding" and not self.finished
        return "automatic: heads and posterior agree" if due else None

    def snapshot(self):
        assert not self.inside_a_step
        time.sleep(self.snapshot_time)
        self.snapshots += 1
        return Snapshot(
            step=self.step,
            epoch=self.epoch,
            stage=self.stage,
            map=np.zeros((4, 4, 4)),
            pixel_size=2.0,
            band=9,
            noise=np.ones((1, 16)),
            max_shift=0.0,
            particles=particle_record(N),
            head_share=np.zeros(3),
            loss=1.0,
            resolution=float("nan"),
            switch_ready=False,
            switch_reason="",
        )

    def history(self):
        return epoch_record(self.epoch, particle_record(N))

    def results(self):
        maps = {"map": np.zeros((4, 4, 4)), "filtered_map": np.zeros((4, 4, 4)), "pixel_size": 2.0}
        maps["resolution"] = self.resolution - 1  # better than in any epoch
        return Results(**maps, particles=particle_record(N))

    def state_dict(self):
        assert not self.inside_a_step
        return {"progress": {"step": self.step, "epoch": self.epoch}}


class FakeChannel:
    """Keeps all that is said; `script` maps the step of an epoch's end to the commands that wait there."""

    def __init__(self, script=None):
        self.script = {step: deque(kinds) for step, kinds in (script or {}).items()}
        self.waiting = deque()  # commands sent from another thread
        self.said = {
            name: [] for name in ("status", "event", "metrics", "snapshot", "history", "checkpoint", "results")
        }

    def commands(self):
        now = max((line["step"] for line in self.said["metrics"]), default=0)
        for step in sorted(self.script):
            while step <= now and self.script[step]:
                kind, *arguments = self.script[step].popleft().split()
                yield Command(kind=kind, arguments=arguments)
        while self.waiting:
            yield self.waiting.popleft()

    def status(self, status):
        self.said["status"].append(status)

    def event(self, event):
        self.said["event"].append(event)

    def metrics(self, values):
        self.said["metrics"].append(values)

    def snapshot(self, snapshot):
        self.said["snapshot"].append(snapshot)

    def history(self, record):
        self.said["history"].append(record.epoch)

    def checkpoint(self, step, state):
        self.said["checkpoint"].append(state)

    def results(self, results):
        self.said["results"].append(results)

    def kinds(self):
        return [event.kind for event in self.said["event"] if event.kind != "epoch"]

    def event_of(self, kind):
        return next(event for event in self.said["event"] if event.kind == kind)


def settings_for(**machine):
    return Settings(machine=MachineSettings(**machine))


def test_a_run_ends_with_checkpoint_results_and_then_the_word():
    channel = FakeChannel()
    drive(FakeReconstruction(), channel, settings_for())
    assert channel.kinds() == ["started", "finished"]
    assert [event.step for event in channel.said["event"] if event.kind == "epoch"] == [5, 10, 15, 20]
    assert channel.said["history"][-1] == 4
    assert channel.said["checkpoint"][-1]["reconstruction"]["progress"]["step"] == 20
    assert len(channel.said["results"]) == 1
    last = channel.said["status"][-1]
    assert (last.state, last.step, last.epoch, last.progress) == ("finished", 20, 4, 1.0)
    assert last.resolution is None  # nan is not JSON


def test_pause_then_switch_are_both_obeyed_and_in_order():
    channel = FakeChannel({10: ["pause", "switch", "save", "resume"]})
    reconstruction = FakeReconstruction()
    drive(reconstruction, channel, settings_for())
    assert channel.kinds() == ["started", "paused", "switched", "saved", "resumed", "finished"]
    assert channel.event_of("switched").detail["reason"] == "by hand"
    assert reconstruction.stage == "auto-decoding"


def test_a_pause_and_a_switch_show_the_present_once():
    channel = FakeChannel({10: ["pause", "resume", "pause", "switch", "resume"]})
    drive(FakeReconstruction(), channel, settings_for(snapshot_every=1000.0))
    shown = [(snapshot.step, snapshot.stage) for snapshot in channel.said["snapshot"]]
    assert shown[-3:] == [(10, "auto-encoding"), (10, "auto-decoding"), (20, "auto-decoding")]
    assert len(set(shown)) == len(shown)
    assert channel.said["history"] == [1, 2, 4]  # the epochs are short, and the third one was left out
    assert next(status.state for status in channel.said["status"] if status.step == 10) == "paused"  # told first


def test_what_cannot_be_obeyed_is_refused_with_the_reason_and_the_run_goes_on():
    channel = FakeChannel({5: ["resume", "switch", "switch", "dance"]})
    drive(FakeReconstruction(), channel, settings_for())
    refusals = [event.detail for event in channel.said["event"] if event.kind == "refused"]
    assert [refusal["command"] for refusal in refusals] == ["resume", "switch", "dance"]
    assert "not paused" in refusals[0]["reason"]
    assert "already" in refusals[1]["reason"]
    assert "expected one of" in refusals[2]["reason"]
    assert channel.kinds()[-1] == "finished"


@pytest.mark.parametrize(("due_at", "step"), [(3, 15), (2, 10), (4, None), (99, None)])
def test_a_switch_that_is_due_is_made_and_told(due_at, step):
    """At the end of the epoch, once, and not when the run ends there."""
    channel = FakeChannel()
    reconstruction = FakeReconstruction(due_at=due_at)
    drive(reconstruction, channel, settings_for())
    switched = [event for event in channel.said["event"] if event.kind == "switched"]
    assert [event.step for event in switched] == ([] if step is None else [step])
    if step is None:
        return
    assert switched[0].detail["reason"] == "automatic: heads and posterior agree"
    # The history before it holds the last candidates; a checkpoint is written at the switch, and the snapshot shows it.
    assert step // STEPS_PER_EPOCH in channel.said["history"]
    assert step in [state["step"] for state in channel.said["checkpoint"]]
    assert (step, "auto-decoding") in [(snapshot.step, snapshot.stage) for snapshot in channel.said["snapshot"]]
    kinds = [event.kind for event in channel.said["event"]]
    assert kinds[kinds.index("switched") - 1] == "epoch"


def test_a_symmetry_that_is_due_is_taken_and_told():
    channel, reconstruction = FakeChannel(), FakeReconstruction()
    reconstruction.symmetries = [None, "D7"]
    drive(reconstruction, channel, settings_for())
    (event,) = (event for event in channel.said["event"] if event.kind == "symmetry")
    assert event.step == 3 * STEPS_PER_EPOCH
    assert (event.detail["before"], event.detail["symmetry"], event.detail["reason"]) == ("C1", "D7", "D7 imposed")
    assert 3 in channel.said["history"]
    assert event.step in [state["step"] for state in channel.said["checkpoint"]]
    assert event.step in [snapshot.step for snapshot in channel.said["snapshot"]]


def test_a_run_that_nobody_switched_waits_and_going_on_with_it_makes_the_switch():
    reconstruction, channel = FakeReconstruction(), FakeChannel()
    reconstruction.by_hand = True
    drive(reconstruction, channel, settings_for())
    last = channel.said["status"][-1]
    assert (last.state, last.stage, last.epoch) == ("stopped", "auto-encoding", 4)
    assert last.message == channel.event_of("stopped").detail["reason"] == WAITS_FOR_SWITCH
    assert len(channel.said["results"]) == 1  # so that the map can be looked at
    again = FakeChannel()
    drive(reconstruction, again, settings_for())
    assert again.kinds() == ["continued", "switched", "finished"]
    assert "continued" in again.event_of("switched").detail["reason"]
    assert (reconstruction.stage, reconstruction.epoch) == ("auto-decoding", 5)
    assert again.said["status"][-1].message == ""


def test_no_checkpoint_falls_between_an_epoch_and_its_switch():
    channel = FakeChannel()
    reconstruction = FakeReconstruction(due_at=2)
    names = ("step", "epoch", "stage")
    reconstruction.state_dict = lambda: {"progress": {name: getattr(reconstruction, name) for name in names}}
    drive(reconstruction, channel, settings_for(checkpoint_every=0.0))
    kept = [state["reconstruction"]["progress"] for state in channel.said["checkpoint"]]
    stages = {progress["stage"] for progress in kept if progress["step"] >= 10}
    assert stages == {"auto-decoding"}


def test_stop_command_and_stop_event_leave_checkpoint_and_results():
    channel = FakeChannel({10: ["stop"]})
    drive(FakeReconstruction(), channel, settings_for())
    assert channel.kinds() == ["started", "stopped"]
    assert channel.said["status"][-1].state == "stopped"
    assert channel.said["checkpoint"][-1]["step"] == 10
    assert len(channel.said["results"]) == 1


def test_a_run_in_a_hurry_leaves_a_checkpoint_and_no_results():
    hurry = threading.Event()

    class Hurried(FakeReconstruction):
        def advance(self):
            if self.step == 7:
                hurry.set()
            return super().advance()

    channel = FakeChannel()
    drive(Hurried(), channel, settings_for(), hurry=hurry)
    assert channel.said["checkpoint"][-1]["step"] == 8
    assert channel.said["status"][-1].state == "stopped"
    assert not channel.said["results"]


def test_a_hurry_after_the_results_leaves_the_run_finished():
    hurry = threading.Event()

    class ClosedAtTheEnd(FakeChannel):
        def results(self, results):
            super().results(results)
            hurry.set()

    channel = ClosedAtTheEnd()
    drive(FakeReconstruction(), channel, settings_for(), hurry=hurry)
    assert channel.said["status"][-1].state == "finished"
    assert channel.kinds()[-1] == "finished"


def test_what_is_broken_off_halfway_leaves_the_state_before_it():
    hurry = threading.Event()

    class Interruptible(FakeReconstruction):
        def advance(self):
            if self.step == 3:
                self.whole_state = self.state_dict()
                hurry.set()
                raise Interrupted
            return super().advance()

    channel = FakeChannel()
    drive(Interruptible(), channel, settings_for(), hurry=hurry)
    assert channel.said["checkpoint"][-1]["step"] == 3
    assert channel.kinds()[-1] == "stopped"
    assert not channel.said["results"]


def test_every_epoch_is_kept_however_dear_but_not_several_a_second():
    channel = FakeChannel()
    drive(FakeReconstruction(epochs=3, step_time=0.25), channel, settings_for())
    assert channel.said["history"] == [1, 2, 3]
    channel = FakeChannel()
    drive(FakeReconstruction(epochs=9), channel, settings_for())
    assert channel.said["history"] == [1, 9]


def test_a_paused_run_heeds_the_stop_event_and_makes_no_step():
    channel, stop, reconstruction = FakeChannel({0: ["pause"]}), threading.Event(), FakeReconstruction()
    thread = threading.Thread(target=drive, args=(reconstruction, channel, settings_for(), stop))
    thread.start()
    time.sleep(0.7)
    assert {status.state for status in channel.said["status"]} == {"paused"}
    assert len(channel.said["status"]) >= 2  # the heart goes on beating
    beats = len(channel.said["status"])
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert len(channel.said["status"]) <= beats + 3  # the beat under way, "stopped", and one between the two lines
    assert reconstruction.step == 0


def test_an_exception_becomes_a_failed_event_with_the_traceback_and_is_raised():
    channel = FakeChannel()
    with pytest.raises(RuntimeError, match="CUDA"):
        drive(FakeReconstruction(fail_at=7), channel, settings_for())
    failed = channel.event_of("failed")
    assert failed.step == 7
    assert failed.detail["error"] == "RuntimeError: CUDA out of memory"
    assert "in advance" in failed.detail["traceback"]
    status = channel.said["status"][-1]
    assert (status.state, status.step, status.epochs) == ("failed", 7, FakeReconstruction().epochs)
    assert "CUDA" in status.message


def test_a_loss_that_is_not_finite_fails():
    reconstruction = FakeReconstruction()
    reconstruction.advance = lambda: {"loss": float("nan")}
    with pytest.raises(FloatingPointError):
        drive(reconstruction, FakeChannel(), settings_for())


def test_publishing_takes_a_bounded_share_of_the_wall_clock():
    channel = FakeChannel()
    reconstruction = FakeReconstruction(epochs=200, step_time=0.001, snapshot_time=0.02)
    before = time.monotonic()
    drive(reconstruction, channel, settings_for(snapshot_every=0.0))
    share = 0.02 * (reconstruction.snapshots - 1) / (time.monotonic() - before)  # the last one is always taken
    assert reconstruction.snapshots > 2
    assert share <= 0.06
    steps = [snapshot.step for snapshot in channel.said["snapshot"]]
    assert steps == sorted(steps)


def test_budget_admits_by_the_last_cost(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    budget = Budget(0.1)
    assert budget.admits("snapshot")
    with budget.spending("snapshot"):
        clock[0] += 1
    clock[0] = 19.0
    assert not budget.admits("snapshot")
    assert budget.admits("history")  # never seen: costs nothing yet
    clock[0] = 20.5
    assert budget.admits("snapshot")


def test_half_sets_are_compared_while_the_run_goes_on():
    """Resolution in the metrics, events and status, curves in the metrics; the last word is that of the results."""
    channel, reconstruction = FakeChannel(), FakeReconstruction()
    reconstruction.half_sets = np.array([1, 2])
    drive(reconstruction, channel, settings_for())
    ended = [line for line in channel.said["metrics"] if "fsc" in line]
    assert len(ended) == reconstruction.comparisons > 0
    assert ended[0]["resolution"] == 7.0
    assert ended[0]["fsc"]["corrected"] == [1.0, 0.2]
    epochs = [event for event in channel.said["event"] if event.kind == "epoch"]
    assert epochs[0].detail["resolution"] == 7.0
    assert channel.said["status"][-1].resolution == 6.0


def test_few_shells_and_whole_sets_are_not_compared():
    whole, early = FakeReconstruction(), FakeReconstruction()
    early.half_sets, early.band = np.array([1, 2]), 4.0
    for reconstruction in (whole, early):
        drive(reconstruction, FakeChannel(), settings_for())
        assert reconstruction.comparisons == 0


def test_a_dear_first_comparison_does_not_put_off_the_second_for_ever(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    budget = Budget(0.02)
    with budget.spending("fsc"):
        clock[0] += 3
    assert not budget.left
    clock[0] = 151.0
    assert budget.left
    assert not budget.admits("fsc")


@pytest.mark.parametrize(
    ("command", "kind", "reason"),
    [
        ("drop-class 2", "classes", "class 2 was taken out"),
        ("merge-classes 1 3", "classes", "classes 1 and 3 are one class now"),
        ("drop-class 4", "refused", "there is no class 4; expected 1 to 3"),
        ("drop-class", "refused", "found nothing after drop-class; expected the number of a class"),
        ("drop-class one", "refused", "found one after drop-class; expected the number of a class"),
        ("merge-classes 2", "refused", "found 2 after merge-classes; expected the numbers of 2 classes"),
    ],
)
def test_commands_about_classes_are_obeyed_or_refused(command, kind, reason):
    channel = FakeChannel({5: [command]})
    drive(FakeReconstruction(), channel, settings_for())
    event = channel.event_of(kind)
    assert event.detail["reason"] == reason
    assert event.step == 5
    assert "finished" in channel.kinds()


def test_what_happened_to_classes_is_an_event():
    reconstruction, channel = FakeReconstruction(), FakeChannel()
    reconstruction.news = [{"change": "dropped", "class": 3, "reason": "class 3 has only 2 particles left"}]
    drive(reconstruction, channel, settings_for())
    assert channel.event_of("classes").detail["class"] == 3
    assert channel.kinds().count("classes") == 1
