"""Verdicts over CPDAGs and PAGs, and the coverage of bounds: ours and antecedent's.

Every class of graphs with four nodes, and a sample of those with five, is listed by
brute force (`_testing/graph_classes.py`). A verdict is right where it says "identified"
exactly if one set of variables is valid to adjust for in all members, or, in CPDAGs, if
all members have the same P(y | do(x)).

Run: ``python benchmarks/bench_partial.py``. antecedent is compared if it is installed.
"""

import random
import time
from itertools import combinations

import numpy as np
import pandas as pd

from sklearn_causalrec import CausalGraph, NotIdentifiableError, PartialGraph
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM
from sklearn_causalrec._testing.graph_classes import (
    admg_classes,
    dag_classes,
    marks_of_admgs,
    marks_of_dags,
)
from sklearn_causalrec.causal.identification.adjustment import is_adjustment_set

try:
    import antecedent
except ImportError:
    antecedent = None

SEED = 2027
WORD = {"-": "tail", ">": "arrow", "<": "arrow", "o": "circle"}


def separations(graph):
    """Separations of single nodes, by the package (its tests check them)."""
    nodes = sorted(graph.nodes)
    return frozenset(
        (a, b, z)
        for a, b in combinations(nodes, 2)
        for k in range(len(nodes) - 1)
        for z in combinations([v for v in nodes if v not in (a, b)], k)
        if graph.is_separated(a, b, z)
    )


def ours(graph, y, x):
    try:
        return graph.identify(y, x).strategy
    except NotIdentifiableError:
        return None


def theirs(graph, y, x):
    edges = graph.edges
    names = list(graph.nodes)
    if graph.kind == "cpdag":
        directed = [(a, b) for a, mark, b in edges if mark == "-->"]
        undirected = [(a, b) for a, mark, b in edges if mark == "---"]
        made = antecedent.Cpdag.from_directed_undirected(names, directed, undirected)
    else:
        marked = [(a, b, WORD[m[0]], WORD[m[-1]]) for a, m, b in edges]
        made = antecedent.Pag.from_marked_edges(names, marked)
    found = antecedent.identify(graph=made, query=antecedent.AverageEffect(x, y))
    return found.verdict


def adjustable(graphs, y, x):
    others = [v for v in graphs[0].nodes if v not in (x, y)]
    return any(
        all(is_adjustment_set(g, *map(g.mask, (x, y, z))) for g in graphs)
        for k in range(len(others) + 1)
        for z in combinations(others, k)
    )


def no_effect(graphs, y, x):
    return all(y not in g.descendants(x) for g in graphs)


def classes():
    """Kind, names, the graph with open ends, and the graphs of its class."""
    rng = random.Random(SEED)
    for n, share in ((4, 1.0), (5, 0.03)):
        names = list("abcde"[:n])
        for members in dag_classes(names):
            if rng.random() < share:
                marks = marks_of_dags(members)
                graphs = [CausalGraph.from_edges(e, nodes=names) for e in members]
                graph = PartialGraph.from_edges(marks, names, kind="cpdag")
                yield f"CPDAG, {n} nodes", names, graph, graphs
    names = list("abcd")
    for signature, members in admg_classes(names, separations).items():
        graph = PartialGraph.from_edges(
            marks_of_admgs(names, signature, members), names, kind="pag"
        )
        some = rng.sample(members, min(len(members), 200))
        graphs = [CausalGraph.from_edges(d, b, names) for d, b in some]
        yield "PAG, 4 nodes", names, graph, graphs


def verdicts():
    rows, seconds, odd = {}, {"ours": 0.0, "antecedent": 0.0}, []
    rng = random.Random(SEED)
    for kind, names, graph, graphs in classes():
        for _ in range(3):
            x, y = rng.sample(names, 2)
            zero = no_effect(graphs, y, x)
            truth = zero or adjustable(graphs, y, x)
            start = time.perf_counter()
            mine = ours(graph, y, x) is not None
            seconds["ours"] += time.perf_counter() - start
            row = rows.setdefault(kind, dict.fromkeys(COLUMNS, 0))
            row["queries"] += 1
            row["identified"] += truth
            row["ours wrong"] += mine != truth
            if antecedent is None:
                continue
            start = time.perf_counter()
            try:
                word = theirs(graph, y, x)
            except Exception as error:  # it has several of its own
                word = f"refused: {type(error).__name__}"
            seconds["antecedent"] += time.perf_counter() - start
            said = word == "identified"
            row["antecedent: identified and is not"] += said and not truth
            row["antecedent: not identified and is zero"] += zero and not said
            row["antecedent: not identified and is"] += truth and not zero and not said
            if said != truth and len(odd) < 8:
                odd.append((str(graph), x, y, word, truth))
    print(pd.DataFrame(rows).T.to_markdown())
    print(seconds)
    for case in odd:
        print(case)


COLUMNS = [
    "queries",
    "identified",
    "ours wrong",
    "antecedent: identified and is not",
    "antecedent: not identified and is zero",
    "antecedent: not identified and is",
]


def table_of(names, function):
    index = pd.MultiIndex.from_product([[0, 1]] * len(names), names=names)
    p = np.array([function(*cell) for cell in index], float)
    return pd.Series(p / p.sum(), index=index)


def coverage(n_logs=200, n_rows=1000):
    """How often the interval of the effect has each of the true bounds in it."""
    instrument = CausalGraph("z -> x -> y; x <-> y")
    covariate = CausalGraph("c -> z -> x -> y; c -> x; c -> y; x <-> y")
    rng = np.random.default_rng(SEED)
    designs = {
        "no instrument": (
            CausalGraph("x -> y; x <-> y"),
            table_of(["x", "y"], lambda x, y: [[0.3, 0.2], [0.1, 0.4]][x][y]),
        ),
        "instrument": (instrument, DiscreteSCM(instrument, rng).table()),
        "instrument that does nothing": (
            instrument,
            table_of(["z", "x", "y"], lambda z, x, y: [[3, 2], [1, 4]][x][y]),
        ),
        "all cells equal": (instrument, table_of(["z", "x", "y"], lambda z, x, y: 1)),
        "instrument and covariate": (covariate, DiscreteSCM(covariate, rng).table()),
    }
    rows = {}
    for name, (graph, table) in designs.items():
        low, high = graph.bounds("y", "x", table).effect()
        hits, width = np.zeros(2), 0.0
        for log in range(n_logs):
            counts = rng.multinomial(n_rows, table.to_numpy())
            drawn = pd.Series(counts / n_rows, index=table.index)
            bounds = graph.bounds("y", "x", drawn, n_rows=n_rows)
            a, b = bounds.effect_interval(n_bootstrap=100, random_state=log)
            hits += [a <= low, high <= b]
            width += (b - a) / n_logs
        rows[name] = [low, high, *(hits / n_logs), width]
    columns = ["low", "high", "covers low", "covers high", "mean width"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    print(frame.round(3).to_markdown())


if __name__ == "__main__":
    verdicts()
    coverage()
