"""Mutants of the core: 100 places are broken, one at a time; which do tests not see?

A place is a sign, a weight, a clip, a mask or an alpha of ``effects``, ``metrics``,
``causal.estimation``, ``causal.checks``, ``encoding`` or the objectives. Each is
changed in a copy of the repository, and the tests that know its module are run: the
files that name what is in it come first, then those of its folder, then those of the
estimators. A mutant whose tests all pass survives. The choice is drawn, by kind.

Tests run in forks of a process that has imported numpy, torch and the like, so that
hardly any time goes into imports; hence this needs a POSIX system. Only quick tests
run: ``--junit`` names the record of a run without mutants (``pytest --junitxml``), and
tests that failed there, or took longer than ``--quick`` seconds, are left out.

Run ``python benchmarks/bench_mutation.py [--places 100] [--seed 0] [--junit PATH]
[--quick 2] [--near 3] [--only PATH:LINE ...]``.
"""

import argparse
import ast
import compileall
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

ROOT = Path(__file__).parents[1]
CORE = {  # modules: the folders of their tests
    "effects/*.py": ["tests/effects"],
    "metrics/*.py": ["tests/metrics"],
    "metrics/off_policy/*.py": ["tests/metrics"],
    "causal/estimation/*.py": ["tests/causal/estimation"],
    "causal/estimation/strategies/*.py": ["tests/causal/estimation"],
    "causal/checks/*.py": ["tests/causal/checks"],
    "encoding/arms.py": ["tests/encoding"],
    "encoding/checks.py": ["tests/encoding"],
    "encoding/contrasts.py": ["tests/encoding"],
    "encoding/control.py": ["tests/encoding"],
    "encoding/exposure.py": ["tests/encoding", "tests/networks"],
    "networks/objectives/*.py": ["tests/networks"],
}
LAST = ["tests/test_do_effect.py", "tests/test_trust.py", "tests/test_recommender.py"]
LIMIT = 900  # seconds that the tests of a mutant may take; more counts as seen
KINDS = ["sign", "weight", "clip", "mask", "alpha", "except"]
SHARES = {"sign": 28, "weight": 24, "clip": 16, "mask": 22, "alpha": 8, "except": 2}
# Places where the change is none: no test can see it. Line text: why.
EQUIVALENT = {
    "mu, step = np.empty((len(at), m)), max(1, 200_000 // max(m, 1))": (
        "rows that are predicted at once: memory and time alone"
    ),
    "if given & ~free:": "without it a law is divided by itself: time alone",
}


@dataclass(frozen=True)
class Mutant:
    """One change of one place of a module's text."""

    path: str  # below the root
    line: int
    kind: str
    start: int
    stop: int
    new: str

    def applied(self, text):
        return text[: self.start] + self.new + text[self.stop :]

    def shown(self, text):
        return f"{self.path}:{self.line} {self.kind}: {text[self.start : self.stop]!s:.60} -> {self.new!s:.60}"  # noqa: E501


def _is_weight(node):
    """Whether a node is a weight: a name for one, a part of it or its inverse."""
    while isinstance(node, ast.Subscript):
        node = node.value
    name = getattr(node, "id", getattr(node, "attr", None))
    return name in {
        "w", "_w", "weight", "weights", "sample_weight", "odds", "relative", "ratio",
    }  # fmt: skip


def _swapped(operator):
    pairs = {
        ast.Add: "-", ast.Sub: "+", ast.Lt: ">=", ast.GtE: "<", ast.Gt: "<=",
        ast.LtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.BitAnd: "|", ast.BitOr: "&",
    }  # fmt: skip
    return pairs.get(type(operator))


