"""Effects in a graph with open ends: one query for each case, and the range of them."""

from dataclasses import dataclass, replace

import pandas as pd

from sklearn_causalrec.causal.estimation.answers import Answer
from sklearn_causalrec.causal.estimation.query import Query
from sklearn_causalrec.causal.estimation.ranges import EffectRange
from sklearn_causalrec.causal.estimation.registry import choose
from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.partial import PartialGraph, adjusting
from sklearn_causalrec.effects.intervals import Estimate

_MOST = 200  # cases to estimate


@dataclass
class Case:
    """Graphs that are possible and agree on the effect.

    Attributes
    ----------
    query : Query
        The effect in them, in a graph of nothing but what identifies it.
    decided : list of str
        What each of the resolutions directs, as text.
    """

    query: Query
    decided: list


def cases_of(graph, outcome, treatments, columns, options):
    """The cases of an effect: one, unless the graph leaves it open.

    Parameters
    ----------
    graph : CausalGraph or PartialGraph
        Its nodes are the columns, the treatments and the outcome.
    outcome : name
        The node that y is.
    treatments : tuple of names
        The nodes that are set.
    columns : tuple of names
        The columns of X that are not treatments.
    options : Options
        What the user has chosen.

    Returns
    -------
    list of Case

    Raises
    ------
    NotIdentifiableError
        If the effect does not follow from the graph.
    ValueError
        If a choice of the user does not fit the graph.
    """
    if not isinstance(graph, PartialGraph):
        return [Case(Query(graph, outcome, treatments, columns, options), [""])]
    if options.strategy == "instrument" or options.mediators is not None:
        what = "mediators" if options.mediators is not None else "an instrument"
        raise ValueError(
            f"{what} can be told by a graph without open ends: pass a CausalGraph."
        )
    found = {}
    for count, resolution in enumerate(graph.resolutions(outcome, treatments)):
        if count == _MOST:
            raise ValueError(
                f"the open edges leave more than {_MOST} cases: decide some of them, "
                "graph.orient([...])."
            )
        plain, its = _plain(resolution, outcome, treatments, options)
        told = [e for e in resolution.edges if e[1] == "-->" and e not in graph.edges]
        decided = "; ".join(" ".join(map(str, edge)) for edge in told)
        if plain in found:
            found[plain].decided.append(decided)
            continue
        used = tuple(name for name in columns if name in plain)
        query = Query(plain, outcome, treatments, used, its)
        found[plain] = Case(query, [decided])
    return list(found.values())


def _plain(graph, outcome, treatments, options):
    """A `CausalGraph` that says of the effect what all graphs of a case say, no more.

    What the rows' effects may depend on is adjusted for as well.
    """
    if graph.identify(outcome, treatments).strategy == "no-effect":
        hidden = [(t, outcome) for t in treatments]
        plain = CausalGraph.from_edges((), hidden)
        return plain, replace(options, adjustment_set=None, effect_modifiers=None)
    chosen, modifiers = options.adjustment_set, options.effect_modifiers or ()
    if chosen is None:
        chosen = next(graph.adjustment_sets(outcome, treatments, "optimal"), None)
    if chosen is None:
        if modifiers:
            raise ValueError(
                "no set of columns is valid to adjust for, so that no effect given "
                f"{list(as_names(modifiers))} is known: set effect_modifiers=None."
            )
        plain = graph.identify(outcome, treatments).graph
        return plain, replace(options, effect_modifiers=())
    if later := graph.possible_descendants(treatments) & {*as_names(modifiers)}:
        raise ValueError(
            f"{sorted(map(str, later))} may be caused by the treatment, in some graph "
            f"with the edges {graph}: no effect is known given that. Leave it out of "
            "effect_modifiers."
        )
    names = {*as_names(chosen), *as_names(modifiers)}
    if not graph.is_adjustment_set(outcome, treatments, names):
        valid = next(graph.adjustment_sets(outcome, treatments), None)
        wrong = sorted(map(str, names))
        raise ValueError(
            f"{wrong}, adjustment set and modifiers, is not a valid adjustment set in "
            f"all graphs with the edges {graph}. "
            + ("No set is." if valid is None else f"{sorted(map(str, valid))} is.")
        )
    z = [name for name in graph.nodes if name in names]
    plain = adjusting(z, treatments, (outcome,))
    return plain, replace(options, adjustment_set=z)


def answer_of(cases, problem, graph):
    """What is known of an effect: an answer, or the range of those in the cases.

    Parameters
    ----------
    cases : list of Case
        The cases.
    problem : Problem
        The data.
    graph : CausalGraph or PartialGraph
        The graph with the open ends.

    Returns
    -------
    Answer
    """
    answers = []
    for case in cases:
        if case.query.has_no_effect and len(cases) > 1:
            answers.append(NoEffectAnswer(problem.variables))
            continue
        its = replace(problem, estimand=case.query.estimand)
        answers.append(choose(case.query, its).estimate(case.query, its))
    if len(answers) == 1:
        return answers[0]
    return RangeAnswer(problem.variables, answers, cases, graph)


class NoEffectAnswer(Answer):
    """No path leads from the treatment to the outcome: the effect is zero."""

    strategy = method = "no-effect"
    guarantee = "exact"

    def average(self, t0, t1, variables=None, clustered=True):
        """Zero, without an error."""
        return Estimate(0.0, 0.0)


class RangeAnswer(Answer):
    """The effect in each of several cases: a range, and no number.

    Parameters
    ----------
    variables : Variables
        The columns of the rows of ``fit``.
    answers : list of Answer
        The answer in each case.
    cases : list of Case
        The cases.
    graph : PartialGraph
        The graph with the open ends.
    """

    strategy = "possible effects"

    def __init__(self, variables, answers, cases, graph):
        super().__init__(variables)
        self._answers, self._cases, self._graph = answers, cases, graph
        self.method = ", ".join(dict.fromkeys(answer.method for answer in answers))
        self.guarantee = (
            f"the graph leaves {len(answers)} effects possible; ate_range() has all"
        )

    def _refuse(self, what):
        query = self._cases[0].query
        raise self._graph.undecided_error(query.outcome, query.treatments)

    def pseudo_effects(self):
        """Refused: they would be those of one case."""
        self._refuse("the score")

    def sensitivity(self, t0, t1):
        """Refused: it would be that of one case."""
        self._refuse("the sensitivity")

    def ate_range(self, t0, t1, alpha, clustered=True):
        """The average effect in each case."""
        frames = [
            answer.ate_range(t0, t1, alpha, clustered).cases.assign(
                decided=" or ".join(case.decided)
            )
            for answer, case in zip(self._answers, self._cases)
        ]
        return EffectRange(pd.concat(frames, ignore_index=True))
