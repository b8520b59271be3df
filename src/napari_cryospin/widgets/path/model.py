"""The situation of a viewer's session: which step of the path it is at, and what comes next."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from napari_cryospin.runs.messages import Status
from napari_cryospin.widgets.kit.parts import duration
from napari_cryospin.widgets.path.steps import Situation
from napari_cryospin.widgets.run.control import run_control_of
from napari_cryospin.widgets.run.state import STANDINGS, Standing, plain_failure
from napari_cryospin.widgets.run.switch_box import LOOK_FIRST, plain_reason
from napari_cryospin.widgets.session.session import Session

FIRST_EPOCH = "Not ready yet: the first epoch is not over."


class PathModel(QObject):
    """Situation of a session, kept up to date.

    Parameters
    ----------
    session
        The session; also the parent.

    Attributes
    ----------
    situation : Situation
        How things stand.
    obstacle : str
        Why no run can be started with the set-up as it is; empty: nothing is known against it.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.control = run_control_of(session)
        self.situation = Situation()
        self.obstacle = ""
        self._newer_particles = session.folder is None
        session.particles_changed.connect(self._take_particles)
        session.run_changed.connect(self._take_run)
        for signal in (session.status_changed, session.events_arrived, self.control.changed, self.control.progressed):
            signal.connect(self.update)
        self.update()

    def set_obstacle(self, text: str) -> None:
        """Note why no run can be started; empty: one can be."""
        if text != self.obstacle:
            self.obstacle = text
            self.update()

    def _take_particles(self) -> None:
        folder = self.session.folder
        self._newer_particles = folder is None or not self.session.is_input_of(folder)
        self.update()

    def _take_run(self) -> None:
        self._newer_particles = False
        self.update()

    @property
    def is_about_next_run(self) -> bool:
        """Whether the particles that are open were opened after the watched run, which is over and used others."""
        return self.session.folder is None or (self._newer_particles and not self.control.alive)

    def update(self, _: object = None) -> None:
        """Look at the session again."""
        now = self._situation()
        if now != self.situation:
            self.situation = now
            self.changed.emit()

    def _situation(self) -> Situation:
        session, control, status = self.session, self.control, self.session.status
        standing: Standing = "none" if self.is_about_next_run else control.standing
        asked = control.beginning or control.requested("switch") or control.requested("stop")
        common = Situation(
            has_particles=session.particles is not None,
            taken="" if session.source is None else session.source.particles.name,
            standing=standing,
            asked=asked,
            can_start=not self.obstacle,
            obstacle=self.obstacle,
        )
        if standing == "none" or status is None:
            return common
        return Situation(
            has_particles=common.has_particles,
            taken=common.taken,
            standing=standing,
            stage="auto-decoding" if control.switched is not None else status.stage,
            has_switch=control.has_switch,
            by_hand=control.left_to_the_user,
            ready=status.switch_ready,
            reason=_reason(status, standing),
            asked=asked,
            progress=progress_line(status, standing),
            has_results=standing in ("finished", "stopped"),
            failed_at_start=standing == "failed" and status.step == 0,
            can_start=common.can_start,
            obstacle=common.obstacle,
        )


def _reason(status: Status, standing: Standing) -> str:
    if standing == "waiting":
        return LOOK_FIRST
    words = plain_reason(status)
    return f"{'Ready' if status.switch_ready else 'Not ready yet'}: {words}" if words else FIRST_EPOCH


def progress_line(status: Status, standing: Standing) -> str:
    """Write how far a run is, in a line."""
    if standing == "failed":
        return f"Failed: {plain_failure(status.message)}"
    if standing not in ("running", "paused"):
        return STANDINGS[standing]
    left = status.time_left if standing == "running" else None
    more = f", about {duration(left)} left" if left is not None else ""
    return f"{STANDINGS[standing]}: epoch {status.epoch} of {status.epochs}, {100 * status.progress:.0f} %{more}"


def path_of(session: Session) -> PathModel:
    """Return the path of a session, which the first call makes."""
    found = session.findChild(PathModel)
    return found if isinstance(found, PathModel) else PathModel(session)
