"""What the marks of each panel mean, in plain words; a button brings them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QToolButton, QWidget

EXPLANATIONS = {
    "Particles": """The <b>card</b> says what was found in the files, and what a run will do with it.<br>
<b>Raw / Low-passed / Phase-flipped</b>: the same images, as they are, blurred so that the eye sees something, and with
the signs of the microscope's contrast undone.<br>
<b>Half sets</b>: two reconstructions that share nothing. Only they can be compared without deceiving oneself.""",
    "Run": """A run has two stages. In <b>auto-encoding</b> a network with several heads looks at each image and
proposes poses; in <b>auto-decoding</b> each particle's own pose is refined. The switch is between them.<br>
<b>Epoch</b>: every particle was looked at once. <b>Loss</b>: 1 where only noise is left unexplained.<br>
<b>Verdict</b>: whether the images determine their poses, and why that is believed.""",
    "Switch": """A <b>gauge</b> is full where a condition is met; the line across it is where that begins.<br>
<b>Poses are sharp</b>: for half of the particles hardly more than one pose is likely.<br>
<b>Heads and posterior agree</b>: for most particles some head of the network proposes the likely pose.<br>
<b>The heads gain no more</b>: waiting longer would bring nothing. It stands in for their agreement.<br>
The first one and one of the others are enough.""",
    "Result": """<b>Verdict</b>: converged, ambiguous (mirror-like or nearly symmetric poses were not told apart) or not
determined.<br><b>SCF*</b>: 1 for views from everywhere, 0.81 for side views only; below that expect a smeared map.<br>
<b>E_od</b>: 1 for views from everywhere, 0 for a single view; from 0.8 on it is good, below 0.5 poor.<br>
<b>cFAR</b>, with half sets: below 0.5 the halves agree much less in some directions.<br>
<b>Sure of</b>: particles of which hardly more than one pose is likely.<br>
<b>Junk</b>: images that rather show noise, something else, or two particles.""",
    "Export": """<b>Which particles</b>: all, or those that fulfil conditions, such as <code>belongs > 0.5</code>.<br>
<b>What for</b>: each program gets poses and maps in its own convention. You are asked before
anything is replaced.""",
    "Posterior": """For one particle: how probable each view direction is.<br>
<b>Numbered markers</b>: what each head proposes; the <b>ring</b> is the run's pose, the <b>cross</b> the truth, where
it is known. The <b>line</b> is the way of the pose over the epochs.""",
    "Convergence": """<b>Loss</b>: 1 where only noise is left. <b>Resolution</b>: the solid line is measured, the dashed
one is how far images are compared.<br><b>Pose change</b>: how far poses turn in an epoch, after the switch.<br>
<b>Entropy</b>: 0 where every pose is certain. <b>Readiness</b>: how far each condition of the switch was;
100 % is enough. The red line is the <b>switch</b>.""",
    "In doubt": """The posteriors of many particles, a page at a time, the most uncertain first. <b>Likely views</b>:
how many directions of view are about equally probable. A click chooses the particle.""",
    "Selection": """One selection for all panels. <b>Sort by</b> orders the images; a <b>lasso</b> around points, a
click on a bar or a condition such as <code>belongs &gt; 0.5</code> selects particles. Selected ones can be exported, or
made into a map of their own, which lies beside the live map as a ghost.""",
    "Heads": """For how many particles each head's proposal is the best of the heads, and from where they are seen.
Heads share the sphere of views among themselves.""",
    "Orientations": """How many particles are seen from each direction. A click turns the map there, and chooses the
nearest particle; a <b>lasso</b> selects the particles that are seen from there. The right button turns a globe.""",
    "Two runs": """The run that is shown beside another one, of another method or seed. Its map is laid upon the first,
turned, shifted and inverted where needed. <b>Poses</b>: whether both runs found the same ones. Two runs that agree
without knowing of each other are the best evidence that a map is right.""",
    "Scales": """How strong the particle is in each image, relative to the mean of all. Thick ice and junk are weak.""",
}
"""Title of a panel -> what its marks mean."""


def explain(title: str, parent: QWidget) -> QMessageBox:
    """Open a window with what the marks of a panel mean; the panel can be used meanwhile."""
    box = QMessageBox(QMessageBox.Icon.NoIcon, f"{title}: what the marks mean", EXPLANATIONS[title], parent=parent)
    box.setTextFormat(Qt.TextFormat.RichText)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setModal(False)
    box.show()
    return box


def question_button() -> QToolButton:
    """Make the button that brings an explanation."""
    made = QToolButton()
    made.setText("?")
    made.setAutoRaise(True)
    made.setToolTip("What the marks of this panel mean")
    return made
