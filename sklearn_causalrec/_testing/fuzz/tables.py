"""Questions to what reads tables and graphs: pseudonyms, anonymity, bounds, checks.

And graphs that leave ends open, on random graphs and with random arguments.
"""

from functools import cache, partial
from itertools import islice

import numpy as np
import pandas as pd

from sklearn_causalrec import CausalGraph, PartialGraph, causal, privacy
from sklearn_causalrec._testing.fuzz.graphs import THINGS
from sklearn_causalrec._testing.fuzz.questions import ROWS, Question, ask_oddly

_KEY = bytes(range(32))
_ENDS = ["-->", "<--", "---", "<->", "o->", "<-o", "o-o"]


@cache
def _people():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(20, 60, ROWS)})
    frame["town"] = rng.choice(["Bonn", "Ulm", "Kiel"], ROWS)
    frame["ill"] = rng.choice(["no", "flu"], ROWS)
    return frame


def _table(values=None):
    index = pd.MultiIndex.from_product([[0, 1]] * 2, names=["x", "y"])
    return pd.Series([0.3, 0.2, 0.1, 0.4] if values is None else values, index=index)


def _pseudonyms(**options):
    given = {"columns": ["town"], "key": _KEY, **options}
    X = given.pop("X", _people())
    return privacy.Pseudonymizer(**given).fit_transform(X)


def _generalized(**options):
    X = options.pop("X", _people()[["age", "town"]])
    return privacy.Generalizer(**options).fit_transform(X)


def _bounds(table, T0=0, T1=1, alpha=0.1, n_rows=100, n_bootstrap=5, **more):
    found = CausalGraph("x -> y; x <-> y").bounds("y", "x", table, n_rows=n_rows)
    low, high = found.effect_interval(
        T0, T1, alpha, n_bootstrap=n_bootstrap, **{"random_state": 0, **more}
    )
    return np.array([*found.effect(T0, T1), low, high], float)


def _lee(**given):
    found = causal.lee_bounds(**given)
    return np.array([found.low, found.high, found.trimmed], float)


@cache
def _asked():
    rng = np.random.default_rng(0)
    people, x = _people(), np.round(64 * rng.normal(size=(ROWS, 2))) / 64
    arm = np.append([0.0, 1.0], rng.integers(0, 2, ROWS - 2))
    share = np.full(ROWS, 0.5)
    frame = pd.DataFrame(x, columns=["a", "b"])
    two = np.column_stack([share, share])
    sensitivity = causal.Sensitivity.from_regression(2.0, 0.5, 90)
    names = privacy.Pseudonymizer(["town"], key=_KEY).fit(people)
    questions = [
        Question("Pseudonymizer", _pseudonyms, {"X": people}, ("X",), keep=("town",),
                 same=False, nan_ok=True,
                 scalars=("columns", "key", "domains", "n_bytes")),
        Question("pseudonyms", lambda **o: names.pseudonyms(**o),
                 {"ids": ["Bonn", "Ulm"], "domain": "town"}, labels=("ids",),
                 scalars=("domain",), same=False),
        Question("Pseudonymizer.without", lambda **o: str(names.without(**o)),
                 {"ids": ["Bonn"], "domain": "town"}, labels=("ids",),
                 scalars=("domain",), same=False),
        Question("rotated", lambda **o: str(names.rotated(**o)), {"key": _KEY[::-1]},
                 scalars=("key",)),
        Question("collision_probability", names.collision_probability,
                 {"n_ids": 1000}, scalars=("n_ids",)),
        Question("Key", lambda source: str(privacy.Key(source)), {"source": _KEY},
                 scalars=("source",)),
        Question("Generalizer", _generalized, {"k": 3, "X": people[["age", "town"]]},
                 ("X",), nan_ok=True, same=False,
                 keep=("age", "town"),
                 scalars=("k", "quasi_identifiers", "person", "numbers",
                          "max_suppressed", "unseen")),
        Question("anonymity_report",
                 lambda **o: str(privacy.anonymity_report(**o)),
                 {"frame": people, "quasi_identifiers": ["age", "town"],
                  "sensitive": "ill"}, ("frame",), keep=("age", "town", "ill"),
                 scalars=("quasi_identifiers", "sensitive", "person", "k"),
                 nan_ok=True, same=False),
        Question("bounds", _bounds, {"table": _table()},
                 scalars=("table", "T0", "T1", "alpha", "n_rows", "n_bootstrap",
                          "random_state")),
        Question("bounds of numbers", lambda v: _bounds(_table(v)),
                 {"v": np.array([0.3, 0.2, 0.1, 0.4])}, scalars=("v",)),
        Question("lee_bounds", _lee,
                 {"y": x[:, 0], "treatment": arm}, vectors=("y", "treatment"),
                 scalars=("control", "alpha", "cluster"), nan_ok=True,
                 labels_too=("treatment",), missing=("y",)),
        Question("e_value", lambda **o: np.array(causal.e_value(**o)[0]),
                 {"risk_ratio": 2.0, "lower": 1.5, "upper": 2.5}, same=False,
                 scalars=("risk_ratio", "lower", "upper")),
        Question("risk_ratio", lambda **o: np.array(causal.risk_ratio(**o), float),
                 {"control": 0.1, "treated": 0.2}, nan_ok=True,
                 scalars=("control", "treated", "alpha")),
        Question("balance", causal.balance,
                 {"X": frame, "arm": arm, "weights": share}, ("X",),
                 vectors=("arm", "weights"), keep=("a", "b"), scalars=("max_levels",),
                 nan_ok=True, labels_too=("arm",), same=False),
        Question("overlap", causal.overlap, {"propensity": two, "arm": arm},
                 vectors=("arm",), matrices=("propensity",), labels_too=("arm",),
                 scalars=("arms", "clip"), nan_ok=True),
        Question("influential_rows", causal.influential_rows,
                 {"influence": x[:, 0], "k": 3}, vectors=("influence",),
                 scalars=("k", "index")),
        Question("Sensitivity.from_regression",
                 lambda **o: causal.Sensitivity.from_regression(**o).to_frame(),
                 {"estimate": 2.0, "stderr": 0.5, "dof": 90},
                 scalars=("estimate", "stderr", "dof", "partial_r2")),
        Question("Sensitivity.bounds",
                 lambda **o: np.array([*sensitivity.bounds(**o)], float),
                 {"cf_y": 0.03}, scalars=("cf_y", "cf_d", "rho", "alpha")),
        Question("robustness_value", sensitivity.robustness_value, {"q": 1.0},
                 scalars=("q", "alpha", "rho")),
    ]  # fmt: skip
    return [[question, None] for question in questions]


