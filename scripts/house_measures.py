"""Count what the structure of the package is held to: import circles, names with two meanings, questions of type.

    python scripts/house_measures.py SRC [--tests FOLDER] [--list]

SRC is the folder that holds the package. Reads the syntax tree and imports nothing. `--list` names every finding, with
file and line. tests/test_house.py holds the counts to their ceilings.
"""

from __future__ import annotations

import argparse
import ast
import functools
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "napari_cryospin"
NESTED_ROOMS = ("widgets",)
"""Rooms whose folders are rooms in turn."""
FOREIGN_FLAGS = {
    *("--ind", "--uninvert-data", "--firstiter_cc", "--multiply_constant"),
    *("--gres", "--job-name", "--parsable", "--partition", "--signal", "--time"),
}
"""Flags of other programs, which messages may name: cryoDRGN, RELION, sbatch."""
SHARED_FLAGS = {"cryodrgn.py": {"--poses", "--ctf"}, "launch.py": {"--output"}}
"""File -> flags that are ours as well, but mean those of another program there."""
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*$")


@dataclass
class Module:
    """A file of the package."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        """The part of the package that it belongs to; of files beside the rooms, their own name."""
        parts = self.name.split(".")[1:]
        depth = 2 if parts and parts[0] in NESTED_ROOMS and (len(parts) > 2 or self.is_package) else 1
        return ".".join(parts[:depth])

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def at(self, node: ast.AST, text: str) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 0)}: {text}"

    @functools.cached_property
    def docstrings(self) -> set[int]:
        """Ids of the nodes of texts that stand alone: docstrings, and those of fields."""
        alone = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Expr))
        return {id(value) for value in alone if isinstance(value, ast.Constant)}

    @functools.cached_property
    def texts(self) -> list[tuple[ast.AST, str, bool]]:
        """Text literals but docstrings: node, text, whether the text goes on with something computed.

        Constants of the module that an f-string quotes are filled in.
        """
        known = dict(self._text_constants())
        found: list[tuple[ast.AST, str, bool]] = []
        parts: set[int] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.JoinedStr):
                parts |= {id(value) for value in node.values}
                found += filled_in(node, known)
            elif (text := text_of(node)) is not None and id(node) not in parts | self.docstrings:
                found.append((node, text, False))
        return found

    def _text_constants(self) -> Iterator[tuple[str, str]]:
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and (text := text_of(node.value)) is not None:
                yield from ((name.id, text) for name in node.targets if isinstance(name, ast.Name))


def text_of(node: ast.AST) -> str | None:
    """The text of a text literal."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def filled_in(node: ast.JoinedStr, known: dict[str, str]) -> Iterator[tuple[ast.AST, str, bool]]:
    """Stretches of an f-string between what only running it would tell."""
    text = ""
    for value in node.values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
        elif isinstance(value, ast.FormattedValue) and isinstance(value.value, ast.Name) and value.value.id in known:
            text += known[value.value.id]
        else:
            yield node, text, True
            text = ""
    yield node, text, False


