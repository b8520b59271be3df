"""The steps of a reconstruction: which one is present, which are done, and what the user does next. No Qt, no run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_cryospin.runs.messages import LIVE_STATES, Stage
from napari_cryospin.widgets.run.state import Standing, start_takes

Step = Literal["Particles", "Run", "Switch", "Result"]
STEPS: tuple[Step, ...] = ("Particles", "Run", "Switch", "Result")
"""Titles of the steps, which are those of their panels."""
Action = Literal["choose particles", "go", "start", "continue", "switch", "switch early", "export", "wait"]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the next step depends on.

    Attributes
    ----------
    has_particles : bool
        Whether particles are open.
    taken : str
        Name of their file; empty: none are open.
    standing : str
        Standing of the watched run.
    stage : str
        Its stage.
    has_switch : bool
        Whether its method has a switch.
    by_hand : bool
        Whether the switch is left to the user.
    ready, reason : bool, str
        Whether the switch is advised, and why, or why not yet.
    asked : bool
        Whether the switch was requested, or the run is being started, and there is no answer yet.
    progress : str
        How far the run is, in words.
    can_start : bool
        Whether the set-up of the next run is complete.
    obstacle : str
        Why it is not.
    has_results : bool
        Whether the run's folder holds results.
    failed_at_start : bool
        Whether the run failed before its first step, as it would again with the settings that it has.
    """

    has_particles: bool = False
    taken: str = ""
    standing: Standing = "none"
    stage: Stage = "auto-encoding"
    has_switch: bool = True
    by_hand: bool = True
    ready: bool = False
    reason: str = ""
    asked: bool = False
    progress: str = ""
    can_start: bool = True
    obstacle: str = ""
    has_results: bool = False
    failed_at_start: bool = False

    @property
    def live(self) -> bool:
        """Whether the run goes on."""
        return self.standing in LIVE_STATES

    @property
    def before_switch(self) -> bool:
        """Whether the run still has a switch before it."""
        return self.has_switch and self.stage == "auto-encoding"


@dataclass(frozen=True)
class NextStep:
    """The next action of the user.

    Attributes
    ----------
    text : str
        Words on the button.
    action : str
        What the button does; go: it brings the panel of `step`; wait: it cannot be pressed.
    step : str
        Step that the action belongs to.
    detail : str
        Sentence above the button: how things stand.
    ready : bool
        Whether the button says by its colour that it is time to press it.
    """

    text: str
    action: Action
    step: Step
    detail: str = ""
    ready: bool = False


def present_step(now: Situation) -> Step:
    """Return the step that the user is at."""
    if now.standing == "none":
        return "Run" if now.has_particles else "Particles"
    if now.standing == "finished":
        return "Result"
    if now.standing == "waiting" or (now.live and now.before_switch and now.ready):
        return "Switch"
    return "Result" if now.live and not now.before_switch else "Run"


def done_steps(now: Situation) -> frozenset[Step]:
    """Return the steps that are done."""
    done: set[Step] = set()
    if now.has_particles or now.standing != "none":
        done.add("Particles")
    if now.standing in ("waiting", "finished") or (now.standing != "none" and now.stage == "auto-decoding"):
        done.add("Run")
    if now.standing != "none" and now.stage == "auto-decoding":
        done.add("Switch")
    if now.standing == "finished":
        done |= {"Run", "Result"}
    return frozenset(done)


def next_step(now: Situation, shown: str) -> NextStep:
    """Return what the user does next, in the words of the button.

    Parameters
    ----------
    now
        The situation.
    shown
        Title of the panel that is shown: what belongs to another panel brings that one first.
    """
    step = _next(now)
    if step.action in ("choose particles", "wait", "go") or step.step == shown:
        return step
    return NextStep(GOING[step.action], "go", step.step, step.detail, step.ready)


GOING: dict[Action, str] = {
    "start": "Continue to the run ▸",
    "continue": "Continue to the run ▸",
    "switch": "Ready to switch ▸",
    "switch early": "Look at the readiness ▸",
    "export": "See the result ▸",
}
"""Action that belongs to a panel -> words of the button that brings this panel."""


def _next(now: Situation) -> NextStep:
    if now.standing == "none":
        return _before_a_run(now)
    if now.standing == "lost":
        return NextStep("Wait for the folder", "wait", "Run", now.progress)
    if now.standing in ("starting", "queued"):
        return NextStep("Starting...", "wait", "Run", now.progress)
    if now.asked:
        text = "Switch requested..." if present_step(now) == "Switch" or now.live else "Continuing..."
        return NextStep(text, "wait", "Switch", now.progress)
    if now.failed_at_start and now.has_particles:
        return _after_a_failed_start(now)
    if now.standing in ("gone", "stopped", "failed"):
        return NextStep("Continue this run", "continue", "Run", now.progress)
    if now.standing == "waiting":
        return NextStep("Switch to auto-decoding", "switch", "Switch", now.reason, ready=True)
    if now.live and now.before_switch:
        return _before_the_switch(now)
    if now.has_results:
        return NextStep("Export...", "export", "Result", now.progress)
    return NextStep("The result comes at the end", "wait", "Result", now.progress)


def _before_a_run(now: Situation) -> NextStep:
    if not now.has_particles:
        return NextStep("Choose particles...", "choose particles", "Particles", "Open particles, or try a sample.")
    if now.asked:
        return NextStep("Starting...", "wait", "Run")
    if not now.can_start:
        return NextStep("Not ready to start yet", "wait", "Run", now.obstacle)
    return NextStep("Start", "start", "Run", start_takes(now.taken))


def _after_a_failed_start(now: Situation) -> NextStep:
    if not now.can_start:
        return NextStep("Not ready to start yet", "wait", "Run", now.obstacle)
    return NextStep("Start anew", "start", "Run", now.progress)


def _before_the_switch(now: Situation) -> NextStep:
    if not now.by_hand:
        return NextStep("The run will switch by itself", "wait", "Switch", f"{now.progress}. {now.reason}")
    if now.ready:
        return NextStep("Switch to auto-decoding", "switch", "Switch", now.reason, ready=True)
    return NextStep("Switch before it is ready...", "switch early", "Switch", now.reason)
