"""Marks on nodes and edges of foreign graphs: what is latent, and where heads are.

DOT, dagitty and networkx graphs carry such marks as attributes. A mark that is not
understood is refused, since a latent variable that is overlooked makes an effect seem
identified that is not.
"""

import re

from sklearn_causalrec.causal.graphs.words import shown

_YES = {"yes", "true", "1", "y", "on"}
_NO = {"no", "false", "0", "n", "off"}
_HIDDEN = "latent|unobserved|unmeasured|hidden"
_LATENT_KEYS = {*_HIDDEN.split("|"), "u"}
_OBSERVED_KEYS = {"observed", "measured"}
_KIND_KEYS = {"type", "kind", "role", "status", "class", "label"}
# "Unobserved Confounders" is the label that DoWhy gives.
_LATENT_VALUE = re.compile(
    rf"(?:{_HIDDEN})(?:[ _](?:variable|confounder|common[ _]cause|cause)s?)?"
)
_ODD_NODE = re.compile(rf"\b_?(?:{_HIDDEN})")
_ODD_EDGE = re.compile(rf"{_HIDDEN}|confound|bidirect|undirect")
_HEADS = {"normal", "vee", "open", "empty", "onormal", "halfopen"}
_DIRECTIONS = ("forward", "back", "both")
_EDGE_KINDS = {"type", "kind", "edge_type", "edgetype"}
EDGE_KEYS = ("dir", "arrowhead", "arrowtail", "bidirected", "latent")


def latent_mark(attributes, node):
    """Whether the attributes of a node say that it is latent.

    Parameters
    ----------
    attributes : dict
        The attributes by name. The value None stands for a bare word such as
        ``latent`` in ``[latent]``.
    node : str
        What to call the node in a message.

    Returns
    -------
    bool or None
        None where the attributes say nothing about it.

    Raises
    ------
    ValueError
        If an attribute speaks of latent variables in an unknown way, if two
        attributes contradict each other, or if the node is selected upon.
    """
    found, odd = set(), None
    for key, value in attributes.items():
        key_, word = _word(key), _word(value)
        if key_ in _LATENT_KEYS and not (key_ == "u" and value is not None):
            found.add(_truth(value, key, node))
        elif key_ in _OBSERVED_KEYS:
            found.add(not _truth(value, key, node))
        elif key_ in _KIND_KEYS and _LATENT_VALUE.fullmatch(word):
            found.add(True)
        elif key_ in _KIND_KEYS and word in _OBSERVED_KEYS:
            found.add(False)
        elif key_ == "selected" and _truth(value, key, node):
            raise ValueError(
                f"{node} is marked as selected: effects in a selected sample are not "
                f"identified here. Leave the mark away if the rows are all there are."
            )
        elif _ODD_NODE.search(key_) or _ODD_NODE.search(word):
            odd = key, value
    if len(found) > 1:
        raise ValueError(f"{node} is marked both as latent and as observed.")
    if odd and not found:
        raise ValueError(
            f"{node} has the attribute {_written(*odd)}; whether it is latent is not "
            f"clear. Mark the node with latent=true or with observed=yes."
        )
    return found.pop() if found else None


def edge_marks(attributes, edge):
    """The attributes of an edge that say where its heads are.

    Parameters
    ----------
    attributes : dict
        The attributes by name, see `latent_mark`.
    edge : str
        What to call the edge in a message.

    Returns
    -------
    dict
        Its keys are among `EDGE_KEYS`; "bidirected" and "latent" hold a bool.

    Raises
    ------
    ValueError
        If an attribute speaks of latent causes, or of directions, in an unknown way.
    """
    marks = {}
    for key, value in attributes.items():
        key_, word = _word(key), _word(value)
        if key_ in ("dir", "arrowhead", "arrowtail"):
            marks[key_] = word
        elif key_ == "bidirected":
            marks[key_] = _truth(value, key, edge)
        elif key_ in _LATENT_KEYS and not (key_ == "u" and value is not None):
            marks["latent"] = _truth(value, key, edge)
        elif key_ == "description" and word == "u":  # the R package causaleffect
            marks["latent"] = True
        elif key_ in _EDGE_KINDS and word in ("bidirected", "<->", "directed", "->"):
            marks["bidirected"] = word in ("bidirected", "<->")
        elif _ODD_EDGE.search(key_) or _ODD_EDGE.search(word):
            raise ValueError(
                f"{edge} has the attribute {_written(key, value)}, which is not "
                f"understood. Write an edge with a latent common cause as dir=both, "
                f"and leave the attribute away elsewhere."
            )
    return marks


def heads(marks, edge):
    """Whether an edge has heads at its tail and at its head.

    Parameters
    ----------
    marks : dict
        What `edge_marks` returns.
    edge : str
        What to call the edge in a message.

    Returns
    -------
    tuple of bool
        ``(False, True)`` is a directed edge, ``(True, False)`` one in the other
        direction, ``(True, True)`` a bidirected edge.

    Raises
    ------
    ValueError
        If the edge has no head, or an end that is unknown.
    """
    if marks.get("bidirected"):
        return True, True
    direction = marks.get("dir") or "forward"
    if direction == "none":
        raise ValueError(
            f"{edge} has dir=none, and an edge without direction says nothing about "
            f"what causes what. Give it a direction, or dir=both for a latent cause."
        )
    if direction not in _DIRECTIONS:
        raise ValueError(
            f"{edge} has dir={shown(direction, 40)}; known are forward, back and both."
        )
    ends = []
    for side, key in (("back", "arrowtail"), ("forward", "arrowhead")):
        end = marks.get(key) or "normal"
        if end == "none":
            ends.append(False)
            continue
        if direction in (side, "both") and end not in _HEADS:
            raise ValueError(
                f"{edge} has {key}={shown(end, 40)}, an end that is undecided or "
                f"unknown; known are none, {', '.join(sorted(_HEADS))}."
            )
        ends.append(direction in (side, "both"))
    if not any(ends):
        raise ValueError(
            f"{edge} has no arrowhead, and an edge without direction says nothing "
            f"about what causes what. Give it a direction."
        )
    return tuple(ends)


def _word(value):
    """A value as a word in lower case; pydot leaves the quotes on."""
    if value is None:
        return ""
    return str(value).strip().strip('"').strip().lower()


def _truth(value, key, where):
    if value is None:  # a bare word
        return True
    word = _word(value)
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(
        f"{where} has {_written(key, value)}; its value must be yes or no."
    )


def _written(key, value):
    key = repr(str(key)[:40])[1:-1]  # no line of it ends a line of the message
    return key if value is None else f"{key}={shown(value, 60)}"
