"""Which options the package's messages advise, read from its source."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "napari_cryospin"


def advised() -> set[str]:
    """Options that the package's messages advise: the texts after the first of each `Advice(...)`."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Advice":
                found |= {option.value for option in node.args[1:]}
    return found
