"""The notation of graphs with open ends, ``a o-> b; b --- c``: read and written."""

import re

from sklearn_causalrec.causal.graphs.mixed import MARKS, forward
from sklearn_causalrec.causal.graphs.notation import (
    UNQUOTED,
    fault_of,
    statements,
    unread,
)
from sklearn_causalrec.causal.graphs.tokens import ARROWS, quoted

_TOKEN = re.compile(
    rf"""
    "(?P<quoted>(?s:[^"\\]*+(?:\\.[^"\\]*+)*+))"
    |(?P<open>")
    |(?P<arrow><->|-->|<--|---|<-o(?=[\s"])|->|<-|--o?
        |(?:(?<=["\s])|\s)o-(?:o(?=[\s"])|>|-)|[{"".join(ARROWS)}])
    |(?P<end>[;\n])
    |(?P<comment>(?:(?<=[\s;"])|\A)\#[^\n]*)
    |(?P<plain>(?:(?!\so-[o>-]){UNQUOTED})+|.)
    """,
    re.VERBOSE,
)
_HALF = re.compile(r"(?:^|\s)o-|-o(?:\s|$)")


def read_ends(text):
    """Read ``a o-> b; b --- c; d``.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    nodes : list of names
        The nodes in the order of the text.
    edges : list of (a, mark, b)
        The edges, see `mixed.MARKS`.

    Raises
    ------
    TypeError
        If ``text`` is no text.
    ValueError
        If it cannot be read; the message says why.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"PartialGraph reads text such as 'a --- b; b --> c', got "
            f"{type(text).__name__}; for triples there is PartialGraph.from_edges, for "
            "networkx graphs PartialGraph.from_networkx."
        )
    nodes, edges = {}, []
    for start, names, arrows in statements(text.removeprefix("\ufeff"), _TOKEN):
        for name, is_quoted in names:
            if fault := None if is_quoted else _fault(name):
                raise unread(text, start, fault, "'a --- b; b o-> c'")
            nodes[name] = None
        for (a, _), arrow, (b, _) in zip(names, arrows, names[1:]):
            edges.append(forward((a, arrow.strip(), b)))
    return list(nodes), edges


def _fault(name):
    """Why a name cannot stand without quotes, or None."""
    if _HALF.search(name):
        return "an end 'o' stands in 'o->' and 'o-o', with space before and after"
    fault = fault_of(name)
    if fault is not None and fault.startswith("edges are"):
        return f"edges are {', '.join(map(repr, MARKS))}"
    return fault


def write_ends(graph):
    """The text that `read_ends` reads back where all names are text."""
    joined = {v for a, _, b in graph.edges for v in (a, b)}
    text = {v: str(v) if _fault(str(v)) is None else quoted(v) for v in graph.nodes}
    return "; ".join(
        [text[v] for v in graph.nodes if v not in joined]
        + [f"{text[a]} {mark} {text[b]}" for a, mark, b in graph.edges]
    )
