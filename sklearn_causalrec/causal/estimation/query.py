"""What is asked of the graph, resolved before any model is trained."""

from dataclasses import dataclass
from typing import Any

from sklearn_causalrec.causal.estimation.program import Program
from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.identification.adjustment import (
    backdoor_problem,
    is_adjustment_set,
)


@dataclass(frozen=True)
class Options:
    """What the user has chosen about a query.

    Attributes
    ----------
    strategy : str
        "auto", or the name of the strategy that the user insists on.
    adjustment_set, effect_modifiers, mediators : names, or None
        What is adjusted for, what the effect may depend on, and what its paths are
        split at. None leaves each of them to the graph.
    instrument : name, or None
        The instrument for ``strategy="instrument"``.
    effect_model : "auto", None, str or estimator
        How the effect varies with the modifiers; for an instrument, its method.
    lazy_effects : bool
        Whether the model of how the effect varies is fitted when it is first asked for.
    cv : int
        Folds of the cross-fitting, for strategies that make folds of their own.
    """

    strategy: str = "auto"
    adjustment_set: Any = None
    effect_modifiers: Any = None
    mediators: Any = None
    instrument: Any = None
    effect_model: Any = "auto"
    lazy_effects: bool = True
    cv: int = 5


class Query:
    """An effect in a graph, and what the graph says of its estimation.

    Parameters
    ----------
    graph : CausalGraph
        Its nodes are the columns, the treatments and the outcome.
    outcome : name
        The node that y is.
    treatments : tuple of names
        The nodes that are set.
    columns : tuple of names
        The columns of X that are not treatments.
    options : Options, optional
        What the user has chosen.

    Attributes
    ----------
    estimand : Estimand, or None for an instrument
        P(outcome | do(treatments)) in terms of the data.
    adjustment : tuple of names, or None
        What to adjust for; None where no set is valid.
    program : Program or None
        The estimand as a product of conditionals; None where it has another form.
    instrument : name, or None
        The instrument; ``controls`` is the tuple of names that it is valid given.
    through : frozenset of names
        With mediators: the nodes that keep their law under the control where the rest
        follow an arm.

    Raises
    ------
    NotIdentifiableError
        If the effect does not follow from the graph.
    ValueError
        If a choice of the user does not fit the graph.
    """

    def __init__(self, graph, outcome, treatments, columns, options=None):
        self.graph, self.outcome = graph, outcome
        self.treatments, self.columns = treatments, columns
        self.options = options = options or Options()
        self.estimand = self.adjustment = self.program = self.instrument = None
        self.controls, self.through = (), frozenset()
        if options.strategy == "instrument":
            self._find_instrument(options.instrument)
            return
        self.estimand = graph.identify(outcome, treatments)
        self.adjustment = self._adjustment(options.adjustment_set)
        if not self.has_no_effect:
            self.program = Program.of(self.estimand)
        if options.mediators is not None:
            self._check_mediators(tuple(as_names(options.mediators)))

    @property
    def has_no_effect(self):
        """Whether no path leads from the treatments to the outcome."""
        return self.estimand is not None and self.estimand.strategy == "no-effect"

    # -- adjustment ----------------------------------------------------------------

    def _masks(self):
        return self.graph.mask(self.treatments), self.graph.mask(self.outcome)

    def is_valid(self, names):
        """Whether a set of names is an adjustment set."""
        return is_adjustment_set(self.graph, *self._masks(), self.graph.mask(names))

    def _adjustment(self, chosen):
        if chosen is None:
            sets = self.graph.adjustment_sets(self.outcome, self.treatments, "optimal")
            found = next(sets, None)
            return None if found is None else self.ordered(found)
        chosen = tuple(as_names(chosen))
        if not self.is_valid(chosen):
            raise ValueError(self._why_invalid(chosen))
        return self.ordered(chosen)

    def _why_invalid(self, chosen):
        x, y = self._masks()
        _, allowed = backdoor_problem(self.graph, x, y)
        allowed = self.graph.named(allowed)
        text = f"{sorted(map(str, chosen))} is not a valid adjustment set: "
        if wrong := [v for v in chosen if v not in allowed]:
            text += f"{wrong} lie between treatment and outcome, or follow from that."
        else:
            text += "it leaves a non-causal path open, or opens one at a collider."
        sets = self.graph.adjustment_sets(self.outcome, self.treatments)
        valid = next(sets, None)
        if valid is None:
            return text + " No set of columns is valid: leave adjustment_set out."
        return text + f" {sorted(map(str, valid))} is valid."

    def ordered(self, names):
        """Some nodes in topological order, a tuple."""
        return tuple(v for v in self.graph.topological_order if v in names)

    # -- modifiers -----------------------------------------------------------------

    def modifiers(self):
        """What the effect may be conditioned on: names, or None where on nothing.

        Raises
        ------
        ValueError
            Where the effect given the names chosen is not identified.
        """
        chosen = self.options.effect_modifiers
        if chosen is not None:
            chosen = tuple(as_names(chosen))
            self.graph.mask(chosen)
            if not self._is_identified_given(chosen):
                raise ValueError(self.unidentified(chosen))
            return self.ordered(chosen)
        if self.adjustment is not None:
            return self.adjustment
        early = self.before_treatment()
        if not early:
            return ()
        inner = tuple(v for v in early if v in self.estimand.summed)
        return inner if inner and self._is_identified_given(inner) else None

    def before_treatment(self):
        """Columns that the treatments do not cause."""
        later = self.graph.descendants(self.treatments)
        return tuple(v for v in self.ordered(self.columns) if v not in later)

    def _is_identified_given(self, names):
        if not names:
            return True
        if set(names) & self.graph.descendants(self.treatments):
            return False
        if self.adjustment is not None:
            return self.is_valid({*names, *self.adjustment})
        # Of the causes of the outcome that remain once the treatment is set the
        # program gives the joint law: it need only not be summed over them.
        return self.program is not None and set(names) <= set(self.estimand.summed)

    def unidentified(self, names):
        """Why there is no effect given some columns, and given which there is."""
        fine = [v for v in self.before_treatment() if self._is_identified_given((v,))]
        return (
            f"the effect given {list(names)} is not identified, or not by the "
            f"functional of the average effect; it is given any one of {fine}. Name "
            "effect_modifiers=..., () for none; ate() is the average."
        )

    # -- instruments and mediators -------------------------------------------------

    def _find_instrument(self, chosen):
        if len(self.treatments) != 1:
            raise ValueError("an instrument is for one treatment.")
        if self.options.mediators is not None:
            raise ValueError(
                "an instrument tells the whole effect, not its paths: leave mediators "
                "out."
            )
        found = list(self.graph.instruments(self.outcome, self.treatments[0]))
        if chosen is not None:
            found = [pair for pair in found if pair[0] == chosen]
        if not found:
            what = "no node" if chosen is None else f"{chosen!r}"
            raise ValueError(
                f"{what} is an instrument for {self.treatments[0]!r} in the graph: it "
                "must move the treatment and reach the outcome through it alone. For "
                "graph=None nothing is known of that: pass a graph."
            )
        self.instrument, given = found[0]
        self.controls = self.ordered(given)

    def _check_mediators(self, names):
        """Refuse what has no paths to split, or paths that cannot be told apart [1]_.

        References
        ----------
        .. [1] I. Shpitser (2013). Counterfactual graphical models for longitudinal
           mediation analysis with unobserved confounding. Cognitive Science 37.
        """
        if self.program is None:
            raise ValueError(
                "effects along paths are for an effect that is a product of "
                f"conditionals; this one is {self.estimand.strategy!r}."
            )
        # A treatment that is set carries nothing on of what comes before it.
        treatments = frozenset(self.treatments)
        set_to = self.graph.do(self.treatments)
        between = set_to.descendants(treatments) & set_to.ancestors(self.outcome)
        between -= treatments | {self.outcome}
        if wrong := [v for v in names if v not in between]:
            of = ", ".join(map(repr, self.treatments))
            raise ValueError(
                f"{wrong} do not lie between {of} and {self.outcome!r}; "
                f"{sorted(map(str, between))} do."
            )
        # All that the treatment reaches the mediators by moves with them.
        through = between & set_to.ancestors(names)
        for v in sorted(through - set(names), key=str):
            if leaves := set_to.children(v) & (between | {self.outcome}) - through:
                raise ValueError(
                    f"the effect through {list(names)} is not identified: {v!r} leads "
                    f"to the mediators and also to {sorted(map(str, leaves))}, so that "
                    "it would need two values at once. Add it to mediators=..."
                )
        self.through = self._reading_control(names, through)

    def _reading_control(self, names, through):
        """Nodes that follow their law under the control in the crossed mean.

        The nodes of a district have one law together, so they read one arm.
        """
        treatments, reads = frozenset(self.treatments), {}
        for kernel in self.estimand.kernels:
            whole = frozenset(kernel.chain[0]) - treatments
            met = reads.setdefault(whole, set())
            for v in kernel.district:
                if treatments & set(self.graph.parents(v)):
                    met.add(v in through)
            if len(met) > 1:
                raise ValueError(
                    f"the effect through {list(names)} is not identified: a latent "
                    f"cause joins {list(self.ordered(whole))}, some of which are "
                    "mediators and some are not."
                )
        control = (
            whole for whole, met in reads.items() if True in met or not met & {False}
        )
        return frozenset().union(*(w for w in control if w & through))
