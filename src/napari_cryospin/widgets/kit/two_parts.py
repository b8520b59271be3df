"""Two widgets side by side where there is room for both, otherwise one at a time, with tabs on the left."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QSplitter, QTabBar, QWidget


class TwoParts(QWidget):
    """Two parts of a panel, which share its width or take turns.

    Parameters
    ----------
    parts
        The two widgets.
    names, tips
        Titles of the tabs, and their tooltips.
    widths
        Share of the width for each part, side by side.
    """

    def __init__(
        self, parts: Sequence[QWidget], names: Sequence[str], tips: Sequence[str], widths: Sequence[int]
    ) -> None:
        super().__init__()
        self.parts, self.widths = tuple(parts), tuple(widths)
        self.tabs = QTabBar()
        self.tabs.setShape(QTabBar.Shape.RoundedWest)  # Height is what a narrow panel has too little of.
        self.tabs.setDrawBase(False)
        for name, tip in zip(names, tips, strict=True):
            self.tabs.setTabToolTip(self.tabs.addTab(name), tip)
        self.tabs.currentChanged.connect(self._arrange)
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.setChildrenCollapsible(False)
        for number, part in enumerate(parts):
            self.split.addWidget(part)
            self.split.setStretchFactor(number, widths[number])
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.tabs, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self.split, 1)
        self._arrange()

    @property
    def wide(self) -> bool:
        """Whether both parts are visible at once."""
        return self.width() >= sum(self._least_widths) + self.split.handleWidth()

    @property
    def _least_widths(self) -> tuple[int, ...]:
        return tuple(part.minimumSizeHint().width() for part in self.parts)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _arrange(self, _: int = 0) -> None:
        wide, before = self.wide, self.tabs.isHidden()
        self.tabs.setHidden(wide)
        for number, part in enumerate(self.parts):
            part.setVisible(wide or number == self.tabs.currentIndex())
        if wide and not before:
            self.split.setSizes([self.width() * width // sum(self.widths) for width in self.widths])
        # The layout would ask for the width of both, and the panel could never become narrower.
        self.setMinimumWidth(max(self._least_widths) + self.tabs.sizeHint().width() + 2)
