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

ROOT = Path(__file__).parents[1]
CHECKS = set(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"][
        "checks"
    ]
)
# An example and related objects stand with the class; its methods need none.
OF_CLASSES_AND_FUNCTIONS = {"EX01", "SA01"}


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
    """Public methods and properties that classes of this package define.

    scikit-learn writes ``set_fit_request`` and its like.
    """
    for name in dir(cls):
        owner = next((base for base in cls.__mro__ if name in vars(base)), None)
        if name.startswith("_") or owner is None or not ours(owner):
            continue
        if name.startswith("set_") and name.endswith("_request"):
            continue
        if inspect.isroutine(getattr(cls, name)) or isinstance(
            vars(owner)[name], property
        ):
            yield f"{owner.__module__}.{owner.__qualname__}.{name}", getattr(cls, name)


def exported_objects():
    """Name -> (object, the checks it has to pass)."""
    found = {}
    for module_name, module in public_modules().items():
        found[module_name] = module, CHECKS - OF_CLASSES_AND_FUNCTIONS
        for name in getattr(module, "__all__", ()):
            exported = getattr(module, name)
            if not (inspect.isclass(exported) or inspect.isroutine(exported)):
                continue  # a module, a version, an instance of a scorer
            home = f"{exported.__module__}.{exported.__qualname__}"
            found[home] = exported, CHECKS
            if inspect.isclass(exported):
                for method, function in methods(exported):
                    found[method] = function, CHECKS - OF_CLASSES_AND_FUNCTIONS
    return {name.removeprefix(f"{PACKAGE}."): found[name] for name in sorted(found)}


EXPORTED = exported_objects()


@pytest.mark.parametrize("name", EXPORTED)
def test_docstring(name):
    exported, checks = EXPORTED[name]
    found = validate(get_doc_object(exported))["errors"]
    wrong = [f"  {code}: {text}" for code, text in found if code in checks]
    if wrong:
        pytest.fail("\n".join([name, *wrong]), pytrace=False)


def test_every_module_of_public_names_is_seen():
    assert {"causal.checks.diagnostics.balance", "baselines", "metrics"} <= set(
        EXPORTED
    )
    assert "recommender.CausalDNNRecommender.fit" in EXPORTED
    assert len(EXPORTED) > 250
