"""Graphs in braces: DOT of Graphviz and the text of dagitty, read and written.

The grammar is that of Graphviz, with dagitty's arrows and bare attributes. It is read
in one pass from left to right: a lexer cuts the text into tokens, and `_Reader` has a
method for every rule of the grammar.
"""

from sklearn_causalrec.causal.graphs.marks import (
    edge_marks,
    latent_mark,
)
from sklearn_causalrec.causal.graphs.reading import Builder
from sklearn_causalrec.causal.graphs.tokens import (
    quoted,
    tokens_of,
    unescaped,
    unreadable,
)
from sklearn_causalrec.causal.graphs.words import shown

_DEEPEST = 50  # braces inside braces
_KEYWORDS = {"node", "edge", "graph", "digraph", "subgraph", "strict"}


class _Scope:
    """The nodes of a subgraph, and the defaults that hold in it."""

    def __init__(self, outer=None, nodes=None):
        self.nodes = {} if nodes is None else nodes
        self.latent = outer.latent if outer else None
        self.edge = outer.edge if outer else {}


def read_braces(text):
    """Read DOT (``digraph {...}``) or dagitty text (``dag {...}``).

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
        If the text cannot be read, or if it says something that a causal graph
        cannot hold, as an undirected edge.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"DOT and dagitty graphs are text such as 'digraph {{a -> b}}', got "
            f"{type(text).__name__}; read a file with Path(...).read_text()."
        )
    return _Reader(text).reading()


class _Reader:
    """One pass over the tokens of a text."""

    def __init__(self, text):
        self.text = text
        self.tokens = tokens_of(text)
        self.at = 0
        self.spelt = {}  # node -> how it is spelt, backslashes as they stand
        self.subgraphs = {}
        self.reopened = None  # what opened the last endpoint, if not for the first time
        self.graph = Builder()

    # -- tokens ------------------------------------------------------------------

    def peek(self, ahead=0):
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self):
        token = self.peek()
        self.at += 1
        return token

    def sees(self, *marks):
        token = self.peek()
        return token.kind in ("mark", "arrow") and token.text in marks

    def sees_word(self, *words):
        token = self.peek()
        return token.kind == "plain" and token.text.lower() in words

    def sees_name(self):
        return self.peek().kind in ("quoted", "plain")

    def refuse(self, reason, token=None):
        token = token or self.peek()
        raise unreadable(self.text, token.position, reason)

    def expect(self, mark, reason):
        if not self.sees(mark):
            self.refuse(reason)
        return self.take()

    # -- the rules of the grammar -------------------------------------------------

    def reading(self):
        self.header()
        whole = _Scope()
        self.statements(whole, 0)
        while self.sees(";"):
            self.take()
        if self.peek().kind != "end":
            self.refuse("the text goes on after the closing brace of the graph")
        return self.graph.reading()

    def header(self):
        if self.sees_word("strict"):
            self.take()
            self.graph.strict = True
        word = self.take()
        kind = word.text.lower() if word.kind == "plain" else ""
        if self.sees_name():
            self.name()
        if kind not in {"digraph", "dag", "graph", "mag", "pag", "pdag"} or not (
            self.sees("{")
        ):
            self.refuse(
                "expected 'digraph { ... }' (DOT) or 'dag { ... }' (dagitty)", word
            )
        if kind == "graph":
            self.refuse(
                "'graph' is undirected and says nothing about what causes what; "
                "write 'digraph' and '->'",
                word,
            )
        if kind in ("mag", "pag", "pdag"):
            self.refuse(
                f"an edge of a {kind} may hide a latent cause or a direction; write a "
                f"'dag' with its latent nodes or '<->' edges",
                word,
            )
        self.take()

    def statements(self, scope, depth):
        """The statements up to the closing brace, and the brace."""
        if depth > _DEEPEST:
            self.refuse(f"braces stand in more than {_DEEPEST} others")
        while not self.sees("}"):
            if self.peek().kind == "end":
                self.refuse("a closing '}' is missing")
            if self.sees(";"):
                self.take()
                continue
            self.statement(scope, depth)
        self.take()

    def statement(self, scope, depth):
        following = self.peek(1)
        if self.sees_name() and following.text == "=" and following.kind == "mark":
            key = self.name()
            self.take()
            self.setting({key: self.value()})
        elif self.sees_word("node", "edge", "graph"):
            self.defaults(scope)
        else:
            self.nodes_or_edges(scope, depth)

    def defaults(self, scope):
        word = self.take()
        kind = word.text.lower()
        if not self.sees("["):
            self.refuse(
                f"{word.text!r} is a keyword; put it in double quotes to name a node",
                word,
            )
        attributes = self.attributes()
        if kind == "graph":
            self.setting(attributes)
        elif kind == "node":
            mark = latent_mark(attributes, "the default of nodes")
            scope.latent = scope.latent if mark is None else mark
        else:
            scope.edge = {**scope.edge, **edge_marks(attributes, "the default edge")}

    def setting(self, attributes):
        """An attribute of the graph itself: how it looks."""
        for key in attributes:
            if edge_marks({key: "no"}, "the graph") or (
                latent_mark({key: "no"}, "the graph") is not None
            ):
                self.refuse(
                    f"{shown(key)} is no attribute of a graph; write "
                    f"'edge [...]', 'node [...]' or give it to a node"
                )

    def nodes_or_edges(self, scope, depth):
        first, at = self.peek(), self.at
        ends = [self.endpoint(scope, depth)]
        if self.peek().kind != "arrow":
            self.node_list(scope, ends[0], first)
            return
        self.no_circle(at - 1, at, at + 1)
        self.no_second_opening()
        arrows = []
        while self.peek().kind == "arrow":
            arrow = self.take()
            if arrow.text == "--" or "@" in arrow.text:
                self.refuse(
                    f"{arrow.text!r} leaves open what causes what; write '->', or "
                    f"'<->' for a latent common cause",
                    arrow,
                )
            if not (self.sees_name() or self.sees("{")):
                self.refuse(f"the edge {arrow.text!r} has no end", arrow)
            self.no_circle(self.at + 1, self.at, self.at - 1)
            arrows.append(arrow)
            ends.append(self.endpoint(scope, depth))
            self.no_second_opening()
        if self.sees(","):
            self.refuse(
                "edges are separated by ';', and several ends of an edge stand in "
                "braces: {a b} -> c"
            )
        own = self.attributes()
        for left, arrow, right in zip(ends, arrows, ends[1:]):
            if arrow.text == "<-":
                left, right = right, left
            self.graph.connect(left, right, own, scope.edge, arrow.text == "<->")

    def no_second_opening(self):
        """Refuse ``subgraph s {a} -> subgraph s {b}``, which Graphviz takes for one."""
        if self.reopened:
            self.refuse(
                "an end of an edge is a subgraph whose name was used before; give it "
                "another name, or none",
                self.reopened,
            )

    def no_circle(self, name, circle, arrow):
        """Refuse ``a o-> b`` and ``a <-o b``: the circle is no node of its own."""
        if not 0 <= name < len(self.tokens):
            return
        name, circle, arrow = (self.tokens[k] for k in (name, circle, arrow))
        if circle[:2] != ("plain", "o") or name.kind not in ("plain", "quoted"):
            return
        between = self.text[circle.position + 1 : arrow.position]
        if arrow.position < circle.position:
            between = self.text[circle.position - 1].strip(">-←↔⟵⟷")
        start, end = sorted((name.position, circle.position))
        if not between and "\n" not in self.text[start:end]:
            self.refuse("'o' marks an end that is undecided; decide it first", circle)

    def node_list(self, scope, names, first):
        """Nodes without an edge, with their attributes."""
        if first.text == "{" or first.text.lower() == "subgraph":
            if first.kind != "quoted":
                return
        while self.sees(","):
            self.take()
            if not self.sees_name():
                self.refuse("a name is missing after ','")
            names = names + self.endpoint(scope, 0)
            if self.peek().kind == "arrow":
                self.refuse("several ends of an edge stand in braces: {a b} -> c")
        attributes = self.attributes()
        for name in names:
            self.graph.describe(name, attributes, scope.latent)

    def endpoint(self, scope, depth):
        """A node, or the nodes of a subgraph, as a list of names."""
        self.reopened = None
        if self.sees("{") or self.sees_word("subgraph"):
            return self.subgraph(scope, depth)
        if self.sees_word(*_KEYWORDS):
            word = self.peek().text
            self.refuse(
                f"{word!r} is a keyword; put it in double quotes to name a node"
            )
        if not self.sees_name():
            self.refuse(f"{self.peek().text!r} is not expected here")
        name = self.name(is_node=True)
        for _ in range(2):  # a port, and a point of the compass
            if self.sees(":"):
                self.take()
                if not self.sees_name():
                    self.refuse("a port is missing after ':'")
                self.name()
        self.graph.add(name, scope.latent)
        scope.nodes[name] = None
        return [name]

    def subgraph(self, scope, depth):
        nodes, opening = {}, self.peek()
        if self.sees_word("subgraph"):
            self.take()
            if self.sees_name():
                nodes = self.subgraphs.setdefault(self.name(), nodes)
        again = bool(nodes)
        if self.sees("{"):
            self.take()
            self.statements(_Scope(scope, nodes), depth + 1)
            self.reopened = opening if again else None
        scope.nodes.update(nodes)
        return list(nodes)

    def attributes(self):
        """One or more lists in brackets, as a dict."""
        found = {}
        while self.sees("["):
            opening = self.take()
            while not self.sees("]"):
                if self.sees(",", ";"):
                    self.take()
                    continue
                if not self.sees_name():
                    self.refuse("the '[' is not closed as it should be", opening)
                key = self.name()
                found[key] = None
                if self.sees("="):
                    self.take()
                    found[key] = self.value()
            self.take()
        return found

    def value(self):
        if self.peek().kind == "html":
            return self.take().text
        if not self.sees_name():
            self.refuse("a value is missing after '='")
        return self.name()

    def name(self, is_node=False):
        token = self.take()
        if token.kind == "plain":
            name = spelt = token.text
        else:
            pieces = [token.text]
            while self.sees("+"):
                self.take()
                if self.peek().kind != "quoted":
                    self.refuse("after '+' there must be a string in double quotes")
                pieces.append(self.take().text)
            name = "".join(map(unescaped, pieces))
            spelt = name if "\\" not in name else "".join(pieces)
        if is_node and self.spelt.setdefault(name, spelt) != spelt:
            self.refuse(
                "a node is spelt with one backslash here and with two elsewhere; "
                "spell it alike",
                token,
            )
        return name


def _written_nodes(graph):
    """Names as quoted strings; names that would become one are refused."""
    written = {}
    for name in graph.nodes:
        other = written.setdefault(str(name), name)
        if other is not name:
            raise ValueError(
                f"the nodes {shown(other, 60)} and {shown(name, 60)} are the same as "
                f"text; rename one of them first."
            )
    return {name: quoted(name) for name in graph.nodes}


def to_dot(graph):
    """DOT text of a graph, bidirected edges dashed with two heads."""
    text = _written_nodes(graph)
    lines = [f"  {a};" for a in text.values()]
    lines += [f"  {text[a]} -> {text[b]};" for a, b in graph.directed_edges]
    lines += [
        f"  {text[a]} -> {text[b]} [dir=both, style=dashed];"
        for a, b in graph.bidirected_edges
    ]
    return "\n".join(["digraph {", *lines, "}"])


def to_dagitty(graph):
    """The text of a graph for dagitty."""
    text = _written_nodes(graph)
    lines = list(text.values())
    lines += [f"{text[a]} -> {text[b]}" for a, b in graph.directed_edges]
    lines += [f"{text[a]} <-> {text[b]}" for a, b in graph.bidirected_edges]
    return "\n".join(["dag {", *lines, "}"])
