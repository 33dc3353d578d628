"""The examples of the gallery, read and not run.

benchmarks/bench_examples.py runs them.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
DOMAINS = {"shop", "feed", "video", "news", "health", "finance", "experiments"}
SCRIPTS = sorted(EXAMPLES.rglob("plot_*.py"))
NAMES = [script.relative_to(EXAMPLES).as_posix() for script in SCRIPTS]
ROLE = re.compile(r":(?:func|class|meth|mod):`(?:[^`<]*<)?~?([\w.]+)>?`")
LINK = re.compile(r":ref:`(?:[^`<]*<)?sphx_glr_auto_examples_(\w+?)\.py>?`")


def _public(dotted):
    """The object of a dotted name, from modules without an underscore."""
    assert not re.search(r"\._", dotted), dotted
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(dotted)


def _imported(tree):
    """What a script imports of the package, by the name that it has there."""
    return {
        alias.asname or alias.name: _public(f"{node.module}.{alias.name}")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module.partition(".")[0] == "sklearn_causalrec"
        for alias in node.names
    }


def _wrong_arguments(tree, imported):
    """Keywords of calls that what is called does not have."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        path = ast.unparse(node.func).split(".")
        called = imported.get(path[0])
        for part in path[1:]:
            called = getattr(called, part, None)
        if called is None or not callable(called):
            continue
        parameters = inspect.signature(called).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            continue
        given = {keyword.arg for keyword in node.keywords if keyword.arg}
        yield from given - set(parameters)


def test_there_are_enough_for_every_domain():
    assert len(SCRIPTS) >= 25
    folders = {script.parent.name for script in SCRIPTS} - {"examples"}
    assert folders == DOMAINS
    for folder in DOMAINS:
        assert len(list((EXAMPLES / folder).glob("plot_*.py"))) >= 2, folder
        text = (EXAMPLES / folder / "README.rst").read_text()
        assert text.splitlines()[1].startswith("---"), folder


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_an_example_asks_a_question_and_answers_it_in_words(script):
    text = script.read_text()
    tree = ast.parse(text)
    compile(text, str(script), "exec")
    opening = ast.get_docstring(tree)
    title, line, *_ = opening.splitlines()
    assert set(line) == {"="} and len(line) >= len(title)
    assert "?" in opening
    # Those at the top show a whole day's work.
    assert len(text.splitlines()) <= (150 if script.parent != EXAMPLES else 260)
    last = re.split(r"^# %%\n", text, flags=re.MULTILINE)[-1]
    assert last.startswith("# **Answer.**"), "ends without an answer"
    assert all(part.startswith("#") for part in last.splitlines())
    assert 30 <= len(last.replace("#", "").split()) <= 150
    assert re.search(r"\d", last), "an answer without a number"


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_an_example_uses_and_names_what_exists(script):
    text = script.read_text()
    tree = ast.parse(text)
    imported = _imported(tree)
    assert imported
    assert not list(_wrong_arguments(tree, imported))
    assert ROLE.findall(text), "no link to the API"
    for dotted in ROLE.findall(text):
        _public(dotted)
    flat = {name.removesuffix(".py").replace("/", "_") for name in NAMES}
    assert set(LINK.findall(text)) <= flat


def test_the_reader_of_examples_sees_what_is_wrong():
    code = "from sklearn_causalrec.plot import EffectDisplay\n"
    code += "EffectDisplay.from_frame(1, heading=2)\n"
    tree = ast.parse(code)
    assert list(_wrong_arguments(tree, _imported(tree))) == ["heading"]
    with pytest.raises(AttributeError):
        _imported(ast.parse("from sklearn_causalrec import effects_of_magic"))
    with pytest.raises(AssertionError):
        _imported(ast.parse("from sklearn_causalrec._utils import warn"))
    assert ROLE.findall(":meth:`a <~b.c>` :func:`~b.d`") == ["b.c", "b.d"]
