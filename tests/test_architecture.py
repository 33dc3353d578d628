"""The walls between the rooms of the package, read from every import in it.

`docs/develop/architecture.md` says why they stand where they stand.
"""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from xml.etree import ElementTree

import networkx as nx
import pytest

from sklearn_causalrec._testing.import_graph import (
    PACKAGE,
    Import,
    module_files,
    read_imports,
    room,
    room_arrows,
)

DOCS = Path(__file__).parents[1] / "docs" / "develop"
INSIDE, OUTSIDE = read_imports()
FILES = module_files()
ROOMS = sorted({room(name) for name in FILES if name})

ESTIMATORS = {"recommender", "do_effect", "policy", "baselines"}
ABOVE = {"serving", "explaining", "privacy"}  # imported by estimators and each other
# The room may import these rooms and no other.
ONLY = {"_utils": set(), "encoding": {"_utils"}, "datasets": {"_utils"}}
# The room reaches none of these, neither directly nor through another room.
NEVER = {
    "causal": {"networks"},
    "effects": {"networks", "causal"},
    "networks": {"causal"},
    "interactions": {"networks", "effects", "causal"},
    "metrics": {"networks"},
}
NO_TORCH = ["causal", "effects", "encoding", "interactions", "metrics", "datasets"]
# CausalGraph.discover makes a graph from data, and discovery makes a CausalGraph.
ALLOWED_CIRCLE = ("causal.graph", "causal.discovery")
LONGEST = 350  # lines outside docstrings: what is well described is not long


def reached(start, imports):
    """Module -> the imports that lead to it from a module of the room ``start``."""
    paths = {name: [] for name in FILES if room(name) == start}
    queue = list(paths)
    while queue:
        importer = queue.pop(0)
        for step in imports:
            if step.importer == importer and step.imported not in paths:
                paths[step.imported] = [*paths[importer], step]
                queue.append(step.imported)
    return paths


def told(*steps):
    return ", ".join(str(step) for step in steps)


def lines_of_code(text):
    """Lines of a module without its docstrings."""
    docstrings = [
        node.body[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node) is not None
    ]
    return len(text.splitlines()) - sum(
        docstring.end_lineno - docstring.lineno + 1 for docstring in docstrings
    )


def circles(imports):
    """Groups of modules that import each other, directly or through others."""
    arrows = {(step.importer, step.imported) for step in imports}
    graph = nx.DiGraph(arrow for arrow in arrows if arrow[0] != arrow[1])
    return [
        sorted(group)
        for group in nx.strongly_connected_components(graph)
        if len(group) > 1
    ]


# The fuzzers of _testing call the estimators.
@pytest.mark.parametrize(
    "name", [r for r in ROOMS if r not in ESTIMATORS | {"_testing"}]
)
def test_no_room_imports_an_estimator(name):
    bad = [
        i for i in INSIDE if room(i.importer) == name and room(i.imported) in ESTIMATORS
    ]
    assert not bad, told(*bad)


@pytest.mark.parametrize(
    "name", [r for r in ROOMS if r not in ESTIMATORS | ABOVE | {"_testing"}]
)
def test_no_room_imports_one_above_it(name):
    bad = [i for i in INSIDE if room(i.importer) == name and room(i.imported) in ABOVE]
    assert not bad, told(*bad)


@pytest.mark.parametrize("name", ROOMS)
def test_no_module_imports_the_whole_package(name):
    bad = [i for i in INSIDE if room(i.importer) == name and i.imported == ""]
    assert not bad, told(*bad)


@pytest.mark.parametrize("name", ONLY)
def test_the_lowest_rooms_import_only_what_is_below(name):
    allowed = ONLY[name] | {name}
    bad = [
        i
        for i in INSIDE
        if room(i.importer) == name and room(i.imported) not in allowed
    ]
    assert not bad, told(*bad)


@pytest.mark.parametrize("name", NEVER)
def test_walls_between_rooms(name):
    paths = reached(name, INSIDE)
    bad = [path for module, path in paths.items() if room(module) in NEVER[name]]
    assert not bad, "; ".join(told(*path) for path in bad)


