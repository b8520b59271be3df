"""The readiness for the switch: read from a real run's metrics, and the same as the engine's own advice."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from napari_cryospin.driving.run import drive_run
from napari_cryospin.engine.readiness import PATIENT_EPOCHS, SWITCH_ENTROPY, recent_gain, stands_still
from napari_cryospin.engine.switching import take_measured
from napari_cryospin.runs.folder import RunFolder
from napari_cryospin.runs.source import RunInput
from napari_cryospin.settings import PRESETS
from napari_cryospin.views.readiness import readiness_curves, readiness_of
from support.version_0_1 import VERSION_0_1


def lines(entropies, agreed):
    """Metrics of epochs; the last steps of an epoch have no such values."""
    found = []
    for epoch, (entropy, share) in enumerate(zip(entropies, agreed, strict=True), start=1):
        found.append({"epoch": epoch, "loss": 1.0})
        found.append({"epoch": epoch, "switch_entropy": entropy, "heads_agree": share, "epoch_ended": True})
    return found


def test_nothing_is_met_before_it_is_measured():
    found = readiness_of([{"epoch": 1, "entropy": 3.0, "epoch_ended": True}])
    assert not found.measured
    assert [one.met for one in found.conditions] == [None] * 3
    assert all(one.place == 0 and one.told == "not measured yet" for one in found.conditions)


def test_each_condition_is_met_at_its_threshold_and_not_before():
    below = readiness_of(lines([0.51], [0.83]))
    assert (below.sharp.met, below.agree.met) == (False, False)
    assert (below.sharp.place < below.sharp.threshold, below.agree.place < below.agree.threshold) == (True, True)
    above = readiness_of(lines([0.5], [0.84]))
    assert (above.sharp.met, above.agree.met) == (True, True)
    assert above.sharp.place == pytest.approx(above.sharp.threshold)
    assert (below.still.needed, above.still.needed) == (True, False)
    assert above.agree.told == "for 84 % of the particles"


def test_the_gain_is_that_of_the_last_epochs_over_the_best_before():
    rising = [0.2, 0.4, 0.55, 0.6, 0.65, 0.7, 0.75]
    assert recent_gain(rising) == pytest.approx(0.75 - 0.55)
    assert recent_gain(rising[:PATIENT_EPOCHS]) is None
    flat = [0.6] * (PATIENT_EPOCHS + 1)
    for agreed in (rising, flat, [0.4] * 9):
        found = readiness_of(lines([0.1] * len(agreed), agreed)).still
        assert found.met == stands_still(agreed)
    assert readiness_of(lines([0.1] * 5, flat)).still.met
    assert not readiness_of(lines([0.1] * 9, [0.4] * 9)).still.met  # They never agreed with half.


def test_the_curves_end_where_the_gauges_are_and_reach_all_where_a_condition_is_met():
    entropy = [4.0, 1.0, 0.5, 0.3, 0.3, 0.3, 0.3]
    agreed = [math.nan, 0.2, 0.5, 0.6, 0.61, 0.61, 0.61]
    for count in range(1, len(entropy) + 1):
        found = readiness_of(lines(entropy[:count], agreed[:count]))
        for curve, condition in zip(readiness_curves(found), found.conditions, strict=True):
            assert len(curve.reached) == count
            assert math.isnan(curve.reached[-1]) == (condition.met is None)
            assert (curve.reached[-1] == 1) == (condition.met is True)
            assert curve.name == condition.name
    sharp, agree, _ = (curve.reached for curve in readiness_curves(found))
    assert list(np.diff(sharp) >= 0) == [True] * 6
    assert sharp[1] < 1 == sharp[2]
    assert agree[2] == pytest.approx(0.5 / 0.84)
    never = readiness_of(lines([0.1] * 9, [0.4] * 9))  # No gain, but the heads have not learned.
    assert readiness_curves(never)[2].reached[-1] == 0


def test_a_run_records_what_its_advice_is_based_on(tmp_path):
    quick = PRESETS["quick"]
    settings = dataclasses.replace(
        quick,
        preparation=dataclasses.replace(quick.preparation, half_sets=True),
        encoder=dataclasses.replace(quick.encoder, heads=2, encoder_box=16, encoder_batch=15),
        volume=dataclasses.replace(quick.volume, first_band=3, encoding_band=4, growth_steps=2),
        schedule=dataclasses.replace(quick.schedule, epochs=6, decoding_epochs=1, switch=4, batch_size=15),
        machine=dataclasses.replace(quick.machine, device="cpu"),
    )
    source = RunInput(particles=VERSION_0_1 / "particles.star")
    folder = RunFolder.create(tmp_path / "run", source, settings)
    drive_run(folder)
    ends = [line for line in folder.read_metrics() if line.get("epoch_ended")]
    found = readiness_of(folder.read_metrics())
    assert found.measured
    assert found.epochs[-1] <= 4  # Nothing is measured after the switch.
    advised = {event.detail["epoch"]: event.detail for event in folder.read_events() if event.kind == "epoch"}
    for epoch, entropy, share in zip(found.epochs, found.entropy, found.agreed, strict=True):
        reason = advised[epoch]["switch_reason"]
        if "nats" in reason and "uncertain" in reason:
            assert entropy > SWITCH_ENTROPY
        assert ("agrees" in reason) <= (0 <= share <= 1)
        assert entropy >= 0
    assert len(ends) == 5


def test_of_two_fits_the_worse_numbers_count_and_only_once():
    fits = [SimpleNamespace(measured={"switch_entropy": 0.2, "heads_agree": 0.9})]
    fits.append(SimpleNamespace(measured={"switch_entropy": 0.4, "heads_agree": 0.7}))
    assert take_measured(fits) == {"switch_entropy": 0.4, "heads_agree": 0.7}
    assert take_measured(fits) == {}
    fits[0].measured, fits[1].measured = {"switch_entropy": 0.2, "heads_agree": 0.9}, {"switch_entropy": 0.4}
    assert take_measured(fits) == {"switch_entropy": 0.4}
