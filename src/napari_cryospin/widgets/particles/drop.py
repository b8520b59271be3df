"""Widgets for the time before particles are open: an area to drop files on, and the question for a pixel size."""

from __future__ import annotations

import dataclasses

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QFrame, QHBoxLayout, QLabel, QVBoxLayout

from napari_cryospin.io.formats import PARTICLE_FORMATS
from napari_cryospin.io.mrc import mrc_header
from napari_cryospin.runs.source import RunInput
from napari_cryospin.widgets.kit.parts import button, text_label

WHAT_TO_DO = """Drop particles here

.star (RELION)
.csg, or .cs with its passthrough files (cryoSPARC)
.mrcs, alone or with cryoDRGN's .pkl
or the folder of a run

or open them above, or begin with a sample."""


class DropArea(QFrame):
    """Area that lists the files that can be dropped; the panel around it accepts them."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("drop")
        self.setStyleSheet("#drop { border: 2px dashed rgba(128, 128, 128, 130); border-radius: 8px; }")
        label = QLabel(WHAT_TO_DO)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        label.setWordWrap(True)
        label.setMargin(20)
        QVBoxLayout(self).addWidget(label)
        self.setMinimumHeight(240)


class PixelSizeQuestion(QFrame):
    """Question for the pixel size of a stack without a particle file, or of a file that says none."""

    answered = Signal(object)  # RunInput with its pixel size

    def __init__(self) -> None:
        super().__init__()
        self.source: RunInput | None = None
        self.text = text_label()
        self.size_edit = QDoubleSpinBox()
        self.size_edit.setDecimals(4)
        self.size_edit.setRange(0.0, 1000.0)
        self.size_edit.setSuffix(" Å")
        self.size_edit.setToolTip("Width of a pixel of these images, Å")
        self.size_edit.valueChanged.connect(self._check)
        self.ok = button("Open", "Open the particles with this pixel size", self._answer)
        row = QHBoxLayout()
        row.addWidget(QLabel("Pixel size"))
        row.addWidget(self.size_edit, 1)
        row.addWidget(self.ok)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(row)

    def ask(self, source: RunInput) -> None:
        """Show the question; of a stack alone offer the pixel size of the header, which is often wrong."""
        self.source = source
        if PARTICLE_FORMATS[source.particles.suffix.lower()].bare:
            self._offer_header(source)
        else:
            self.text.setText(f"{source.particles.name} says no pixel size. What is that of its images?")
            self.size_edit.setValue(0.0)
        self._check()
        self.show()

    def _offer_header(self, source: RunInput) -> None:
        stored = mrc_header(source.particles).voxel_size[0]
        said = f"its header says {stored:.4g} Å, which need not be right" if stored > 0 else "its header does not say"
        self.text.setText(
            f"{source.particles.name} is a stack alone. What is its pixel size ({said})? Its CTF will be off; "
            "open it together with a cryoDRGN ctf.pkl, or open a .star, to have one."
        )
        self.size_edit.setValue(stored if stored != 1.0 else 0.0)

    def _check(self) -> None:
        self.ok.setEnabled(self.size_edit.value() > 0)

    def _answer(self) -> None:
        if self.source is not None:
            self.hide()
            self.answered.emit(dataclasses.replace(self.source, pixel_size=self.size_edit.value()))
