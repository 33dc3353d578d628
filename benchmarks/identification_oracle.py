"""Identification against exact truth and against two other verdicts, at scale.

Random ADMGs of 3-7 nodes; every bidirected edge an explicit latent; random tables; the
true P(y | do(x), z) by summing over everything. For each query:

- identified: `Estimand.evaluate` against the truth, at every value of the treatments;
- refused: the hedge is checked against its definition;
- either way: the verdict against a search for hedges through all pairs of sets, which
  shares no code with the package;
- with ``--y0``: the verdict against y0's, and y0's estimand against the truth, which
  decides who is right where the verdicts differ.

Run from the repository root, with y0 in an environment of its own::

    python benchmarks/identification_oracle.py --identifiable 100000
    python benchmarks/identification_oracle.py --identifiable 100000 \
        --y0 /path/to/environment/bin/python
"""

import argparse
import json
import subprocess
import time
from collections import Counter
from itertools import combinations, product

import numpy as np

Y0_WORKER = """
import json, sys
from y0.algorithm.identify import identify_outcomes
from y0.dsl import Fraction, One, Probability, Product, Sum, Variable
from y0.graph import NxMixedGraph
def plain(e):
    if isinstance(e, Probability):
        d = e.distribution
        return ["P", [v.name for v in d.children], [v.name for v in d.parents]]
    if isinstance(e, Product):
        return ["product", [plain(f) for f in e.expressions]]
    if isinstance(e, Sum):
        return ["sum", [v.name for v in e.ranges], plain(e.expression)]
    if isinstance(e, Fraction):
        return ["ratio", plain(e.numerator), plain(e.denominator)]
    if isinstance(e, One):
        return ["product", []]
    raise TypeError(type(e).__name__)

for line in sys.stdin:
    q = json.loads(line)
    graph = NxMixedGraph.from_str_edges(
        nodes=q["nodes"], directed=q["directed"], undirected=q["bidirected"])
    sets = [set(map(Variable, q[k])) for k in ("x", "y", "z")]
    try:
        found = identify_outcomes(graph, sets[0], sets[1], sets[2] or None)
        verdict = "refused", None
        if found is not None:
            verdict = "identified", plain(found)
    except Exception as error:
        verdict = "error " + type(error).__name__, None
    print(json.dumps(verdict), flush=True)
"""


def draw_query(rng):
    """A random graph and disjoint sets y, x, z, the first outcome downstream of x."""
    from sklearn_causalrec._testing.discrete_scm import random_admg

    n = int(rng.integers(3, 8))
    graph = random_admg(rng, n, rng.uniform(0.2, 0.7), rng.uniform(0.05, 0.5))
    kind = rng.choice(["single", "sets", "conditional"], p=[0.5, 0.25, 0.25])
    order = [str(v) for v in rng.permutation(graph.nodes)]
    x, y, z = order[:1], None, []
    later = [v for v in order[1:] if v in graph.descendants(x)]
    if not later:
        return None
    y = later[:1]
    rest = [v for v in order if v not in (*x, *y)]
    if kind == "sets" and len(rest) > 1:
        more = int(rng.integers(1, 3))
        x, y = x + rest[:1], y + rest[1:more]
    elif kind == "conditional":
        z = rest[: int(rng.integers(1, 3))]
    return str(kind), graph, y, x, z


def rule_two_closure(graph, y, x, z):
    """Outcomes and treatments once the largest possible part of z is intervened on.

    By trying all subsets, with d-separation from networkx.
    """
    from sklearn_causalrec._testing.discrete_scm import d_separated

    for k in range(len(z), -1, -1):
        for moved in combinations(z, k):
            rest = [v for v in z if v not in moved]
            cut = graph.do(x).without_outgoing(moved)
            if not moved or d_separated(cut, y, moved, [*x, *rest]):
                return [*y, *rest], [*x, *moved]
    raise AssertionError


def hedge_exists(graph, outcome, treatment):
    """`discrete_scm.has_hedge` on bit masks of its own: all pairs of sets."""
    index = {v: k for k, v in enumerate(graph.nodes)}
    n = len(index)
    pa, sib = [0] * n, [0] * n
    for a, b in graph.directed_edges:
        pa[index[b]] |= 1 << index[a]
    for a, b in graph.bidirected_edges:
        sib[index[a]] |= 1 << index[b]
        sib[index[b]] |= 1 << index[a]

    def reach(start, near, within):
        found = start
        while True:
            more = found
            for k in range(n):
                if found >> k & 1:
                    more |= near[k] & within
            if more == found:
                return found
            found = more

    x = sum(1 << index[v] for v in treatment)
    inner = reach(sum(1 << index[v] for v in outcome), pa, ~x)
    joined = [s for s in range(1, 1 << n) if reach(s & -s, sib, s) == s]
    big = [f for f in joined if f & x]
    small = [f for f in joined if not f & ~inner]
    return any(s & ~f == 0 and reach(s, pa, f) == f for f in big for s in small)


