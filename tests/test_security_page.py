"""The promises of SECURITY.md name tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = [
    line.strip("|").split("|")
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if line.startswith("|") and "::" in line
]


def test_there_are_promises_and_each_names_a_test():
    page = (ROOT / "SECURITY.md").read_text()
    table = page.partition("| promise | held by |")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) == len(PROMISES) > 10


@pytest.mark.parametrize("promise, tests", PROMISES, ids=lambda text: text[:60])
def test_the_tests_of_a_promise_exist(promise, tests):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert named, promise
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        functions = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
        assert functions.count(name) == 1, f"{path} has no test {name}"
