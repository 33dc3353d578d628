"""What a graph forbids in the data, and whether the data do it."""

import numpy as np
import pandas as pd

from sklearn_causalrec.causal._causal_learn import as_matrix, needs_causal_learn
from sklearn_causalrec.causal.graphs.bitsets import closure, minimal_separators

_CORRECTIONS = ("holm", "bonferroni", "bh", "by")


def testable_implications(graph):
    """List, lazily, a conditional independence for each pair of nodes that has one.

    Pairs joined by an edge have none. Nor have pairs joined by an inducing path of
    latent causes: what those imply is a Verma constraint, no independence.

    Parameters
    ----------
    graph : CausalGraph
        The graph.

    Yields
    ------
    a : name
        The earlier node of the pair.
    b : name
        The later node of the pair.
    given : frozenset of names
        The minimal set closest to ``b`` that separates the two.

    See Also
    --------
    falsify : Test them against data.

    Examples
    --------
    >>> from sklearn_causalrec import CausalGraph
    >>> list(CausalGraph("a -> b -> c").testable_implications())
    [('a', 'c', frozenset({'b'}))]
    """
    graph.mask(())  # raises where edges are left open
    names = graph.topological_order
    for j in range(len(graph)):
        near = {*graph.parents_of[j], *graph.siblings_of[j]}
        for i in range(j):
            if i in near:
                continue
            a, b = 1 << i, 1 << j
            causes = closure(graph.parents_of, a | b, graph.everything)
            given = next(minimal_separators(graph, b, a, causes), None)
            if given is not None:
                yield names[i], names[j], graph.named(given)


testable_implications.__test__ = False  # type: ignore[attr-defined]  # pytest


def adjust_p_values(p, correction):
    """P-values corrected for how many there are."""
    p = np.asarray(p, dtype=float)
    if correction in ("bh", "by"):
        from scipy.stats import false_discovery_control

        return false_discovery_control(p, method=correction)
    if correction == "bonferroni":
        return np.minimum(p * len(p), 1.0)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def falsify(graph, X, *, test="auto", alpha=0.05, correction="holm", max_tests=None):
    """Test the graph's independences against data.

    Parameters
    ----------
    graph : CausalGraph
        The graph to test.
    X : DataFrame of shape (n_rows, n_columns)
        The data, with a column for each node.
    test : {"auto", "fisherz", "kci", "chisq", "gsq"}, default="auto"
        A conditional independence test of causal-learn. "auto" is "chisq" if all
        columns have at most ten values, else "fisherz" (partial correlation; linear).
    alpha : float, default=0.05
        The level at which an independence counts as rejected, after correction.
    correction : {"holm", "bonferroni", "bh", "by"}, default="holm"
        The correction for the number of tests. The first two bound the probability of
        any false rejection, the others the rate of false ones.
    max_tests : int, optional
        The number of `testable_implications` to test, from the first; by default all.

    Returns
    -------
    pandas.DataFrame
        Columns ``a``, ``b``, ``given``, ``p_value``, ``adjusted``, ``rejected``, the
        smallest p-value first. Any rejection speaks against the graph; none does not
        speak for it.

    Raises
    ------
    ImportError
        If causal-learn is not installed.
    TypeError
        If ``X`` has no column names.
    ValueError
        If a node has no column, if values are missing, or if a numeric test gets text.

    See Also
    --------
    testable_implications : What is tested.
    sklearn_causalrec.CausalGraph.discover : Learn a graph instead.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec import CausalGraph
    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=500)
    >>> b = a + rng.normal(size=500)
    >>> X = pd.DataFrame({"a": a, "b": b, "c": b + rng.normal(size=500)})
    >>> found = CausalGraph("a -> b -> c").falsify(X)
    >>> found[["a", "b", "given", "rejected"]]
       a  b           given  rejected
    0  a  c  frozenset({b})     False
    """
    if correction not in _CORRECTIONS:
        raise ValueError(
            f"correction must be one of {_CORRECTIONS}, got {correction!r}."
        )
    # Here, because a graph needs no scipy.
    from sklearn_causalrec.effects.intervals import check_alpha

    check_alpha(alpha)
    if not hasattr(X, "columns"):
        raise TypeError(
            "falsify needs a DataFrame, whose columns say which node they are; got "
            f"{type(X).__name__}."
        )
    missing = [v for v in graph.nodes if v not in X.columns]
    if missing:
        raise ValueError(f"X has no column for the nodes {missing}.")
    data, names, test = as_matrix(X[list(graph.nodes)], test)
    claims = []
    for claim in graph.testable_implications():
        claims.append(claim)
        if max_tests is not None and len(claims) >= max_tests:
            break
    columns = ["a", "b", "given", "p_value", "adjusted", "rejected"]
    if not claims:
        return pd.DataFrame(columns=columns)
    with needs_causal_learn():
        from causallearn.utils.cit import CIT

    tester = CIT(data, test)
    column = {v: k for k, v in enumerate(names)}
    p = [
        float(tester(column[a], column[b], sorted(column[v] for v in given)))
        for a, b, given in claims
    ]
    found = pd.DataFrame(claims, columns=columns[:3])
    found["p_value"] = p
    found["adjusted"] = adjust_p_values(p, correction)
    found["rejected"] = found["adjusted"] <= alpha
    return found.sort_values("p_value", ignore_index=True)
