"""The code of the guides runs as it is pasted, and prints what the page shows."""

import ast
import inspect
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from sklearn import config_context

import sklearn_causalrec

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = sorted(p.name for p in DOCS.glob("*.md") if "```python" in p.read_text())


def blocks_of(text):
    """Code, and the output that the page shows right below it, or None."""
    found = list(BLOCK.finditer(text))
    for block, after in zip(found, [*found[1:], None]):
        if block[1] == "python" and ">>>" not in block[2]:
            close = after is not None and not text[block.end() : after.start()].strip()
            shown = after[2] if close and after[1] == "text" else None
            yield text[: block.start()].count("\n") + 1, block[2], shown


def _what_was_explained(names, folder, printed):
    assert (folder / "report.html").stat().st_size > 5_000
    assert names["found"].varies and "visits" in names["found"].table["segment"][0]
    assert "Because of tea" in printed


CHECKS = {"explaining.md": _what_was_explained}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore")
def test_the_code_of_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, path, printed = {"__name__": "page"}, DOCS / page, ""
    with config_context():
        for line, code, shown in blocks_of(path.read_text()):
            out = StringIO()
            with redirect_stdout(out):
                exec(compile("\n" * line + code, str(path), "exec"), names)
            printed += out.getvalue()
            if shown is not None:
                assert out.getvalue().rstrip() == shown.rstrip(), f"{page}:{line}"
    if page in CHECKS:
        CHECKS[page](names, tmp_path, printed)


def test_all_pages_are_found():
    assert len(PAGES) >= 8
    first = "```python\nprint(1)\n```\n\n```text\n1\n```\n"
    text = first + "\nA word.\n\n```python\n2\n```\n"
    assert list(blocks_of(text)) == [(1, "print(1)\n", "1\n"), (11, "2\n", None)]


def _calls(text):
    """Calls and dotted names of the right column of the tables of a page."""
    for row in re.findall(r"^\|.*\|.*\|$", text, re.MULTILINE)[2:]:
        for code in re.findall(r"`([^`…]*?)`", row.rsplit("|", 2)[1]):
            try:
                tree = ast.parse(code)
            except SyntaxError:
                continue
            yield from (n for n in ast.walk(tree) if isinstance(n, ast.Call))
            yield from (n for n in ast.walk(tree) if isinstance(n, ast.Attribute))


ROOMS = ("baselines", "metrics", "plot", "interactions")


def test_what_the_migration_page_names_exists():
    """Names of rooms, public functions and their arguments."""
    seen = 0
    for node in _calls((DOCS / "migrating.md").read_text()):
        called = node.func if isinstance(node, ast.Call) else node
        if isinstance(called, ast.Attribute):
            if not isinstance(called.value, ast.Name) or called.value.id not in ROOMS:
                continue
            function = getattr(getattr(sklearn_causalrec, called.value.id), called.attr)
        elif hasattr(sklearn_causalrec, called.id):
            function = getattr(sklearn_causalrec, called.id)
        elif hasattr(sklearn_causalrec.metrics, called.id):
            function = getattr(sklearn_causalrec.metrics, called.id)
        else:
            continue
        seen += 1
        if isinstance(node, ast.Call):
            parameters = inspect.signature(function).parameters
            open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
            given = {k.arg for k in node.keywords}
            assert open_ended or given <= set(parameters), (called, given)
    assert seen >= 15


RESULTS = Path(__file__).parents[1] / "benchmarks"
NUMBER = re.compile(r"(?<![\w.,-])-?(?:\d[\d,]*\.?\d*|\.\d+)(?:e-?\d+)?(?![\w])")


def test_the_numbers_of_how_good_is_it_are_those_of_the_results():
    """Each number beside a claim stands on the page of results that the row names."""
    seen, missed = 0, 0
    for row in (DOCS / "how_good_is_it.md").read_text().splitlines():
        page = re.search(r"\{doc\}`results/(\w+)` \|$", row)
        if page is None:
            continue
        told = (RESULTS / f"{page[1]}.md").read_text()
        there = {number.rstrip(".,") for number in NUMBER.findall(told)}
        ours, beside = row.split("|")[2:4]
        words = re.sub(r"`[^`]*`|\(EconML\)|1\.05 × EASE", "", f"{ours} {beside}")
        for number in NUMBER.findall(words):
            seen += 1
            assert number.rstrip(".,") in there, f"{page[1]}: {number} of {row}"
        missed += "**missed" in row
    assert seen > 80 and missed >= 8


def test_every_page_of_results_is_linked_from_the_documentation():
    text = (DOCS / "how_good_is_it.md").read_text()
    for page in RESULTS.glob("RESULTS*.md"):
        assert f"\nresults/{page.stem}\n" in text
        assert f"benchmarks/{page.name}" in (DOCS / "results" / page.name).read_text()


def test_the_picture_of_estimators_names_what_there_is():
    """Its names exist, its script draws it, and it is as wide as a phone."""
    folder = DOCS / "images"
    script = folder / "draw_which_estimator.py"
    names = {"__name__": "drawing", "__file__": str(script)}
    exec(compile(script.read_text(), str(script), "exec"), names)
    picture = names["draw"]()
    assert picture == (folder / "which_estimator.svg").read_text(), f"run: {script}"
    assert 'viewBox="0 0 360 ' in picture  # at 390 px no letter is made smaller
    assert min(map(float, re.findall(r'font-size="([\d.]+)"', picture))) >= 12
    shown = re.sub("<title>.*</title>", "", picture)
    for name in ("CausalDNNRecommender", "DoCalculusEffect", "CounterfactualPolicy"):
        assert name in shown and hasattr(sklearn_causalrec, name)
    for name in ("EASE", "ImplicitALS"):
        assert name in shown and hasattr(sklearn_causalrec.baselines, name)
    assert (
        "evaluate_lists" in shown
        and "propensity"
        in inspect.signature(sklearn_causalrec.DoCalculusEffect.fit).parameters
    )