def check(query, scm, count, worst):
    """Check one query; returns whether the package identified it."""
    from sklearn_causalrec import NotIdentifiableError
    from sklearn_causalrec._testing.discrete_scm import is_hedge

    kind, graph, y, x, z = query
    joint, do = rule_two_closure(graph, y, x, z) if z else (y, x)
    possible = not hedge_exists(graph, joint, do)
    try:
        estimand = graph.identify(y, x, z)
    except NotIdentifiableError as error:
        count["refused", kind] += 1
        count["wrong refusal"] += possible
        count["false hedge"] += not is_hedge(graph, *error.effective, *error.hedge)
        return False
    count["identified", kind] += 1
    count["strategy", estimand.strategy] += 1
    count["should have refused"] += not possible
    size = dict(zip(scm.names, scm.shape))
    truth, table = scm.effect(y, x, z), scm.table()
    gap = 0.0
    for values in product(*(range(size[v]) for v in x)):
        found = estimand.evaluate(table, dict(zip(x, values))).to_numpy()
        found = found.reshape([size[v] for v in (*y, *z)])
        found = np.moveaxis(found, range(len(y)), range(-len(y), 0))
        gap = max(gap, float(np.abs(found - truth[values]).max()))
    count["wrong value"] += not gap < 1e-9
    worst[0] = max(worst[0], gap)
    return True


def peer_is_right(expr, query, scm):
    """Whether another program's estimand has the true value, at every value of all."""
    from sklearn_causalrec.causal.identification.evaluation import Evaluator
    from sklearn_causalrec.causal.identification.expression import (
        P,
        Product,
        Ratio,
        Sum,
    )

    def build(e):
        kind, *rest = e
        if kind == "P":
            return P(tuple(rest[0]), tuple(rest[1]))
        if kind == "product":
            return Product(tuple(map(build, rest[0])))
        if kind == "sum":
            return Sum(tuple(rest[0]), build(rest[1]))
        return Ratio(build(rest[0]), build(rest[1]))

    _, _, y, x, z = query
    evaluator = Evaluator(scm.names, scm.shape, scm.term)
    truth = evaluator(P(tuple(y), tuple(z), tuple(x)))
    return float(np.abs(evaluator(build(expr)) - truth).max()) < 1e-9


def ask_y0(y0, query, scm, identified, count):
    """Compare with y0: its verdict, and the value of its estimand."""
    kind, graph, y, x, z = query
    line = {"nodes": graph.nodes, "directed": graph.directed_edges}
    line |= {"bidirected": graph.bidirected_edges, "x": x, "y": y, "z": z}
    y0.stdin.write(json.dumps(line) + "\n")
    y0.stdin.flush()
    verdict, expr = json.loads(y0.stdout.readline())
    ours = "identified" if identified else "refused"
    case = f"we {ours}, y0 {verdict}"
    if expr is not None:
        right = peer_is_right(expr, query, scm)
        case += " with the true value" if right else " with a wrong value"
    count["y0", kind, case] += 1
    if expr is not None and (right != identified) and count["shown"] < 10:
        count["shown"] += 1
        print(f"{case}: {kind}, {graph}, y {y}, x {x}, z {z}", flush=True)


def main():
    from sklearn_causalrec._testing.discrete_scm import DiscreteSCM

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--identifiable", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--y0", help="python of an environment with y0")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    count, worst, start = Counter(), [0.0], time.perf_counter()
    y0 = None
    if options.y0:
        y0 = subprocess.Popen(
            [options.y0, "-c", Y0_WORKER], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
    done = 0
    while done < options.identifiable:
        query = draw_query(rng)
        if query is None:
            continue
        scm = DiscreteSCM(query[1], rng, states={query[1].nodes[0]: 3})
        identified = check(query, scm, count, worst)
        done += identified
        if y0:
            ask_y0(y0, query, scm, identified, count)
        if identified and done % 10_000 == 0:
            print(f"{done} identified, {time.perf_counter() - start:.0f} s", flush=True)
    if y0:
        y0.stdin.close()
        y0.wait()
    del count["shown"]
    verdicts = ("wrong value", "wrong refusal", "should have refused", "false hedge")
    for key in sorted((k for k in count if not isinstance(k, str)), key=str):
        print(": ".join(key), count[key])
    for key in verdicts:
        print(f"{key}: {count[key]}")
    print(f"largest error {worst[0]:.2e}")


if __name__ == "__main__":
    main()
