"""`python -m napari_cryospin`: the command line."""

import sys

from napari_cryospin.cli import main

if __name__ == "__main__":
    sys.exit(main())
