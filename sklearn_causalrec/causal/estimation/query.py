"""What is asked of the graph, resolved before any model is trained."""

import warnings

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from sklearn_causalrec.causal.estimation.strategies.sequential import Program
from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.identification.adjustment import (
    backdoor_problem,
    is_adjustment_set,
)

STRATEGIES = (
    "auto", "plug-in", "adjustment", "frontdoor", "primal-fixable", "sequential",
    "general", "instrument",
)  # fmt: skip
UNLIKELY = 1e-4  # chance below which an arm's absence from a stratum is no accident


class Query:
    """An effect and what it is to be estimated with.

    Attributes
    ----------
    estimand : Estimand, or None for an instrument
    adjustment : tuple of names, or None where no set is valid
    program : Program or None
    """

    def __init__(self, estimator):
        self.graph, self.outcome = estimator.graph_, estimator.outcome_name_
        self.treatments = estimator.treatment_names_
        self.columns = estimator.reader_.columns
        self.estimand = self.adjustment = self.program = None
        if estimator.strategy == "instrument":
            self._find_instrument(estimator.instrument)
            return
        self.estimand = self.graph.identify(self.outcome, self.treatments)
        self.adjustment = self._adjustment(estimator.adjustment_set)
        if self.estimand.strategy != "no-effect":
            self.program = Program.of(self.estimand)
        if estimator.mediators is not None:
            self._check_mediators(tuple(as_names(estimator.mediators)))

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
        return tuple(v for v in self.graph.topological_order if v in names)

    # -- modifiers -----------------------------------------------------------------

    def modifiers(self, chosen):
        """What the effect may be conditioned on: names, or None where on nothing.

        Raises
        ------
        ValueError
            Where the effect given the names chosen is not identified.
        """
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
        if len(self.treatments) != 1 or self.program is None:
            raise ValueError(
                "effects along paths are for one treatment whose effect is a product "
                f"of conditionals; this one is {self.estimand.strategy!r} with "
                f"{len(self.treatments)} treatments."
            )
        (x,) = self.treatments
        between = self.graph.descendants(x) & self.graph.ancestors(self.outcome)
        between -= {x, self.outcome}
        if wrong := [v for v in names if v not in between]:
            raise ValueError(
                f"{wrong} do not lie between {x!r} and {self.outcome!r}; "
                f"{sorted(map(str, between))} do."
            )
        # All that the treatment reaches the mediators by moves with them.
        through = between & self.graph.ancestors(names)
        for v in sorted(through - set(names), key=str):
            if leaves := self.graph.children(v) - through:
                raise ValueError(
                    f"the effect through {list(names)} is not identified: {v!r} leads "
                    f"to the mediators and also to {sorted(map(str, leaves))}, so that "
                    "it would need two values at once. Add it to mediators=..."
                )
        for kernel in self.estimand.kernels:
            met = {v in through for v in kernel.district if x in self.graph.parents(v)}
            if len(met) > 1:
                raise ValueError(
                    f"the effect through {list(names)} is not identified: a latent "
                    f"cause joins {list(kernel.district)}, some of which are mediators "
                    "and some are not."
                )
        moved = [
            k.district
            for k in self.estimand.kernels
            if any(v in through and x in self.graph.parents(v) for v in k.district)
        ]
        self.through = frozenset(through).union(*moved)


# -- positivity --------------------------------------------------------------------


def check_positivity(problem, names, treatment):
    """Every arm must occur in every stratum of what is adjusted for.

    Strata are the levels of categories and of columns of two values; of counts and
    measurements, neighboring values speak for each other.

    Raises
    ------
    ValueError
        Naming the level and its rows, where an arm's absence is no accident: at its
        share among all rows, its chance were below 1e-4. Combinations of levels are
        warned of.
    """
    strata = discrete_codes(problem.variables, names)
    joint = strata.pop(None, None)
    for name, (levels, code) in strata.items():
        if found := _empty(problem, levels, code):
            level, rows, arm = found
            raise ValueError(
                f"positivity fails: of the {rows} rows with {name} = {level!r} none "
                f"has {treatment} = {arm!r}, so nothing tells its effect there. Leave "
                "these rows out, or merge the stratum with others."
            )
    if joint and (found := _empty(problem, *joint)):
        level, rows, arm = found
        warnings.warn(
            f"positivity is in doubt: of the {rows} rows with {level} none has "
            f"{treatment} = {arm!r}. The effect there is an extrapolation.",
            UserWarning,
            stacklevel=7,
        )


def _empty(problem, levels, code):
    """Level, rows and arm of the first stratum without an arm, or None."""
    n_arms = len(problem.arms)
    share = np.bincount(problem.arm, minlength=n_arms) / len(problem.arm)
    counts = np.zeros((len(levels), n_arms))
    np.add.at(counts, (code, problem.arm), 1)
    rows = counts.sum(1, keepdims=True)
    empty = (counts == 0) & ((1 - share) ** rows < UNLIKELY / counts.size)
    if not empty.any():
        return None
    i, a = np.argwhere(empty)[0]
    level = levels[i].item() if hasattr(levels[i], "item") else levels[i]
    return level, int(rows[i, 0]), problem.arms[a]


def warn_of_poor_overlap(problem, names, propensity):
    """Warn where probabilities are at the clip, and say where that is."""
    low = (propensity <= problem.clip * 1.001).any(1)
    if low.mean() < 0.01:
        return
    Z = problem.variables.matrix(names)
    labels = problem.variables.labels(names)
    tree = DecisionTreeClassifier(max_depth=1, min_samples_leaf=10).fit(Z, low).tree_
    where = ""
    if tree.node_count > 1:
        right = tree.value[2][0][-1] > tree.value[1][0][-1]
        sign = ">" if right else "<="
        where = f", mostly at {labels[tree.feature[0]]} {sign} {tree.threshold[0]:.4g}"
    warnings.warn(
        f"poor overlap: in {int(low.sum())} of {len(low)} rows{where} an arm has an "
        f"estimated probability below clip={problem.clip}. The effect there rests on "
        "the outcome model; consider leaving such rows out.",
        UserWarning,
        stacklevel=6,
    )


def discrete_codes(variables, names):
    """Levels and codes of categories and columns of two values; all jointly as None."""
    found = {}
    for name in names:
        if variables.is_discrete(name):
            levels, code = variables.codes(name)
            if name in variables.levels or len(levels) == 2:
                found[name] = levels, code
    if len(found) > 1:
        codes = pd.DataFrame({v: c for v, (_, c) in found.items()})
        joint = codes.groupby(list(codes), sort=True).ngroup().to_numpy()
        first = codes.drop_duplicates().sort_values(list(codes))
        levels = [
            ", ".join(f"{v} = {found[v][0][c]}" for v, c in zip(codes, row))
            for row in first.itertuples(index=False)
        ]
        found[None] = np.array(levels, object), joint
    return found
