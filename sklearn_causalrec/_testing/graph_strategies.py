"""Hypothesis strategies for graphs and queries."""

from itertools import combinations

from hypothesis import strategies as st

from sklearn_causalrec import CausalGraph

# Names that some notation, format or drawing library reads in a way of its own.
ODD_NAMES = [
    "", " ", "a ", "a  b", "a\tb", "a\nb", "a\rb", "a\\\nb", "a\x00b", "a\u2028b",
    "\ufeffa", "\u202ea", "é", "日本", "🦄", '"', 'a"b', "a\\", "a\\b", '\\"', "\\n",
    "'", "-", "--", "->", "<-", "<->", "a->b", "a - b", "a-b", "-1", "1", "1a", "→",
    "←", ";", ",", "a,b", "#", "a#b", "# c", "//", "a//b", "/*", "*/", "{", "}", "[",
    "]", "=", "a=b", "+", "a + b", ":", "a:b", "a:", "o", "x o", "o x", "@", "x@", "~",
    "|",
    "<b>x</b>", "node", "EDGE", "graph", "digraph", "digraph {age -> b}", "dag {x}",
    "subgraph", "strict", "latent", "U", "$x$", "$", "a_b^c", "_a", r"$\frac{1}$", "%s",
    "{0}", 'a" [URL="http://x"]; "b', 'a\\" -> "b', "x" * 300,
]  # fmt: skip


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


@st.composite
def named_graphs(draw, low=1, high=5):
    """Small ADMGs whose names are any text."""
    some = st.text(max_size=6) | st.sampled_from(ODD_NAMES)
    names = draw(st.lists(some, min_size=low, max_size=high, unique=True))
    pairs = list(combinations(names, 2))
    kinds = draw(
        st.lists(st.sampled_from(["", "->", "<->", "both"]),
                 min_size=len(pairs), max_size=len(pairs))
    )  # fmt: skip
    return CausalGraph.from_edges(
        [e for e, k in zip(pairs, kinds) if k in ("->", "both")],
        [e for e, k in zip(pairs, kinds) if k in ("<->", "both")],
        nodes=names,
    )


# The pieces that texts of graphs are made of, and names that look like them.
PIECES = [
    "a", "b", "c", "U", "o", "1", "-1", " ", "\n", "\t", ";", ",", "->", "<-", "<->",
    "--", "→", "o->", "@->", "-->", "{", "}", "[", "]", "=", ":", "+", "|", "~", '"',
    "\\", "#", "//", "/*", "*/", "<", ">", "<b>", "dir=both", "dir=back", "dir=none",
    "latent", "observed=no", 'label="Unobserved Confounders"', "arrowhead=odot",
    "digraph", "DIGRAPH", "dag", "graph", "strict", "subgraph", "node", "edge", "pag",
    "digraph {", "dag {", "edge [dir=both]", "node [latent]", "\ufeff", "\x00", "🦄",
]  # fmt: skip


def soups(opening="", closing=""):
    """Texts of such pieces in any order, between an opening and a closing."""
    pieces = st.lists(st.sampled_from([*PIECES, *ODD_NAMES]), max_size=25)
    return pieces.map(lambda drawn: f"{opening}{''.join(drawn)}{closing}")
