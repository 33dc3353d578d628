"""Every exported object is documented, in numpydoc's format.

The checks are named in ``pyproject.toml`` (``[tool.numpydoc_validation]``). For one
room: ``pytest tests/test_docstrings.py -k "causal and checks"``.
"""

import inspect
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

from sklearn_causalrec._testing.import_graph import PACKAGE, module_files
from sklearn_causalrec._utils.postponed import WhenAsked

ROOT = Path(__file__).parents[1]
CHECKS = set(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"][
        "checks"
    ]
)
# An example and related objects stand with the class; its methods need none.
OF_CLASSES_AND_FUNCTIONS = {"EX01", "SA01"}
# An override takes and returns what the method of the base class says.
OF_FIRST_DEFINITIONS = {"PR01", "RT01", "YD01"}


def public_modules():
    """The package, its public packages, and the modules that they export."""
    packages = [
        ".".join(filter(None, [PACKAGE, name]))
        for name, path in module_files().items()
        if path.name == "__init__.py"
        and "_" not in {part[:1] for part in name.split(".")}
    ]
    found = {name: import_module(name) for name in packages}
    for module in list(found.values()):
        for name in getattr(module, "__all__", ()):
            exported = getattr(module, name)
            if isinstance(exported, ModuleType):
                found[exported.__name__] = exported
    return found


def ours(exported):
    return getattr(exported, "__module__", "").startswith(PACKAGE)


def methods(cls):
    """Name, function and checks of public methods and properties of this package.

    scikit-learn writes ``set_fit_request`` and its like.
    """
    for name in dir(cls):
        owners = [base for base in cls.__mro__ if name in vars(base)]
        if name.startswith("_") or not owners or not ours(owners[0]):
            continue
        if name.startswith("set_") and name.endswith("_request"):
            continue
        found = getattr(cls, name)
        if isinstance(found, WhenAsked):
            continue  # an attribute, which the docstring of the class tells of
        if not inspect.isroutine(found):
            if not isinstance(vars(owners[0])[name], property):
                continue
        checks = CHECKS - OF_CLASSES_AND_FUNCTIONS
        if any(ours(base) for base in owners[1:]):
            checks -= OF_FIRST_DEFINITIONS
        yield f"{owners[0].__module__}.{owners[0].__qualname__}.{name}", (found, checks)


def exported_objects():
    """Name -> (object, the checks it has to pass)."""
    found = {}
    for module in public_modules().values():
        for name in getattr(module, "__all__", ()):
            exported = getattr(module, name)
            if not (inspect.isclass(exported) or inspect.isroutine(exported)):
                continue  # a module, a version, an instance of a scorer
            found[f"{exported.__module__}.{exported.__qualname__}"] = exported, CHECKS
            if inspect.isclass(exported):
                found.update(methods(exported))
    return {name.removeprefix(f"{PACKAGE}."): found[name] for name in sorted(found)}


MODULES = public_modules()
EXPORTED = exported_objects()


@pytest.mark.parametrize("name", EXPORTED)
def test_docstring(name):
    exported, checks = EXPORTED[name]
    found = validate(get_doc_object(exported))["errors"]
    wrong = [f"  {code}: {text}" for code, text in found if code in checks]
    if wrong:
        pytest.fail("\n".join([name, *wrong]), pytrace=False)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_of_a_module(name):
    summary = (MODULES[name].__doc__ or "").strip().split("\n\n")[0]
    assert summary.endswith("."), f"{name}: its summary is {summary!r}"
    assert "\n" not in summary, f"{name}: its summary has two lines"


def test_every_module_of_public_names_is_seen():
    seen = {name.removeprefix(f"{PACKAGE}.") for name in MODULES}
    assert {PACKAGE, "baselines", "causal", "metrics"} <= seen
    assert "causal.checks.diagnostics.balance" in EXPORTED
    assert "recommender.CausalDNNRecommender.fit" in EXPORTED
    assert len(EXPORTED) > 250
