"""The path by itself: which step is present, which are done, and what the button says, in every situation."""

from dataclasses import replace

import pytest

from napari_cryospin.widgets.path.steps import (
    STEPS,
    NextStep,
    Situation,
    done_steps,
    next_step,
    present_step,
)

NOTHING = Situation()
OPENED = Situation(has_particles=True)
ENCODING = Situation(standing="running", reason="Not ready yet: heads still learn", progress="Running: epoch 3 of 44")
READY = replace(ENCODING, ready=True, reason="Ready: poses are sharp")
WAITING = replace(ENCODING, standing="waiting")
DECODING = replace(ENCODING, stage="auto-decoding")
STOPPED = replace(ENCODING, standing="stopped", progress="Stopped; it can be continued")
FINISHED = replace(DECODING, standing="finished", has_results=True)
CASES = {
    "nothing": (NOTHING, "Particles", "", "Choose particles...", "choose particles"),
    "particles": (OPENED, "Run", "Particles", "Start", "start"),
    "running": (ENCODING, "Run", "Particles", "Switch before it is ready...", "switch early"),
    "paused": (
        replace(ENCODING, standing="paused"),
        "Run",
        "Particles",
        "Switch before it is ready...",
        "switch early",
    ),
    "ready": (READY, "Switch", "Particles", "Switch to auto-decoding", "switch"),
    "automatic": (replace(READY, by_hand=False), "Switch", "Particles", "The run will switch by itself", "wait"),
    "waiting": (WAITING, "Switch", "Particles Run", "Switch to auto-decoding", "switch"),
    "switched": (DECODING, "Result", "Particles Run Switch", "The result comes at the end", "wait"),
    "no switch": (replace(ENCODING, has_switch=False), "Result", "Particles", "The result comes at the end", "wait"),
    "finished": (FINISHED, "Result", "Particles Run Switch Result", "Export...", "export"),
    "stopped": (STOPPED, "Run", "Particles", "Continue this run", "continue"),
    "failed": (replace(STOPPED, standing="failed"), "Run", "Particles", "Continue this run", "continue"),
    "failed at start": (
        replace(STOPPED, standing="failed", failed_at_start=True, has_particles=True, progress="Failed: no such file"),
        "Run",
        "Particles",
        "Start anew",
        "start",
    ),
    "gone": (replace(STOPPED, standing="gone"), "Run", "Particles", "Continue this run", "continue"),
    "lost": (replace(STOPPED, standing="lost"), "Run", "Particles", "Wait for the folder", "wait"),
    "starting": (replace(ENCODING, standing="starting"), "Run", "Particles", "Starting...", "wait"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_situation_has_a_step_and_a_button(name):
    now, present, done, text, action = CASES[name]
    assert present_step(now) == present
    assert done_steps(now) == set(done.split())
    step = next_step(now, shown=_home(now))
    assert (step.text, step.action) == (text, action)


def _home(now):
    """The panel to which the action of a situation belongs."""
    for title in STEPS:
        if next_step(now, title).action != "go":
            return title
    raise AssertionError("no panel has the action")


@pytest.mark.parametrize("name", CASES)
def test_from_every_other_panel_the_button_leads_to_that_of_the_action(name):
    now = CASES[name][0]
    home = next_step(now, _home(now))
    for title in (*STEPS, "Export", "Posterior"):
        step = next_step(now, title)
        assert step.action in (home.action, "go")
        if step.action == "go":
            assert next_step(now, step.step) == home
        assert step.detail == home.detail  # How things stand is the same wherever it is read.


def test_a_request_that_is_not_answered_cannot_be_made_again():
    for now in (OPENED, READY, WAITING, STOPPED):
        assert next_step(replace(now, asked=True), "Run").action == "wait"


def test_a_set_up_that_is_wrong_says_why():
    step = next_step(replace(OPENED, can_start=False, obstacle="Name a folder for the run."), "Run")
    assert (step.action, step.detail) == ("wait", "Name a folder for the run.")


def test_only_what_is_due_is_coloured():
    assert {name for name in CASES if next_step(CASES[name][0], "Switch").ready} == {"ready", "waiting"}


def test_steps_are_compared_by_value():
    assert NextStep("Start", "start", "Run") == NextStep("Start", "start", "Run")
