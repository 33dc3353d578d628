"""What the playground says of a graph: read, drawn, identified or refused.

It runs in the browser by Pyodide, which has nothing but Python here, and once when the
page is built. Everything that a visitor typed is escaped.
"""

import json
from html import escape

from sklearn_causalrec.causal import CausalGraph, NotIdentifiableError

MOST_NODES, MOST_SETS = 40, 6
IN_WORDS = {
    "no-effect": "The treatment does not cause the outcome: nothing to compute.",
    "adjustment": "By adjustment: compare rows that are alike in {}.",
    "frontdoor": "By the front door, through {}: what the treatment does to it, and "
    "what it does to the outcome.",
    "primal-fixable": "By a formula that is neither adjustment nor the front door: the "
    "treatment shares no hidden cause with what it causes directly.",
    "general": "By the general algorithm: neither adjustment nor the front door.",
}


def names_of(text):
    """Names that are divided by commas."""
    return [name for part in text.split(",") if (name := part.strip())]


def _set(names):
    return "{" + ", ".join(sorted(map(str, names))) + "}" if names else "nothing"


def _paragraph(text, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f"<p{kind}>{escape(text)}</p>"


def _drawing(graph, text):
    label = escape(f"The causal graph {' '.join(text.split())}")
    return (
        f'<div class="paper" role="img" aria-label="{label}" tabindex="0">'
        f"{graph._repr_html_()}</div>"
    )


def _identified(graph, found):
    used = found.adjustment_set or found.mediators
    how = IN_WORDS[found.strategy]
    if found.strategy == "adjustment" and not used:
        how = "Nothing has to be adjusted for: the treatment is as good as randomised."
    parts = [
        _paragraph("The effect is identified.", "verdict yes"),
        _paragraph(how.format(_set(used))),
        f'<pre tabindex="0">{escape(str(found))}</pre>',
    ]
    if found.strategy == "adjustment":
        sets = graph.adjustment_sets(found.outcome, found.treatment)
        told = [_set(one) for one, _ in zip(sets, range(MOST_SETS))]
        if len(told) > 1:
            parts.append(_paragraph(f"Sets that are enough: {'; '.join(told)}."))
    parts.append(
        "<details open><summary>How it follows from the graph</summary>"
        f"{found.derivation._repr_html_()}</details>"
    )
    return "".join(parts)


def answer(text, outcome, treatment, given=""):
    """Read a graph and ask whether an effect in it is identified.

    Parameters
    ----------
    text : str
        The graph, in the notation of `CausalGraph`.
    outcome, treatment, given : str
        Names, divided by commas.

    Returns
    -------
    dict of str to str
        "state" ("identified", "refused" or "wrong"), and pieces of HTML: "drawing"
        and "found".
    """
    try:
        graph = CausalGraph(text)
        if len(graph) > MOST_NODES:
            raise ValueError(
                f"The graph has {len(graph)} nodes. Here, at most {MOST_NODES} are "
                "drawn; the package itself takes thousands."
            )
        y, x, z = map(names_of, (outcome, treatment, given))
        if not y or not x:
            raise ValueError("Name an outcome and a treatment.")
        drawing = _drawing(graph, text)
        found = graph.identify(y, x, z)
    except NotIdentifiableError as error:
        words = [line for line in str(error).split(". ") if line]
        parts = [
            _paragraph("The effect is not identified.", "verdict no"),
            *(_paragraph(line.rstrip(".") + ".") for line in words),
        ]
        return {"state": "refused", "drawing": drawing, "found": "".join(parts)}
    except (ValueError, TypeError, KeyError) as error:
        words = str(error.args[0] if isinstance(error, KeyError) else error)
        wrong = _paragraph(words, "verdict wrong")
        return {"state": "wrong", "drawing": "", "found": wrong}
    return {
        "state": "identified",
        "drawing": drawing,
        "found": _identified(graph, found),
    }


def answer_json(*asked):
    """`answer` as text, which passes from Python to the page."""
    return json.dumps(answer(*asked))