@dataclass
class House:
    """All files of the package."""

    source: Path
    modules: dict[str, Module] = field(default_factory=dict)

    def __post_init__(self) -> None:
        root = self.source / PACKAGE
        if not (root / "__init__.py").is_file():
            raise FileNotFoundError(f"{root}: no package there; expected the folder that holds {PACKAGE}")
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(self.source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            self.modules[name] = Module(name, path, ast.parse(text), text.count("\n"))

    def imports(self, module: Module) -> Iterator[tuple[str, ast.AST]]:
        """Modules of the package that a file imports, anywhere in it, or names in a text to import them later."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node) for alias in node.names if alias.name in self.modules)
            elif isinstance(node, ast.ImportFrom) and node.module in self.modules:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in self.modules else node.module, node
        yield from self.imports_by_text(module)

    def imports_by_text(self, module: Module) -> Iterator[tuple[str, ast.AST]]:
        """Modules that are named in texts: whole, or their last part where the rest is put before it."""
        words = [(word.partition(":")[0], node) for node, word, _ in module.texts]
        for node, text, goes_on in module.texts:
            if not text.startswith(f"{PACKAGE}."):
                continue
            name = text.partition(":")[0]
            if name in self.modules:
                yield name, node
            elif goes_on and name.endswith("."):
                yield from ((name + word, place) for word, place in words if name + word in self.modules)


@dataclass(frozen=True)
class Count:
    """A measure: its number, and what was counted."""

    name: str
    found: tuple[str, ...]

    @property
    def number(self) -> int:
        return len(self.found)

    @property
    def files(self) -> int:
        return len({text.partition(":")[0] for text in self.found})


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes from each of which all others of the group are reached (Tarjan 1972), larger than one."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(arrows.get(node, ())):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(arrows):
        if node not in order:
            visit(node)
    return found


def module_circles(house: House) -> Count:
    arrows = {name: {target for target, _ in house.imports(module)} - {name} for name, module in house.modules.items()}
    return Count("import circles between modules", tuple(" <-> ".join(group) for group in circles(arrows)))


def room_circles(house: House) -> Count:
    arrows: dict[str, set[str]] = defaultdict(set)
    for module in house.modules.values():
        targets = {house.modules[target].room for target, _ in house.imports(module)}
        arrows[module.room] |= targets - {module.room}
    return Count("import circles between rooms", tuple(" <-> ".join(group) for group in circles(arrows)))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(house: House) -> Count:
    """Private names of another room that are imported, or read as an attribute of a module of another room."""
    found = []
    for module in house.modules.values():
        known: dict[str, str] = {}  # name in this file -> module of the package that it stands for
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module in house.modules:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    if inner in house.modules:
                        known[alias.asname or alias.name] = inner
                    if is_private(alias.name) and house.modules[node.module].room != module.room:
                        found.append(module.at(node, f"{node.module} {alias.name}"))
            elif isinstance(node, ast.Import):
                known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and is_private(node.attr):
                target = house.modules.get(known.get(node.value.id, ""))
                if target is not None and target.room != module.room:
                    found.append(module.at(node, f"{target.name} {node.attr}"))
    return Count("private names of another room", tuple(found))


def name_of(node: ast.AST | None) -> str:
    """The last part of a name: `c` of `a.b.c`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def volume_questions(house: House) -> Count:
    """`isinstance` and `match` on classes whose names end with Volume, outside `models`."""
    found = []
    for module in house.modules.values():
        if module.room == "models":
            continue
        for node in ast.walk(module.tree):
            asked: Iterable[str] = ()
            if isinstance(node, ast.Call) and name_of(node.func) in ("isinstance", "issubclass"):
                asked = (name_of(part) for argument in node.args[1:] for part in ast.walk(argument))
            elif isinstance(node, ast.MatchClass):
                asked = (name_of(node.cls),)
            if names := [name for name in asked if name.endswith("Volume")]:
                found.append(module.at(node, " | ".join(names)))
    return Count("isinstance on volumes outside models", tuple(found))


def method_questions(house: House) -> Count:
    """Comparisons with the method's name: a row of the table of methods should tell instead."""
    asked = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
    found = []
    for module in house.modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Compare) and any(isinstance(operator, asked) for operator in node.ops):
                if "method" in map(name_of, (node.left, *node.comparators)):
                    found.append(module.at(node, ast.unparse(node)))
            elif isinstance(node, ast.Match) and name_of(node.subject) == "method":
                found.append(module.at(node, "match method"))
    return Count("comparisons with the method's name", tuple(found))


