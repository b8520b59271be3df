"""A field of one or several files, whose names may have any character that a file's name has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import fsdecode
from pathlib import Path

from magicgui.types import FileDialogMode
from magicgui.widgets import FileEdit

QUOTED = re.compile(r'"([^"]+)"')


class FilesField(FileEdit):
    """Line with a file, or with several in quotation marks, and a button that lets the user choose them.

    The field of magicgui parts its text at every comma and space, and so takes a file of that kind for two.

    Parameters
    ----------
    filter
        Files that the dialog offers, as Qt writes it.
    """

    def __init__(self, filter: str) -> None:
        super().__init__(mode=FileDialogMode.EXISTING_FILES, filter=filter, nullable=True)
        self.choose_btn.text = "Choose..."

    def get_value(self) -> tuple[Path, ...] | None:
        """Return the files; None: there are none."""
        return tuple(map(Path, parted(self.line_edit.value))) or None

    def set_value(self, value: Sequence[Path | str | bytes] | Path | str | bytes | None) -> None:
        """Show files, with their absolute paths; None: none."""
        files = [value] if isinstance(value, str | bytes | Path) else value or []
        names = [str(Path(fsdecode(one)).expanduser().absolute()) for one in files]
        self.line_edit.value = written(names)


def parted(text: str) -> list[str]:
    """Return the names of files in a text: one as it is, or several in quotation marks."""
    text = text.strip()
    quoted = QUOTED.findall(text) if text.startswith('"') else []
    return quoted or ([text] if text else [])


def written(names: Sequence[str]) -> str:
    """Write the names of files so that `parted` returns them."""
    return names[0] if len(names) == 1 else " ".join(f'"{name}"' for name in names)
