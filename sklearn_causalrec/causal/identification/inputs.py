"""What a causal graph says of the inputs of a model that adjusts for all of them."""

from sklearn_causalrec.causal.identification.adjustment import is_adjustment_set
from sklearn_causalrec.causal.identification.remedies import NotIdentifiableError


def name_roles(graph, columns, outcome=None, treatment=None):
    """The nodes that y and the treatment are.

    Parameters
    ----------
    graph : CausalGraph
    columns : sequence of names
        Of X; a treatment may be among them.
    outcome, treatment : name or None
        What is known of them, such as the name of a Series.

    Returns
    -------
    (outcome, treatment)

    Raises
    ------
    ValueError
        Where the nodes that X lacks leave a choice.
    """
    lacking = [v for v in graph.nodes if v not in columns]
    if outcome not in graph:
        rest = [v for v in lacking if v != treatment]
        if treatment is None and len(rest) == 2:
            raise ValueError(
                f"X lacks the nodes {rest}: which is y? Pass it as a Series of that "
                "name, or name the treatment."
            )
        if len(rest) != 1:
            raise ValueError(
                f"which node is y? It is called {outcome!r}; the nodes of the graph "
                f"that are no columns of X are {rest}."
            )
        (outcome,) = rest
    if treatment not in graph:
        rest = [v for v in lacking if v != outcome]
        if len(rest) != 1:
            raise ValueError(
                "which node is the treatment? Name it, treatment=...; the nodes that "
                f"are no columns of X, but for {outcome!r}, are {rest}."
            )
        (treatment,) = rest
    return outcome, treatment


def check_inputs(graph, inputs, outcome, treatment):
    """Whether adjusting for all inputs gives the effect.

    Returns
    -------
    None where it does; a `NotIdentifiableError` where nothing observed would.

    Raises
    ------
    ValueError
        Naming the inputs that bias the effect (what the treatment causes, colliders),
        the columns that are missing, or the strategy that is needed in place of
        adjustment.
    """
    if strange := [v for v in inputs if v not in graph]:
        raise ValueError(
            f"X has the columns {strange}, which are no nodes of the graph. Drop them, "
            "or add them to the graph."
        )
    y, x, z = graph.masks(outcome=outcome, treatment=treatment, inputs=inputs)
    later = [v for v in inputs if v in graph.descendants(treatment)]
    if later:
        between = graph.ancestors(outcome)
        kinds = ", ".join(
            f"{v!r} ({'a mediator' if v in between else 'an effect of it'})"
            for v in later
        )
        raise ValueError(
            f"the treatment {treatment!r} causes {kinds}: adjusting for that takes "
            "part of the effect away, or opens a path. Drop it from X."
        )
    try:
        estimand = graph.identify(outcome, treatment)
    except NotIdentifiableError as error:
        return error
    if estimand.strategy == "no-effect" or is_adjustment_set(graph, x, y, z):
        return None
    valid = next(graph.adjustment_sets(outcome, treatment), None)
    if valid is None:
        raise ValueError(
            f"no set of columns is valid to adjust for: the effect is identified by "
            f"{estimand.strategy!r}. Use DoCalculusEffect, which estimates that."
        )
    opened = _colliders(graph, x, y, z)
    if opened:
        raise ValueError(
            f"the inputs {opened} are colliders: adjusting for them opens a path "
            f"between {treatment!r} and {outcome!r} that is closed without. Drop them "
            "from X."
        )
    missing = sorted(map(str, valid - set(inputs)))
    raise ValueError(
        f"the inputs leave a path open between {treatment!r} and {outcome!r}: add the "
        f"columns {missing}; {sorted(map(str, valid))} is a valid adjustment set."
    )


def _colliders(graph, x, y, z):
    """Inputs without which the others are a valid set; none where no such are."""
    names = graph.listed(z)
    for v in names:
        if is_adjustment_set(graph, x, y, z & ~graph.mask(v)):
            return [v]
    # Only causes of treatment or outcome can be needed; the others can only open.
    causes = graph.mask(graph.ancestors(graph.listed(x | y)))
    if is_adjustment_set(graph, x, y, z & causes):
        return list(graph.listed(z & ~causes))
    return []