class _Places(ast.NodeVisitor):
    """The mutants of a module: what a visit of its tree finds."""

    def __init__(self, path, text):
        self.path, self.found = path, []
        self._text = text
        lines = text.encode().splitlines(keepends=True)
        self._starts = np.concatenate([[0], np.cumsum([len(line) for line in lines])])
        self._bytes = text.encode()

    def _at(self, line, column):  # columns of an AST count bytes
        return len(self._bytes[: self._starts[line - 1] + column].decode())

    def _source(self, node):
        return self._text[slice(*self._span(node))]

    def _span(self, node):
        return (
            self._at(node.lineno, node.col_offset),
            self._at(node.end_lineno, node.end_col_offset),
        )

    def _add(self, node, kind, new):
        start, stop = self._span(node)
        self.found.append(Mutant(self.path, node.lineno, kind, start, stop, new))

    def visit_Raise(self, node):
        pass  # messages

    def visit_JoinedStr(self, node):
        pass

    def visit_arguments(self, node):
        pass  # defaults and annotations

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)

    def visit_BinOp(self, node):
        left, right = self._source(node.left), self._source(node.right)
        text = isinstance(node.left, ast.Constant | ast.JoinedStr | ast.List) or (
            isinstance(node.right, ast.JoinedStr | ast.List)
        )
        new = _swapped(node.op)
        if isinstance(node.op, ast.Add | ast.Sub) and not (
            text and not isinstance(getattr(node.left, "value", None), int | float)
        ):
            self._add(node, "sign", f"({left} {new} ({right}))")
        elif isinstance(node.op, ast.BitAnd | ast.BitOr):
            self._add(node, "mask", f"(({left}) {new} ({right}))")
        elif isinstance(node.op, ast.Div) and left == "alpha":
            self._add(node, "alpha", "alpha")
        elif isinstance(node.op, ast.Mult | ast.MatMult):
            if _is_weight(node.left) and isinstance(node.op, ast.Mult):
                self._add(node, "weight", f"({right})")
            elif _is_weight(node.right) and isinstance(node.op, ast.Mult):
                self._add(node, "weight", f"({left})")
        elif isinstance(node.op, ast.Div) and _is_weight(node.right):
            self._add(node, "weight", f"({left})")
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        new = {ast.Add: "-=", ast.Sub: "+="}.get(type(node.op))
        if new is not None and not isinstance(node.value, ast.JoinedStr | ast.List):
            target, value = self._source(node.target), self._source(node.value)
            self._add(node, "sign", f"{target} {new} ({value})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        inner = self._source(node.operand)
        if isinstance(node.op, ast.USub) and inner != "1":  # -1 is a place
            self._add(node, "sign", f"({inner})")
        elif isinstance(node.op, ast.Invert):
            self._add(node, "mask", f"({inner})")
        self.generic_visit(node)

    def visit_Compare(self, node):
        new = _swapped(node.ops[0])
        if len(node.ops) == 1 and new is not None:
            left, right = self._source(node.left), self._source(node.comparators[0])
            self._add(node, "mask", f"({left} {new} {right})")
        self.generic_visit(node)

    def visit_Call(self, node):
        name = self._source(node.func)
        if name in ("np.clip", "np.maximum", "np.minimum", "max", "min"):
            if len(node.args) >= 2:
                self._add(node, "clip", f"({self._source(node.args[0])})")
        if name.endswith("alpha") and name.startswith(("check", "intervals.check")):
            self._add(node, "alpha", "None")
        for given in node.keywords:
            if given.arg in ("sample_weight", "weights", "weight", "w"):
                value = given.value
                if not (isinstance(value, ast.Constant) and value.value is None):
                    self._add(value, "weight", "None")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node):
        if node.type is not None and self._source(node.type) == "BaseException":
            self._add(node.type, "except", "Exception")
        self.generic_visit(node)


def all_mutants():
    """Every mutant of the core, in the order of the files."""
    found = []
    for pattern in CORE:
        for path in sorted((ROOT / "sklearn_causalrec").glob(pattern)):
            text = path.read_text()
            places = _Places(str(path.relative_to(ROOT)), text)
            places.visit(ast.parse(text))
            found += [m for m in places.found if _parses(m.applied(text))]
    return found


