"""The arrow notation, ``a -> b; b <-> c``: its reader and its writer."""

import re

from sklearn_causalrec.causal.graphs.dot import read_braces
from sklearn_causalrec.causal.graphs.reading import Reading
from sklearn_causalrec.causal.graphs.tokens import (
    ARROW_CHARACTERS,
    ARROWS,
    opens_with_braces,
    quoted,
)
from sklearn_causalrec.causal.graphs.words import shown

UNQUOTED = f"""[^";\\n#<\\-{"".join(ARROWS)}]"""
_TOKEN = re.compile(
    rf"""
    "(?P<quoted>(?s:[^"\\]*+(?:\\.[^"\\]*+)*+))"
    |(?P<open>")
    |(?P<arrow><->|->|<-|[{"".join(ARROWS)}])
    |(?P<end>[;\n])
    |(?P<comment>(?:(?<=[\s;"])|\A)\#[^\n]*)
    |(?P<plain>{UNQUOTED}+|.)
    """,
    re.VERBOSE,
)
# What a name without quotes must not hold, and what to write instead.
_FAULTS = [
    (r'"', "a quoted name is quoted as a whole, and '\\' stands before quotes in it"),
    (r"#", "'#' begins a comment only after a space"),
    (r"[{}\[\]]", "braces and brackets belong to DOT: 'digraph { ... }'"),
    (r",", "',' separates nothing; write ';' between edges"),
    (r":$", "a name does not end with ':'"),
    (r"//|/\*|\*/", "a comment begins with '#'"),
    (r"--|^-|-\.?$|[ ][-+][ ]", "edges are '->', '<-' or '<->'"),
    (r"[<>~=|]|^[@*]|[@*]$", "edges are '->', '<-' or '<->'"),
    (
        r"[ ]o$|^o[ ]",
        "an end 'o' is undecided; decide it first, or read a PartialGraph",
    ),
    (rf"[{ARROW_CHARACTERS}‐-―−]", "edges are '->', '<-' or '<->'"),
    (r"[^\S ]|[\x00-\x1f\x7f-\x9f\ufeff;\\]", "it holds a control character"),
]
_FAULTS = [(re.compile(pattern), reason) for pattern, reason in _FAULTS]
_GML = re.compile(
    r"\s*+(?:(?:creator|version|directed)\b[^\n]*+\s++)*+graph\s*+\[", re.I
)
_ESCAPED = re.compile(r'\\(["\\])')


def fault_of(name):
    """Why a name cannot stand without quotes, or None."""
    if not name or name != name.strip():
        return "a name is missing"
    return next((why for pattern, why in _FAULTS if pattern.search(name)), None)


def read_arrows(text):
    """Read ``a -> b; b <-> c; d``, or DOT or dagitty text.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    Reading
        What the text says.

    Raises
    ------
    TypeError
        If ``text`` is no string.
    ValueError
        If the text cannot be read; the message says why.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"CausalGraph reads text such as 'a -> b; b <-> c', got "
            f"{type(text).__name__}; for edge lists there is CausalGraph.from_edges, "
            f"for networkx graphs CausalGraph.from_networkx."
        )
    if opens_with_braces(text):
        return read_braces(text)
    if _GML.match(text):
        raise ValueError(
            "the text is GML: read it with networkx.parse_gml, then with "
            "CausalGraph.from_networkx."
        )
    nodes, directed, bidirected = {}, [], []
    for start, names, arrows in statements(text.removeprefix("\ufeff")):
        for name, is_quoted in names:
            fault = None if is_quoted else fault_of(name)
            if fault:
                raise unread(text, start, fault)
            nodes[name] = None
        for (a, _), arrow, (b, _) in zip(names, arrows, names[1:]):
            if arrow == "<->":
                bidirected.append((a, b))
            else:
                directed.append((a, b) if arrow == "->" else (b, a))
    return Reading(list(nodes), directed, bidirected, [])


def unread(text, position, reason, like="'a -> b; b <-> c'"):
    """The error of a text that cannot be read at a position."""
    line = shown(text[position : position + 100].lstrip().split("\n")[0].rstrip())
    return ValueError(
        f"cannot read {line}: {reason}. Edges are written {like}, and a name with "
        f"other signs in double quotes."
    )


def statements(text, token=_TOKEN):
    """For every statement its place, its names and the arrows between them.

    A name is a pair of its text and whether it is quoted. ``token`` is the pattern of
    what a text consists of.
    """
    start, names, arrows, pieces, quotes = 0, [], [], [], []

    def close():
        # A quoted name stands alone between arrows; space around it is allowed.
        plain = "".join(pieces).strip()
        if len(quotes) == 1 and plain == quotes[0][1]:
            names.append((quotes[0][0], True))
        else:
            names.append((plain, False))
        pieces.clear()
        quotes.clear()

    for found in token.finditer(text):
        kind = found.lastgroup
        if kind == "open":
            raise unread(text, found.start(), "a quoted name has no closing quote")
        if kind == "quoted":
            quotes.append((_ESCAPED.sub(r"\1", found["quoted"]), found[0]))
            pieces.append(found[0])
        elif kind == "plain":
            pieces.append(found[0])
        elif kind == "arrow":
            close()
            arrows.append(ARROWS.get(found[0], found[0]))
        elif kind == "end":
            close()
            if arrows or names != [("", False)]:
                yield start, names, arrows
            start, names, arrows = found.end(), [], []
    close()
    if arrows or names != [("", False)]:
        yield start, names, arrows


def to_arrows(graph):
    """The text that `CausalGraph` reads back where all names are text."""
    joined = {a for e in (*graph.directed_edges, *graph.bidirected_edges) for a in e}
    text = {a: str(a) if fault_of(str(a)) is None else quoted(a) for a in graph.nodes}
    return "; ".join(
        [text[a] for a in graph.nodes if a not in joined]
        + [f"{text[a]} -> {text[b]}" for a, b in graph.directed_edges]
        + [f"{text[a]} <-> {text[b]}" for a, b in graph.bidirected_edges]
    )
