"""Reconstruct real particles twice, from nothing and from a map, and hear what the verdict says of each.

python examples/real_particles.py PARTICLES.star MAP.mrc OUT [--symmetry O] [--resolution 10] [--mask-radius 110]

It was written for apoferritin (EMPIAR-10146, particles of 80 px at 3 A, which you have to cut from the micrographs
yourself): docs/real_particles.md tells what came out. From nothing, that stack tells no poses, and the verdict says so.
From a map of known structure, low-passed to 10 A, with the octahedral symmetry imposed, the map is found, though most
poses are not.
"""

import argparse
from pathlib import Path

import napari_cryospin as spin

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("particles", type=Path, help="particles with CTF: .star, .cs or .csg")
parser.add_argument("map", type=Path, help="map (.mrc) of the molecule, positive protein, with the symmetry's axes")
parser.add_argument("out", type=Path, help="folder to write to, new or empty")
parser.add_argument("--symmetry", default="O", help="point group of the map")
parser.add_argument("--resolution", type=float, default=10.0, help="resolution to which the map is low-passed, A")
parser.add_argument("--mask-radius", type=float, default=None, help="radius of the mask, A; leave room for the CTF")
parser.add_argument("--epochs", type=int, default=None, help="largest number of epochs; default: that of the preset")
options = parser.parse_args()

common = {"mask_radius": options.mask_radius}
if options.epochs is not None:
    common["epochs"] = options.epochs
started = {"reference": str(options.map), "reference_resolution": options.resolution, "symmetry": options.symmetry}

for name, settings in {"from nothing": {}, "from the map": started}.items():
    run = spin.reconstruct(options.particles, options.out / name.replace(" ", "-"), **common, **settings)
    if run.results.verdict is not None:
        print(f"{name}: {run.results.verdict.sentence}")
    compared = run.evaluate(reference=options.map, symmetry=options.symmetry).map
    if compared is not None:
        print(f"  its map agrees with the given one to {compared.resolution:.1f} A")
