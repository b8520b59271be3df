"""Simulate particles, reconstruct their map from nothing, and hand it to RELION.

python examples/first_map.py OUT [--count 1000]
"""

import argparse
from pathlib import Path

import napari_cryospin as spin

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("out", type=Path, help="folder to write to, new or empty")
parser.add_argument("--count", type=int, default=1000, help="images to simulate")
options = parser.parse_args()

particles = spin.simulate(spin.SAMPLE_MAPS["spliceosome"], options.out / "sample", count=options.count, box=32, snr=0.5)
# With particles of your own: particles = spin.open("particles.star")

run = spin.reconstruct(particles, options.out / "run", preset="quick", heads=5, callback=print)

density = run.map()
print(f"map of {density.density.shape} pixels of {density.pixel_size:.2f} A")
posterior = run.posterior(particle=12)
posterior.plot().savefig(options.out / "posterior_12.png")
exported = spin.export(run, options.out / "poses.star", to="relion", select="entropy < 2")
print(f"wrote {exported.paths[0]}")
