"""The guides of docs/develop: their diffs apply to the package, and their code runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = sorted((ROOT / "docs" / "develop").glob("add_*.md"))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def apply_diff(diff, root):
    """Apply a unified diff by its text, wherever in the file the lines stand now."""
    for change in re.split(r"^(?=--- )", diff, flags=re.MULTILINE)[1:]:
        header, *hunks = re.split(r"^@@.*\n", change, flags=re.MULTILINE)
        old, new = re.match(r"--- (\S+)\n\+\+\+ b/(\S+)\n", header).groups()
        path = root / new
        assert (old == "/dev/null") != path.exists(), f"{new}: is it new or not?"
        text = path.read_text() if path.exists() else ""
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            if before:
                assert text.count(before) == 1, f"{new} has not, or not once:\n{before}"
                text = text.replace(before, after)
            else:
                text = after
        path.write_text(text)


def run(root, *arguments):
    there = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=there,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=GUIDES, ids=lambda path: path.stem)
def guide(request, tmp_path):
    """The text of a guide, and a copy of the package that it changes."""
    page = request.param.read_text()
    skip = shutil.ignore_patterns("__pycache__", "_build", "auto_examples", "generated")
    for folder in ("sklearn_causalrec", "docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return page, tmp_path


def test_guide(guide):
    page, root = guide
    for diff in blocks(page, "diff"):
        apply_diff(diff, root)
    where = (
        f"import sklearn_causalrec as s\nassert s.__file__.startswith({str(root)!r})\n"
    )
    run(root, "-c", where + "\n".join(blocks(page, "python")))
    changed = re.findall(r"^\+\+\+ b/(\S+\.py)$", page, re.MULTILINE)
    run(root, "-m", "ruff", "check", *changed)
    run(root, "-m", "ruff", "format", "--check", *changed)
    if "metric" in page.splitlines()[0]:  # its lists in the docs are compared
        tests = root / "tests" / "metrics"
        tests.mkdir(parents=True)
        shutil.copy(ROOT / "tests" / "metrics" / "test_registry.py", tests)
        run(root, "-m", "pytest", str(tests), "-q", "-k", "table or every_scorer")


def test_there_are_four():
    assert [path.stem for path in GUIDES] == [
        "add_a_metric",
        "add_a_strategy",
        "add_an_encoder",
        "add_an_objective",
    ]
