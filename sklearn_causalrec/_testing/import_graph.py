"""Who imports whom in the package, read from its source without running it.

The tests of the architecture and the picture in ``docs/develop`` are made from it.
"""

import ast
from pathlib import Path
from typing import NamedTuple

PACKAGE = "sklearn_causalrec"
ROOT = Path(__file__).parents[1]


class Import(NamedTuple):
    """One import statement: which module imports which, and on what line."""

    importer: str
    imported: str
    line: int

    def __str__(self):
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_files(root=ROOT):
    """Path of every module by its name, such as "causal.graph"; "" is the package."""
    files = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        files[".".join(part for part in parts if part != "__init__")] = path
    return files


def room(module):
    """The folder or top-level module that a module of the package belongs to."""
    return module.split(".")[0]


def room_arrows(inside):
    """Pairs (room, another that it imports), sorted; helpers and the surface left out.

    Every room may import ``_utils``; the package itself only names what is public.
    """
    pairs = {(room(step.importer), room(step.imported)) for step in inside}
    apart = {"", "_utils", "_testing"}
    return sorted((a, b) for a, b in pairs if a != b and not {a, b} & apart)


def read_imports(root=ROOT):
    """Every import in the package, wherever in a module it stands.

    Imports at the top, inside functions and under ``TYPE_CHECKING`` count alike, and so
    do ``import_module("...")`` and the names that a package loads on first use
    (`lazily`).

    Parameters
    ----------
    root : Path, default=the installed package
        The folder of the package.

    Returns
    -------
    inside : list of Import
        Imports between modules of the package, by their names within it:
        "causal.graph" imports "causal.graphs.admg".
    outside : list of Import
        Imports of other libraries, by the full name that was imported.
    """
    files = module_files(root)
    trees = {name: ast.parse(path.read_text()) for name, path in files.items()}
    lazy = {
        name: dict(_lazy_names(trees[name], name))
        for name, path in files.items()
        if path.name == "__init__.py"
    }
    inside, outside = [], []
    for name, tree in trees.items():
        package = name if name in lazy else name.rpartition(".")[0]
        for full, line in _imported_names(tree, package):
            if full.split(".")[0] != PACKAGE:
                outside.append(Import(name, full, line))
                continue
            target = _module_of(full.removeprefix(PACKAGE).lstrip("."), files, lazy)
            inside.append(Import(name, target, line))
        for target, line in lazy.get(name, {}).values():
            inside.append(Import(name, target, line))
    return inside, outside


def _imported_names(tree, package):
    """(full dotted name, line) of everything that import statements name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = [PACKAGE, *filter(None, package.split("."))]
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, *filter(None, [base])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        elif _calls(node, "import_module", "__import__") and node.args:
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value, node.lineno


def _lazy_names(tree, package):
    """(public name, (module, line)) of what ``lazily(__name__, {...})`` lists."""
    for node in ast.walk(tree):
        if _calls(node, "lazily"):
            for name, module in ast.literal_eval(node.args[1]).items():
                target = ".".join(filter(None, [package, module or name]))
                yield name, (target, node.lineno)


def _calls(node, *names):
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    return getattr(called, "id", getattr(called, "attr", None)) in names


def _module_of(dotted, files, lazy):
    """The module that a dotted name of the package lies in."""
    if dotted in files:
        return dotted
    parent, _, name = dotted.rpartition(".")
    if name in lazy.get(parent, {}):
        return lazy[parent][name][0]
    return _module_of(parent, files, lazy)
