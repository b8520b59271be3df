"""FSC as files: EMDB's XML by its schema, RELION's columns, and text that is read again."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import starfile

from napari_cryospin.io.fsc_files import read_fsc_csv, write_fsc_csv, write_fsc_star, write_fsc_xml

SHELLS = 9
FREQUENCY = np.arange(SHELLS) / (SHELLS * 4.0 * 1000)  # small numbers, that Python would write with an exponent
CURVES = {
    "frequency": FREQUENCY,
    "unmasked": np.linspace(1, -0.01, SHELLS),
    "masked": np.linspace(1, 0.1, SHELLS),
    "phase_randomised": np.linspace(1, 1e-9, SHELLS),
    "corrected": np.linspace(1, 0, SHELLS),
}


def test_xml_is_as_emdb_takes_it(tmp_path):
    """Root fsc with title, xaxis, yaxis; coordinates of x and y, each a decimal number without exponent."""
    path = tmp_path / "fsc.xml"
    write_fsc_xml(path, FREQUENCY, CURVES["phase_randomised"], "halves < 3 & more")
    root = ElementTree.parse(path).getroot()
    assert root.tag == "fsc"
    assert set(root.attrib) == {"title", "xaxis", "yaxis"}
    assert root.get("title") == "halves < 3 & more"
    assert [child.tag for child in root] == ["coordinate"] * SHELLS
    for child in root:
        assert [part.tag for part in child] == ["x", "y"]
        assert all(re.fullmatch(r"-?\d+\.\d+", part.text) for part in child)
    got = np.array([[float(part.text) for part in child] for child in root])
    np.testing.assert_allclose(got, np.stack((FREQUENCY, CURVES["phase_randomised"]), 1), atol=1e-6)
    assert path.read_text().startswith("<?xml")


def test_star_has_relions_columns(tmp_path):
    write_fsc_star(tmp_path / "fsc.star", CURVES, 7.25)
    tables = starfile.read(tmp_path / "fsc.star")
    assert tables["general"]["rlnFinalResolution"] == pytest.approx(7.25)
    table = tables["fsc"]
    assert list(table["rlnSpectralIndex"]) == list(range(SHELLS))
    np.testing.assert_allclose(table["rlnFourierShellCorrelationCorrected"], CURVES["corrected"], atol=1e-6)
    np.testing.assert_allclose(table["rlnFourierShellCorrelationUnmaskedMaps"], CURVES["unmasked"], atol=1e-6)
    np.testing.assert_allclose(table["rlnAngstromResolution"][1:], 1 / FREQUENCY[1:], rtol=1e-4)
    write_fsc_star(tmp_path / "unknown.star", CURVES, float("nan"))
    assert "rlnFinalResolution" not in (tmp_path / "unknown.star").read_text()


def test_text_is_read_again(tmp_path):
    write_fsc_csv(tmp_path / "fsc.csv", CURVES)
    got = read_fsc_csv(tmp_path / "fsc.csv")
    assert list(got) == list(CURVES)
    np.testing.assert_allclose(got["masked"], CURVES["masked"], atol=1e-6)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected frequency"):
        read_fsc_csv(tmp_path / "other.csv")
