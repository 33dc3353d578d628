"""The words of graphs in braces: the lexer of `dot`, and what it shares.

A comment is space; a quoted string, an HTML-like string, an arrow, a plain name and a
mark of punctuation are tokens. The rules are those of Graphviz, with the arrows of
dagitty and of typography.
"""

import re
from typing import NamedTuple

from sklearn_causalrec.causal.graphs.words import around, line_of, shown

ARROWS = {"→": "->", "⟶": "->", "←": "<-", "⟵": "<-", "↔": "<->", "⟷": "<->"}
ARROW_CHARACTERS = "←-⇿⟰-⟿⤀-⥿⬀-⬑"
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+|//[^\n]*|(?:(?<=[\s;{{}}\[\],])|\A)\#[^\n]*|/\*(?s:.*?)\*/|\A\ufeff)
    |"(?P<quoted>(?s:[^"\\]*+(?:\\.[^"\\]*+)*+))"
    |(?P<arrow><->|@->|<-@|@-@|@--|--@|->|<-|--|[{"".join(ARROWS)}])
    |(?P<mark>[{{}}\[\];,=:+])
    |(?P<plain>-?(?:\.\d+|\d+(?:\.\d*)?)(?![\w.])
      |(?:[\w.]|[^\x00-\x7f\s{ARROW_CHARACTERS}‐-―−\ufeff])+)
    """,
    re.VERBOSE,
)
_ANGLE = re.compile("[<>]")
_ESCAPED = re.compile(r'\\(?s:(\r?\n)|(["\\]))')
_OPENING = re.compile(
    r"""(?:strict\s++)?(?:(?:di)?graph|dag|pdag|mag|pag)\b\s*+
    (?:"[^"]*+"\s*+|[\w.-]++\s*+)?\{""",
    re.VERBOSE | re.IGNORECASE,
)


class Token(NamedTuple):
    kind: str  # "quoted", "plain", "html", "arrow", "mark" or "end"
    text: str
    position: int


def tokens_of(text):
    """The tokens of a text, without space and comments, and one for its end."""
    position, found = 0, []
    while position < len(text):
        match = _TOKEN.match(text, position)
        if text[position] == "<" and found and found[-1][:2] == ("mark", "="):
            end = _closing_angle(text, position)
            found.append(Token("html", text[position:end], position))
            position = end
            continue
        if not match:
            raise unreadable(text, position, _why_no_token(text, position))
        if match.lastgroup != "space":
            kind = match.lastgroup
            value = match[kind]
            if kind == "arrow":
                value = ARROWS.get(value, value)
            found.append(Token(kind, value, position))
        position = match.end()
    found.append(Token("end", "", len(text)))
    return found


def _closing_angle(text, start):
    depth = 0
    for angle in _ANGLE.finditer(text, start):
        depth += 1 if angle[0] == "<" else -1
        if not depth:
            return angle.end()
    raise unreadable(text, start, "an HTML-like string has no closing '>'")


def _why_no_token(text, position):
    if text.startswith("/*", position):
        return "a comment has no closing '*/'"
    character = text[position]
    if character == '"':
        return "a quoted name has no closing quote"
    if character == "<":
        return "an HTML-like string names no node; put the name in double quotes"
    if character == "#":
        return "'#' begins a comment only after a space; put the name in double quotes"
    return f"{shown(character)} stands in names only in double quotes"


def unreadable(text, position, reason):
    return ValueError(
        f"cannot read the graph text at line {line_of(text, position)}: {reason}; "
        f"near {around(text, position)}."
    )


def opens_with_braces(text):
    """Whether a text begins as DOT or dagitty text does.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    bool
        True for ``digraph {`` and its like, whatever follows.
    """
    position = 0
    while (token := _TOKEN.match(text, position)) and token.lastgroup == "space":
        position = token.end()
    return _OPENING.match(text, position) is not None


def unescaped(text):
    # A backslash at the end of a line continues the string. Graphviz keeps a doubled
    # backslash in an identifier; here it stands for one, so that any name can be
    # written.
    return _ESCAPED.sub(lambda found: found[2] or "", text)


def quoted(name):
    r"""A name as a quoted string of DOT, dagitty or the arrow notation.

    Parameters
    ----------
    name : object
        The name; what is no text is written as its ``str``.

    Returns
    -------
    str
        The name in double quotes, its quotes and backslashes escaped.

    Examples
    --------
    >>> print(quoted('the "odd" one'))
    "the \"odd\" one"
    """
    return '"' + str(name).replace("\\", "\\\\").replace('"', '\\"') + '"'
