"""Panel of a run: its set-up, start, pause, stop and switch, and how it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout

from napari_cryospin.runs.messages import LIVE_STATES, Status
from napari_cryospin.runs.verdict import DOUBTFUL
from napari_cryospin.widgets.kit.parts import ERROR, WARNING, Fold, button, text_label
from napari_cryospin.widgets.kit.preferences import recall_choice, remember_choice
from napari_cryospin.widgets.kit.redraw import Redraw, lay_out
from napari_cryospin.widgets.run.control import run_control_of
from napari_cryospin.widgets.run.setup import RunSetup
from napari_cryospin.widgets.run.state import RunState, Standing, plain_failure, start_takes
from napari_cryospin.widgets.run.switch_box import SwitchBox
from napari_cryospin.widgets.run.symmetry_box import SymmetryBox
from napari_cryospin.widgets.session.docks import reveal
from napari_cryospin.widgets.session.panel import Panel

if TYPE_CHECKING:
    from napari.viewer import Viewer

PROGRESS_EVERY = 900  # ms between two drawings of a run's progress
LOST = (
    "{folder} was deleted, moved or renamed, or its disk is away. What is shown was read before. If it comes back, the "
    "window goes on with it; a folder that was moved is opened by Open run..."
)


class RunPanel(Panel):
    """Panel from which runs are started and controlled.

    Parameters
    ----------
    napari_viewer
        Viewer, given by napari.
    """

    obstacle_changed = Signal(str)  # why no run can be started; empty: one can be

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(napari_viewer)
        self.obstacle = ""
        self.control = run_control_of(self.session)
        self._other_particles = False
        self._standing: Standing | None = None
        self._told_ready: Path | None = None  # the run of which it was told that the switch is advised
        self._watched = False  # whether the status was known at the last standing
        self._build()
        self.redraw = Redraw(self, self.refresh, news_every=PROGRESS_EVERY)
        self.control.changed.connect(self.refresh)
        self.control.progressed.connect(self.redraw.request_for_news)
        self.control.refused.connect(self._show_refusal)
        for signal in (self.session.particles_changed, self.session.run_changed):
            signal.connect(self._note_particles)
        self.session.events_arrived.connect(self._take_events)  # The event of a failure may be the last sign of a run.
        self.setup.changed.connect(self.refresh)
        self._note_particles()

    def _build(self) -> None:
        self.setup = RunSetup(self.session)
        self.folded = Fold("Set-up of the next run", self.setup)
        self.folded.set_open(True)
        self.content.addWidget(self.folded)
        self.start = button("Start", "Start a run of the opened particles", self._start)
        self.continue_run = button("Continue", "Let this run go on from its newest checkpoint", self._continue_run)
        self.pause = button("Pause", "Wait after the present step", self._pause)
        self.stop = button("Stop", "Save a checkpoint and the results, and end; it can be continued", self._stop)
        self.attach = button("Open run...", "Watch a run that goes on elsewhere, or ended", self.ask_run)
        row = QHBoxLayout()
        for widget in (self.start, self.continue_run, self.pause, self.stop, self.attach):
            row.addWidget(widget)
        self.hint = text_label()
        self.foot.addWidget(self.hint)
        self.foot.addLayout(row)
        tip = "Open the particles of the run that is shown: their card, images and truth, and for another run of them"
        self.open_particles = button("Open this run's particles", tip, self._open_particles)
        self.content.addWidget(self.open_particles)
        self.switch = SwitchBox()
        self.switch.pressed.connect(self._switch)
        self.content.addWidget(self.switch)
        self.symmetry = SymmetryBox()
        self.symmetry.chosen.connect(lambda group: self.control.request("symmetry", group))
        self.content.addWidget(self.symmetry)
        self.state = RunState()
        self.content.addWidget(self.state)
        self.content.addStretch(1)

    # Actions of the user

    def _start(self) -> None:
        output = self.setup.output
        if output is None:
            show_error("Name a folder for the run.")
            return
        self.state.show_message("")
        self.control.start(output, self.setup.place.currentData(), self._options())

    def _continue_run(self) -> None:
        self.state.show_message("")
        self.control.continue_run(self.setup.place.currentData(), self._options())

    def _options(self) -> str:
        options = self.setup.slurm.toPlainText()
        remember_choice("slurm", options)
        return options

    def _pause(self) -> None:
        self.control.pause_or_resume()

    def _stop(self) -> None:
        self.control.request("stop")

    def _switch(self) -> None:
        self.state.show_message("")
        self.control.make_switch(self.setup.place.currentData(), self._options())

    def ask_run(self) -> None:
        """Let the user choose the folder of a run to watch."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of a run", recall_choice("attached"))
        if folder:
            remember_choice("attached", folder)
            self.control.attach(Path(folder))

    def _note_particles(self) -> None:
        """Note whether the particles that are open are others than those of the run."""
        folder = self.session.folder
        self._other_particles = folder is not None and not self.session.is_input_of(folder)
        self.refresh()

    def _open_particles(self) -> None:
        folder = self.session.folder
        if folder is not None:
            panel: Any = reveal(self.viewer, "Particles")
            panel.opener.open_source(folder.source)

    def _show_refusal(self, text: str) -> None:
        self.state.show_message(text, WARNING)

    # State of the run

    def _take_events(self, _: object) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Show how the run stands, and which actions are possible."""
        control, session, standing = self.control, self.session, self.control.standing
        self._note_change(standing)
        alive = control.alive
        folder = None if session.folder is None else session.folder.path
        self.state.show_status(standing, session.status, folder)
        self.state.failure = next((event for event in reversed(session.events) if event.kind == "failed"), None)
        self.switch.setVisible(folder is not None and self.taken_action is None)
        self.switch.show_run(control)
        self._tell_readiness(standing)
        self.symmetry.show_state(
            session.status,
            possible=alive and standing != "starting",
            requested=control.requested("symmetry"),
        )
        reason = self._why_not()
        told = self.taken_action == "wait" and bool(reason)  # The workspace says why no run can be started.
        self.start.setVisible(not alive and self.taken_action != "start" and not told)
        self.start.setText("Starting..." if control.beginning else "Start")
        if reason != self.obstacle:
            self.obstacle = reason
            self.obstacle_changed.emit(reason)
        self.start.setEnabled(not reason and not control.beginning)
        source = session.source
        taken = "" if source is None else source.particles.name
        self.hint.setText("" if alive else reason or start_takes(taken))
        self.hint.setVisible(bool(self.hint.text()) and not self.start.isHidden())
        self.open_particles.setVisible(folder is not None and self._other_particles)
        self.continue_run.setVisible(control.can_continue and self.taken_action != "continue")
        for kind, widget, title in (("stop", self.stop, "Stop"), (*self._pausing(standing),)):
            widget.setVisible(alive)
            requested = control.requested(kind)
            widget.setText(f"{title} requested..." if requested else title)
            widget.setEnabled(not requested and standing != "starting")
        lay_out()

    def show_actions(self) -> None:
        self.refresh()

    def _pausing(self, standing: Standing) -> tuple:
        return ("resume", self.pause, "Resume") if standing == "paused" else ("pause", self.pause, "Pause")

    def _why_not(self) -> str:
        """Return why no run can be started; empty: one can be started."""
        if self.session.particles is None:
            return "Open particles first: tab Particles, or File > Open Sample."
        if self.setup.problem:
            return f"Settings: {self.setup.problem}"
        return "" if self.setup.output is not None else "Name a folder for the run."

    def _tell_end(self, status: Status | None) -> None:
        """Notify the user that the run has finished, and of a verdict that should be read."""
        where = self.state.where.text()
        if status is not None and status.verdict in DOUBTFUL:
            show_warning(f"The run finished, and its poses are {status.verdict}: {where}. The step Result says why.")
        else:
            show_info(f"The run finished: {where}")

    def _tell_readiness(self, standing: Standing) -> None:
        """Notify the user, once a run, that the switch is advised."""
        status, folder = self.session.status, self.session.folder
        if status is None or folder is None or standing != "running" or not self.control.left_to_the_user:
            return
        if status.switch_ready and status.stage == "auto-encoding" and self._told_ready != folder.path:
            self._told_ready = folder.path
            show_info(f"{folder.path.name} is ready to switch to auto-decoding: see the step Switch.")

    def _note_change(self, standing: Standing) -> None:
        """Notify the user once of a change, and fold the set-up away while a run goes on."""
        folder, before, self._standing = self.session.folder, self._standing, standing
        watched, self._watched = self._watched, self.session.status is not None
        if standing == before:
            return
        was_alive = before in LIVE_STATES
        if before in (None, "none") and standing != "none":
            self.folded.set_open(False)
        if standing in LIVE_STATES and not was_alive:
            self.state.show_message("")
        if standing not in LIVE_STATES:
            self.setup.propose_folder()
        status = self.session.status
        if standing == "failed" and was_alive and status is not None:
            show_error(f"The run failed: {plain_failure(status.message)}")
        elif standing == "finished" and was_alive and watched:
            self._tell_end(status)
        elif standing == "waiting" and was_alive and watched:
            show_warning(f"{self.state.where.text()}: the planned epochs are over. Look at the map, and switch.")
        elif standing == "gone":
            self.state.show_message(
                "Nobody drives this run any more. Continue lets it go on from its newest checkpoint.", ERROR
            )
        elif standing == "lost" and folder is not None:
            self.state.show_message(LOST.format(folder=folder.path), ERROR)
        elif before == "lost":
            self.state.show_message("")