_ASKED_OF_PARTIAL = {
    "identify": lambda g, x, y, z: str(g.identify(y, x, z)),
    "adjustment_sets": lambda g, x, y, z: list(islice(g.adjustment_sets(y, x), 9)),
    "is_adjustment_set": lambda g, x, y, z: g.is_adjustment_set(y, x, z),
    "resolutions": lambda g, x, y, z: list(map(str, islice(g.resolutions(y, x), 9))),
    "possible_descendants": lambda g, x, y, z: g.possible_descendants(x),
    "orient": lambda g, x, y, z: g.orient([(x, y)]),
}


def _partial(fuzzer):
    """A graph with open ends: its texts, its networks, and its answers."""
    rng, names = fuzzer.rng, list("abcdef")[: fuzzer.rng.integers(2, 6)]
    edges = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if rng.random() < 0.5:
                kinds = _ENDS[:3] if rng.random() < 0.6 else _ENDS
                edges.append((a, kinds[rng.integers(len(kinds))], b))
    what = f"PartialGraph.from_edges({edges}, {names})"
    graph = fuzzer.call(what, lambda: PartialGraph.from_edges(edges, names))
    if graph is None:
        return
    text = "; ".join([*names, *(" ".join(edge) for edge in edges)])
    fuzzer.call(
        f"PartialGraph({text!r})",
        lambda: PartialGraph(text, graph.kind),
        lambda got: None if got == graph else "a text says another partial graph",
    )
    fuzzer.call(
        f"PartialGraph.from_networkx of {graph}",
        lambda: PartialGraph.from_networkx(graph.to_networkx(), graph.kind),
        lambda got: None if got == graph else "networkx makes another partial graph",
    )
    a, b = rng.choice(names, 2, replace=False).tolist()
    odd = THINGS[rng.integers(len(THINGS))]
    for x, y, z in [(a, b, ()), (odd, b, ()), (a, odd, ()), (a, b, odd)]:
        name = str(rng.choice(sorted(_ASKED_OF_PARTIAL)))
        ask = partial(_ASKED_OF_PARTIAL[name], graph, x, y, z)
        fuzzer.call(f"{name}({y!r}, {x!r}, {z!r}) of {graph}", ask)


def _transport(fuzzer):
    """A transported effect: what is asked of both places, with odd arguments."""
    rng, names = fuzzer.rng, list("xyzw")
    order = rng.permutation(4)
    pairs = [(names[i], names[j]) for k, i in enumerate(order) for j in order[k + 1 :]]
    directed = [pair for pair in pairs if rng.random() < 0.5]
    both = [pair for pair in pairs if rng.random() < 0.2]
    graph = CausalGraph.from_edges(directed, both, names)
    given = {"differs": names[rng.integers(4)], "experiments": ("x",)}
    if rng.random() < 0.6:
        argument = ["differs", "target", "experiments"][rng.integers(3)]
        given[argument] = THINGS[rng.integers(len(THINGS))]
    fuzzer.call(
        f"transport({given}) of {graph}",
        lambda: str(graph.transport("y", "x", **given)),
    )


def tables(fuzzer):
    """One step over tables, partial graphs and transported effects.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    """
    way = fuzzer.rng.random()
    if way < 0.2:
        _partial(fuzzer)
    elif way < 0.3:
        _transport(fuzzer)
    else:
        asked = _asked()
        ask_oddly(fuzzer, asked[fuzzer.rng.integers(len(asked))])