@pytest.mark.parametrize("name", NO_TORCH)
def test_rooms_without_torch(name):
    paths = reached(name, INSIDE)
    bad = [
        [*paths[i.importer], i]
        for i in OUTSIDE
        if i.importer in paths and i.imported.split(".")[0] in {"torch", "skorch"}
    ]
    assert not bad, "; ".join(told(*path) for path in bad)


def test_no_circles_between_modules():
    assert ALLOWED_CIRCLE in {(i.importer, i.imported) for i in INSIDE}
    others = [i for i in INSIDE if (i.importer, i.imported) != ALLOWED_CIRCLE]
    assert not circles(others), circles(others)


@pytest.mark.parametrize("name", sorted(set(FILES) - ESTIMATORS))
def test_modules_are_short(name):
    lines = lines_of_code(FILES[name].read_text())
    assert lines <= LONGEST, f"{name} has {lines} lines: split it by what it does."


@pytest.mark.parametrize(
    "name", ["", ".causal", ".datasets", ".interactions", ".metrics"]
)
def test_imports_are_light(name):
    heavy = {"torch", "skorch", "econml", "networkx", "matplotlib"}
    code = (
        "import importlib, sys\n"
        f"package = importlib.import_module('sklearn_causalrec{name}')\n"
        f"loaded = {heavy} & set(sys.modules)\n"
        "assert not loaded, f'import of {package.__name__} loads {loaded}'\n"
        "assert len(dir(package)) > 5\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


LAZY = [name for name, path in FILES.items() if "lazily(" in path.read_text()]


@pytest.mark.parametrize("name", [n for n in LAZY if FILES[n].name == "__init__.py"])
def test_type_checkers_see_the_names_that_load_late(name):
    package = import_module(".".join(filter(None, [PACKAGE, name])))
    homes = {
        alias.asname: f"{statement.module}.{alias.name}"
        for block in ast.parse(FILES[name].read_text()).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for alias in statement.names
    }
    assert set(homes) == set(package.__all__) - {"__version__"}
    for exported, home in homes.items():
        assert resolve_name(home) is getattr(package, exported), home


def test_the_picture_is_current():
    picture = ElementTree.parse(DOCS / "architecture.svg")
    drawn = picture.find(".//{http://purl.org/dc/elements/1.1/}description").text
    arrows = [f"{a} -> {b}" for a, b in room_arrows(INSIDE)]
    assert drawn.splitlines() == arrows, "run: python docs/develop/draw_architecture.py"


def test_the_page_names_every_room():
    page = (DOCS / "architecture.md").read_text()
    missing = [name for name in ROOMS if f"`{name}`" not in page]
    assert not missing


def test_the_reader_sees_every_kind_of_import(tmp_path):
    modules = {
        "__init__.py": "lazily(__name__, {'Late': 'upper.late', 'lower': ''})",
        "lower/__init__.py": "from .deep import top",
        "lower/deep.py": (
            "from typing import TYPE_CHECKING\n"
            "def work():\n"
            "    from sklearn_causalrec import Late\n"
            "    import torch.nn\n"
            "if TYPE_CHECKING:\n"
            "    from ..upper import early\n"
            "import_module('sklearn_causalrec.upper.other')\n"
        ),
        "upper/__init__.py": "",
        "upper/early.py": "from sklearn_causalrec.lower.deep import work",
        "upper/late.py": "import sklearn_causalrec.upper.other as other",
        "upper/other.py": "",
    }
    for name, text in modules.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    inside, outside = read_imports(tmp_path)
    assert set(inside) == {
        Import("", "upper.late", 1),
        Import("", "lower", 1),
        Import("lower", "lower.deep", 1),
        Import("lower.deep", "upper.late", 3),
        Import("lower.deep", "upper.early", 6),
        Import("lower.deep", "upper.other", 7),
        Import("upper.early", "lower.deep", 1),
        Import("upper.late", "upper.other", 1),
    }
    assert Import("lower.deep", "torch.nn", 4) in outside
    assert circles(inside) == [["lower.deep", "upper.early"]]


def test_lines_of_code():
    text = '"""One\nand two."""\n\ndef f():\n    """Three."""\n    return """4"""\n'
    assert lines_of_code(text) == 3
