"""Press the switch from a script: as soon as the heads cover the posterior of most particles, or after six epochs.

The window's button does the same: it writes a command into the run's folder, which the run obeys between two steps.

    python examples/hand_on_the_switch.py PARTICLES OUT
"""

import argparse

import napari_cryospin as spin

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("particles", help=".star, .cs, .csg, .mrcs or .mrc")
parser.add_argument("out", help="folder of the run, new or empty")
parser.add_argument("--latest", type=int, default=6, help="epoch after which the switch is pressed in any case")
options = parser.parse_args()


def look_and_decide(epoch: spin.EpochSummary) -> None:
    """Print an epoch and the share of each head, and press the switch when it is time."""
    shares = " ".join(f"{100 * share:.0f}" for share in epoch.head_shares)
    print(f"{epoch}; heads' shares in %: {shares}")
    if epoch.stage == "auto-encoding" and (epoch.switch_ready or epoch.epoch >= options.latest):
        epoch.switch(f"epoch {epoch.epoch}: {epoch.switch_reason}")


run = spin.reconstruct(options.particles, options.out, switch="by-hand", callback=look_and_decide)
for event in run.folder.read_events():
    if event.kind == "switched":
        print(f"switched at step {event.step}: {event.detail['reason']}")