def assigned(node: ast.stmt) -> Iterator[str]:
    """Names that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        parts = target.elts if isinstance(target, ast.Tuple) else [target]
        yield from (part.id for part in parts if isinstance(part, ast.Name))


def top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those in its `if` and `try` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            inner = [*node.body, *node.orelse]
            if isinstance(node, ast.Try):
                inner += [*node.finalbody, *(line for handler in node.handlers for line in handler.body)]
            yield from top_level(inner)


def constants_of(module: Module) -> Iterator[str]:
    names = (name for node in top_level(module.tree.body) for name in assigned(node))
    return (name for name in names if CONSTANT.match(name))


def functions_of(module: Module) -> Iterator[str]:
    """Public functions."""
    nodes = (node for node in top_level(module.tree.body) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return (node.name for node in nodes if not node.name.startswith("_"))


def classes_of(module: Module) -> Iterator[str]:
    return (node.name for node in top_level(module.tree.body) if isinstance(node, ast.ClassDef))


def repeated(house: House, kind: str) -> Count:
    """Names that several files define."""
    names = {"constant": constants_of, "public function": functions_of, "class": classes_of}[kind]
    files: dict[str, set[str]] = defaultdict(set)
    for module in house.modules.values():
        for name in names(module):
            files[name].add(module.name.removeprefix(f"{PACKAGE}."))
    found = tuple(f"{name}: {', '.join(sorted(where))}" for name, where in sorted(files.items()) if len(where) > 1)
    return Count(f"{kind} names that several files define", found)


def flags_outside_cli(house: House) -> Count:
    """Flags of the command line in texts of other rooms."""
    found = []
    for module in house.modules.values():
        if module.room != "cli":
            foreign = FOREIGN_FLAGS | SHARED_FLAGS.get(module.path.name, set())
            for node, text, _ in module.texts:
                found += [module.at(node, flag) for flag in FLAG.findall(text) if flag not in foreign]
    return Count("command-line flags in texts outside cli", tuple(found))


def counts(house: House) -> dict[str, Count]:
    """Name -> what should become less, or be none."""
    repeats = [repeated(house, kind) for kind in ("constant", "public function", "class")]
    questions = [volume_questions(house), method_questions(house)]
    arrows = [module_circles(house), room_circles(house), private_names(house)]
    return {count.name: count for count in (*arrows, *questions, *repeats, flags_outside_cli(house))}


def count_tests(folder: Path) -> int:
    """Test functions and methods, each counted once however many parameters it has."""
    nodes = (node for path in folder.rglob("test_*.py") for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    return sum(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in nodes)


def report(house: House, tests: Path | None, *, listed: bool) -> str:
    """All measures as text."""
    lines = []
    for count in counts(house).values():
        files = f" in {count.files} files" if count.files != count.number else ""
        lines.append(f"{count.number:5}  {count.name}{files}")
        lines += [f"         {text}" for text in count.found] if listed else []
    sizes = [module.lines for module in house.modules.values()]
    lines.append(
        f"{len(sizes):5}  files, {sum(sizes)} lines; a file: median {statistics.median(sizes):g}, at most {max(sizes)}"
    )
    if tests is not None:
        lines.append(f"{count_tests(tests):5}  tests")
    rooms: dict[str, list[int]] = defaultdict(list)
    for module in house.modules.values():
        rooms[module.room].append(module.lines)
    lines.append(f"{len(rooms):5}  rooms, single files included; files and lines of each:")
    lines += [f"         {room or '(package)'}: {len(sizes)}, {sum(sizes)}" for room, sizes in sorted(rooms.items())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help=f"folder that holds {PACKAGE}, or one whose src does")
    parser.add_argument("--tests", type=Path, help="folder of tests; default: tests beside SRC, where there is one")
    parser.add_argument("--list", action="store_true", help="name every finding")
    options = parser.parse_args()
    inner = options.source / "src"
    source = inner if inner.is_dir() else options.source
    beside = source.resolve().parent / "tests"
    tests = options.tests or (beside if beside.is_dir() else None)
    sys.stdout.write(report(House(source), tests, listed=options.list) + "\n")


if __name__ == "__main__":
    main()
