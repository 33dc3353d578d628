"""Graphs as text: arrows, DOT and dagitty."""

import re

_TOKEN = re.compile(
    r"""\s*(?:
    "((?:[^"\\]|\\.)*)"          # 1: a quoted name
    |(<->|->|<-|--)              # 2: an arrow
    |(\[(?:"(?:[^"\\]|\\.)*"|[^\]"])*\])  # 3: attributes
    |([{};,=])                   # 4: punctuation
    |([^\s"\[\]{};,=<>-]+)       # 5: a plain name
    |(\S)                        # 6: anything else
    )""",
    re.VERBOSE,
)


def parse_arrows(text):
    """Read ``a -> b; b <-> c; d``.

    Returns
    -------
    (nodes, directed, bidirected)
    """
    if not isinstance(text, str):
        raise TypeError(
            f"CausalGraph reads text such as 'a -> b; b <-> c', got "
            f"{type(text).__name__}; for edge lists there is CausalGraph.from_edges, "
            f"for networkx graphs CausalGraph.from_networkx."
        )
    nodes, directed, bidirected = {}, [], []
    for statement in re.split(r"[;\n]", re.sub(r"#.*", "", text)):
        statement = statement.strip()
        if not statement:
            continue
        parts = re.split(r"\s*(<->|->|<-)\s*", statement)
        for name in parts[::2]:
            if not name or re.search(r"--|<|>", name):
                raise ValueError(
                    f"cannot read {statement!r}: between names there may be '->', "
                    f"'<-' or '<->', and statements are separated by ';'."
                )
            nodes[name] = None
        for left, arrow, right in zip(parts[::2], parts[1::2], parts[2::2]):
            _add(left, arrow, right, directed, bidirected)
    return list(nodes), directed, bidirected


def _add(left, arrow, right, directed, bidirected):
    if arrow == "<->":
        bidirected.append((left, right))
    elif arrow == "->":
        directed.append((left, right))
    else:
        directed.append((right, left))


def parse_braces(text):
    """Read DOT (``digraph {...}``) or dagitty (``dag {...}``).

    Returns
    -------
    (nodes, directed, bidirected, latent)
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    opening = re.match(
        r'\s*(?:strict\s+)?(digraph|dag|mag)\b\s*("[^"]*"|\w+)?\s*\{', text
    )
    if not opening or not text.rstrip().endswith("}"):
        raise ValueError(
            "expected 'digraph { ... }' (DOT) or 'dag { ... }' (dagitty), got "
            f"{text.strip()[:40]!r}."
        )
    body = text[opening.end() : text.rstrip().rindex("}")]
    nodes, latent, directed, bidirected = {}, [], [], []
    chain, arrow, group = [], None, None  # the groups of a chain, each a list of names
    links = []

    def finish(attributes=""):
        nonlocal arrow, links
        if arrow:
            raise ValueError(f"an edge after {chain[-1]} has no end.")
        both = re.search(r'dir\s*=\s*"?both', attributes)
        for left, sign, right in links:
            for a in left:
                for b in right:
                    _add(a, "<->" if both else sign, b, directed, bidirected)
        if not links and chain and re.search(r"\b(latent|unobserved|U)\b", attributes):
            latent.extend(chain[-1])
        chain.clear()
        links = []

    def place(names):
        nonlocal arrow
        if chain and not arrow:
            finish()
        if arrow:
            links.append((chain[-1], arrow, names))
        chain.append(names)
        arrow = None

    tokens = [t for t in _TOKEN.finditer(body)]
    position = 0
    while position < len(tokens):
        token = tokens[position]
        quoted, sign, attributes, punctuation, plain, other = token.groups()
        position += 1
        if other or sign == "--":
            raise ValueError(
                f"cannot read {token.group().strip()!r} in the graph text."
            )
        if punctuation == "=" or (
            position < len(tokens) and tokens[position].group(4) == "="
        ):
            position += 2  # a setting such as bb="0,0,1,1" or rankdir=LR
            continue
        if attributes:
            if chain and chain[-1] and chain[-1][0] in ("node", "edge", "graph"):
                nodes.pop(chain[-1][0], None)
                chain.clear()
            finish(attributes)
        elif sign:
            if not chain or arrow:
                raise ValueError(f"the edge {sign!r} has no beginning.")
            arrow = sign
        elif punctuation == "{":
            group = []
        elif punctuation == "}":
            if group is None:
                raise ValueError("a '}' without its '{' in the graph text.")
            place(group)
            group = None
        elif punctuation in (";", ","):
            if group is None and punctuation == ";":
                finish()
        else:
            name = plain if quoted is None else quoted.replace('\\"', '"')
            nodes[name] = None
            group.append(name) if group is not None else place([name])
    finish()
    return list(nodes), directed, bidirected, latent


def to_arrows(graph):
    """The text that `CausalGraph` reads back."""
    joined = {a for e in (*graph.directed_edges, *graph.bidirected_edges) for a in e}
    return "; ".join(
        [str(a) for a in graph.nodes if a not in joined]
        + [f"{a} -> {b}" for a, b in graph.directed_edges]
        + [f"{a} <-> {b}" for a, b in graph.bidirected_edges]
    )


def _quote(name):
    return '"' + str(name).replace('"', '\\"') + '"'


def to_dot(graph):
    """DOT text."""
    lines = [f"  {_quote(a)};" for a in graph.nodes]
    lines += [f"  {_quote(a)} -> {_quote(b)};" for a, b in graph.directed_edges]
    lines += [
        f"  {_quote(a)} -> {_quote(b)} [dir=both, style=dashed];"
        for a, b in graph.bidirected_edges
    ]
    return "\n".join(["digraph {", *lines, "}"])


def to_dagitty(graph):
    """dagitty text."""
    lines = [_quote(a) for a in graph.nodes]
    lines += [f"{_quote(a)} -> {_quote(b)}" for a, b in graph.directed_edges]
    lines += [f"{_quote(a)} <-> {_quote(b)}" for a, b in graph.bidirected_edges]
    return "\n".join(["dag {", *lines, "}"])