def _parses(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def chosen(n, seed):
    """``n`` mutants drawn by kind, at most one a line."""
    rng, total = np.random.default_rng(seed), sum(SHARES.values())
    picked, lines = [], set()
    mutants = all_mutants()
    for kind in KINDS:
        mine = [m for m in mutants if m.kind == kind]
        left = max(1, round(n * SHARES[kind] / total))
        for k in rng.permutation(len(mine)):
            if not left:
                break
            if (mine[k].path, mine[k].line) not in lines:
                lines.add((mine[k].path, mine[k].line))
                picked.append(mine[k])
                left -= 1
    return picked


@cache
def tests_of(path):
    """Test files for a module, the likeliest to see a change first."""
    text = (ROOT / path).read_text()
    names = {Path(path).stem} | {
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    names = {name for name in names if len(name) > 4}
    inside = Path(path).relative_to("sklearn_causalrec")
    folders = next(f for pattern, f in CORE.items() if inside.match(pattern))
    near = [p for folder in folders for p in sorted((ROOT / folder).glob("test_*.py"))]
    words = {p: p.read_text() for p in near}
    said = {p: sum(words[p].count(name) for name in names) for p in near}
    own = sorted((p for p in near if said[p]), key=lambda p: -said[p])[:3]
    rest = [p for p in near if p not in own]
    order = [*own, *rest, *(ROOT / p for p in LAST)]
    return [str(p.relative_to(ROOT)) for p in dict.fromkeys(order)]


def left_out(path, quick):
    """Options that deselect the slow tests of a record, and those that failed."""
    options = []
    for case in ElementTree.parse(path).iter("testcase"):
        failed = any(case.find(kind) is not None for kind in ("failure", "error"))
        if failed or float(case.get("time")) > quick:
            file = case.get("classname").replace(".", "/") + ".py"
            options += ["--deselect", f"{file}::{case.get('name')}"]
    return options


def run_tests(tree, tests, log):
    """Exit status of pytest in a fork; None where it took too long."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.chdir(tree)
            sys.path.insert(0, str(tree))
            os.environ["PYTHONPATH"] = str(tree)
            import pytest

            status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])
            sys.stdout.flush()
            os._exit(int(status))
        finally:
            os._exit(99)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="path:line of places to break")
    parser.add_argument("--junit", help="record of a run without mutants")
    parser.add_argument(
        "--near", type=int, help="so many test files at most, the likeliest ones"
    )
    parser.add_argument("--quick", type=float, default=2.0)
    parser.add_argument("--list", action="store_true", help="say what would be broken")
    options = parser.parse_args()
    if options.only:
        wanted = set(options.only)
        mutants = [m for m in all_mutants() if f"{m.path}:{m.line}" in wanted]
    else:
        mutants = chosen(options.places, options.seed)
    texts = {m.path: (ROOT / m.path).read_text() for m in mutants}
    if options.list:
        print("\n".join(m.shown(texts[m.path]) for m in mutants))
        return
    sys.dont_write_bytecode = True  # what is compiled is the text without a change
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path[:] = [
        p for p in sys.path if p not in (str(ROOT), str(ROOT / "benchmarks"))
    ]
    import econml.dml  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import polars  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import skorch  # noqa: F401

    slow = left_out(options.junit, options.quick) if options.junit else []
    print(f"{len(slow) // 2} slow tests are left out", flush=True)
    seen, start = Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tree, log = Path(folder, "tree"), Path(folder, "log")
        skip = shutil.ignore_patterns("__pycache__", ".git", "*.pyc", "_build")
        shutil.copytree(ROOT, tree, ignore=skip)
        compileall.compile_dir(tree / "sklearn_causalrec", quiet=2)
        for mutant in mutants:
            text = texts[mutant.path]
            before, file = time.monotonic(), tree / mutant.path
            times = file.stat()
            file.write_text(mutant.applied(text))
            tests = tests_of(mutant.path)[: options.near]
            status = run_tests(tree, [*slow, *tests], log)
            file.write_text(text)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
            line = text.splitlines()[mutant.line - 1].strip()
            outcome = "SURVIVED" if status == 0 else "seen"
            if status == 0 and line in EQUIVALENT:
                outcome = "no change"
            if status not in (0, 1, 2, 4, None):  # 2, 4: the mutant cannot be imported
                outcome = f"status {status}"
            seen[mutant.kind, outcome] += 1
            by = [row for row in log.read_text().splitlines() if row[:6] == "FAILED"]
            took = time.monotonic() - before
            print(
                f"{outcome:9} {took:4.0f} s  {mutant.shown(text)}  "
                f"{by[0][7:90] if by else ''}",
                flush=True,
            )
    print("| kind | seen | survived | no change |\n|---|---|---|---|")
    for kind in KINDS:
        cells = [seen[kind, o] for o in ("seen", "SURVIVED", "no change")]
        print(f"| {kind} | {' | '.join(map(str, cells))} |")
    others = {key: n for key, n in seen.items() if key[1].startswith("status")}
    print(f"{len(mutants)} places, {time.monotonic() - start:.0f} s; {others or ''}")


if __name__ == "__main__":
    main()
