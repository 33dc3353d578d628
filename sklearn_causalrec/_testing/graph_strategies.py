"""Hypothesis strategies for graphs and queries."""

from itertools import combinations

from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph


@st.composite
def admgs(draw, low=2, high=7):
    """Small ADMGs, edge by edge, so that failures shrink."""
    n = draw(st.integers(low, high))
    names = [f"v{k}" for k in draw(st.permutations(range(n)))]
    pairs = list(combinations(names, 2))
    kinds = draw(
        st.lists(st.sampled_from(["", "", "->", "->", "<->", "both"]),
                 min_size=len(pairs), max_size=len(pairs))
    )  # fmt: skip
    return CausalGraph.from_edges(
        [e for e, k in zip(pairs, kinds) if k in ("->", "both")],
        [e for e, k in zip(pairs, kinds) if k in ("<->", "both")],
        nodes=sorted(names),
    )


def split(draw, names, sizes):
    """Disjoint lists of names, of at most the given sizes, the first two not empty."""
    order = draw(st.permutations(names))
    cuts = [draw(st.integers(1 if k < 2 else 0, s)) for k, s in enumerate(sizes)]
    out, at = [], 0
    for c in cuts:
        out.append(order[at : at + c])
        at += c
    return out
