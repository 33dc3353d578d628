"""Products of conditionals: front door, primal fixing, sequences, paths."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.estimation.nuisances import ArmRegression, classify
from sklearn_causalrec.effects.average import residual_regression
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.cross_fitting import as_models
from sklearn_causalrec.effects.default_learners import nuisance_regressors


class Program:
    """A law in which each node follows its conditional at treatments of its own.

    The target is the mean of the last node when every node follows its conditional
    distribution given its past, read where the treatments before it have the values
    that the node is assigned: those of an arm, or those of a copy that itself follows
    the treatment's natural distribution.

    Attributes
    ----------
    order : tuple of names
        Treatments, other nodes and, last, the outcome; causes before effects.
    treatments : tuple of names
    natural : dict of name to frozenset of names
        For each node, the treatments before it that it meets in their natural state.
    apart : frozenset of names
        Nodes that may be assigned other values than the rest.
    """

    def __init__(self, order, treatments, natural, apart=frozenset()):
        self.order, self.treatments, self.natural = order, treatments, natural
        self.apart = apart
        met = frozenset().union(*natural.values()) if natural else frozenset()
        self.copied = tuple(x for x in treatments if x in met)

    @classmethod
    def of(cls, estimand):
        """The program of an estimand, or None where it has another form.

        It has this form where the kernel of each district D is the product of the
        conditionals of a whole district T of the graph summed over T without D: for a
        single treatment, where it is primal fixable [1]_ [2]_. Kernels with the same T
        are then one, summed over what is in none of them.
        """
        kernels = estimand.kernels
        whole = [k.chain[0] for k in kernels]
        if any(len(k.chain) > 1 or k.experiment for k in kernels):
            return cls.frontdoor(estimand)
        do = estimand.do
        nodes = {v for t in whole for v in t} | set(do)
        order = tuple(v for v in estimand.graph.topological_order if v in nodes)
        natural = {v: frozenset(t) & set(do) for t in whole for v in t}
        return cls(order, do, natural)

    @classmethod
    def frontdoor(cls, estimand):
        if estimand.strategy != "frontdoor" or estimand.conditions:
            return None
        do, y = frozenset(estimand.do), estimand.outcome
        nodes = do | estimand.mediators | set(y)
        order = tuple(v for v in estimand.graph.topological_order if v in nodes)
        natural = {v: frozenset() if v in estimand.mediators else do for v in order}
        return cls(order, estimand.do, natural)

    def before(self, name):
        """Treatments and other nodes before a node."""
        earlier = self.order[: self.order.index(name)]
        x = tuple(v for v in earlier if v in self.treatments)
        return x, tuple(v for v in earlier if v not in self.treatments)

    def blocks(self):
        """Runs of nodes with the same assignment, and treatments, in order.

        A run can be integrated over at once: its nodes are read at the same treatments.
        """
        found = []
        for v in self.order:
            x, _ = self.before(v)
            if v in self.treatments:
                if v in self.copied:
                    found.append((v,))
                continue
            key = x, self.natural[v] & set(x), v in self.apart
            if found and found[-1][0] not in self.treatments:
                first = found[-1][0]
                fx, _ = self.before(first)
                same = fx, self.natural[first] & set(fx), first in self.apart
                if same == key:
                    found[-1] = (*found[-1], v)
                    continue
            found.append((v,))
        return found


class _Arms:
    """Cross-fitted probabilities of the treatments set before a point of the order."""

    def __init__(self, problem, program, codes):
        self.problem, self.program, self.codes = problem, program, codes
        self._known = {}

    def joint(self, x):
        """Joint level of some treatments: codes of every row, and its levels."""
        if not x:
            return np.zeros(self.problem.variables.n, int), [()]
        stacked = np.column_stack([self.codes[v] for v in x])
        levels, code = np.unique(stacked, axis=0, return_inverse=True)
        return code.ravel(), [tuple(level) for level in levels.tolist()]

    def __call__(self, state, values):
        """P(treatments = values | nodes), (n, n_folds); 1 where there is no treatment.

        ``state`` is the number of nodes of the order that come before.
        """
        earlier = self.program.order[:state]
        x = tuple(v for v in earlier if v in self.program.treatments)
        n_folds = self.problem.fold.max() + 1
        if not x:
            return np.ones((self.problem.variables.n, n_folds))
        nodes = tuple(v for v in earlier if v not in x)
        if (x, nodes) not in self._known:
            code, levels = self.joint(x)
            X = self.problem.variables.matrix(nodes)
            fit = classify(self.problem, X, code, len(levels), salt=state)
            p = np.stack([fit.by(k, X) for k in range(n_folds)], 1)
            p = np.maximum(p, self.problem.clip)
            self._known[x, nodes] = p / p.sum(-1, keepdims=True), levels
        p, levels = self._known[x, nodes]
        wanted = tuple(values[v] for v in x)
        return p[..., levels.index(wanted)]


class SequentialMean:
    """Mean outcome of one assignment, with its uncentred influence function.

    Backward, every block of nodes is integrated by a regression of what follows it on
    what comes before it, among the rows whose treatments are those assigned to it; a
    copied treatment by its probabilities. Each step adds its residual, weighted by the
    ratio of the target law to the observed law up to there. By Bayes' rule the ratio is
    a product of treatment probabilities given more and more of the past, so that no
    density of a mediator is ever estimated [2]_ [3]_.

    What a regression errs by drops out of the mean where the weighted rows look like
    those that it is wanted of. Where they don't, since probabilities are clipped or
    wrong, the influence counts what a least-squares fit to terms of the nodes passes
    on, by the Riesz representer of the difference, see
    :func:`~sklearn_causalrec.effects.average.residual_regression`. It is left out
    where it would make the error smaller: the means are not corrected by such a fit.
    """

    def __init__(self, problem, program, codes, arms=None):
        self.problem, self.program, self.codes = problem, program, codes
        self.arms = arms or _Arms(problem, program, codes)
        self.n_folds = problem.fold.max() + 1

    def _copies(self):
        levels = [np.unique(self.codes[v]).tolist() for v in self.program.copied]
        return [dict(zip(self.program.copied, c)) for c in product(*levels)]

    def _met(self, name, setting, copy):
        """Values of the treatments before a node as it meets them."""
        x, _ = self.program.before(name)
        natural = self.program.natural.get(name, frozenset())
        own = setting(name)
        return {v: copy[v] if v in natural else own[v] for v in x}

    def _weight(self, block, setting, copy):
        """Target law over observed law of all that comes before a block, (n, folds)."""
        program = self.program
        power = Counter()
        start = program.order.index(block[0])
        for i, u in enumerate(program.order[:start]):
            met = self._met(u, setting, copy)
            if u in program.treatments:
                if u not in program.copied:
                    continue
                after = met | {u: copy[u]}
            else:
                after = met
            power[i + 1, tuple(sorted(after.items()))] += 1
            power[i, tuple(sorted(met.items()))] -= 1
        met = self._met(block[0], setting, copy)
        power[start, tuple(sorted(met.items()))] -= 1
        weight = np.ones((self.problem.variables.n, self.n_folds))
        for (state, values), times in power.items():
            if times and values:
                weight = weight * self.arms(state, dict(values)) ** times
        return weight

    def __call__(self, setting):
        """Scores (n,) of the assignment.

        Parameters
        ----------
        setting : callable
            From the name of a node to the codes, a dict, of the treatments set for it.
        """
        problem, program = self.problem, self.program
        n, own = len(problem.y), (np.arange(len(problem.y)), problem.fold)
        copies = self._copies()
        key = lambda copy: tuple(sorted(copy.items()))  # noqa: E731
        follow = {
            key(c): np.repeat(problem.y[:, None], self.n_folds, 1) for c in copies
        }
        scores = np.zeros(n)
        blocks = program.blocks()[::-1]
        for number, block in enumerate(blocks):
            name = block[0]
            _, nodes = program.before(name)
            X = problem.variables.matrix(nodes)
            ahead, follow = follow, {}
            if name in program.treatments:
                levels = np.unique(self.codes[name]).tolist()
                state = program.order.index(name)
                for copy in self._distinct(copies, name):
                    met = self._met(name, setting, copy)
                    bottom = self.arms(state, met)
                    mean = sum(
                        self.arms(state + 1, met | {name: level}) / bottom
                        * ahead[key(copy | {name: level})]
                        for level in levels
                    )  # fmt: skip
                    follow[key(copy)] = mean
                    rows = self._rows(met)
                    weight = self._weight(block, setting, copy)[own]
                    for level in levels:
                        mine = rows & (self.codes[name] == level)
                        gap = (ahead[key(copy | {name: level})] - mean)[own]
                        scores[mine] += (weight * gap)[mine]
                copies = self._distinct(copies, name)
                continue
            for copy in copies:
                met = self._met(name, setting, copy)
                rows = self._rows(met)
                target = ahead[key(copy)]
                first = number == 0
                if first:
                    target = problem.y
                among = np.array([self.codes[v] for v in met], int).reshape(-1, n).T
                fit = ArmRegression(
                    problem, X, among, list(met.values()), target, first=first,
                    salt=10 + number,
                )  # fmt: skip
                mean = np.stack([fit.by(k, X) for k in range(self.n_folds)], 1)
                follow[key(copy)] = mean
                weight = np.where(rows, self._weight(block, setting, copy)[own], 0.0)
                rest = weight * (ahead[key(copy)] - mean)[own]
                pull = weight - self._wanted(blocks[number + 1 :], setting, copy)
                scores += rest - self._passed_on(X, weight, pull, rest, mean)
        (last,) = follow.values()
        return scores + last[own]

    def _passed_on(self, X, weight, pull, rest, mean):
        """What the regression of a block adds to the influence, of mean 0, (n,)."""
        zero = np.zeros(len(X))
        *_, alpha = residual_regression(X, zero, zero, weight, pull, zero.astype(int))
        found = alpha * rest
        if len(as_models(self.problem.outcome_model, nuisance_regressors)) == 1:
            # A model may have fewer terms: by how much those of the folds differ. Of
            # stacks, the weights do as well, which the folds share.
            of_folds = (self.n_folds - 1) * np.var(pull @ mean / len(X))
            found *= np.sqrt(
                min(1.0, of_folds / max(np.mean(found**2) / len(X), 1e-300))
            )
        if np.var(rest - found) <= np.var(rest):
            return zero
        return found - found.mean()

    def _wanted(self, earlier, setting, copy):
        """Weights by which rows look like those that a block's mean is wanted of.

        Those of the block before it: of the ones that are left, the first.
        """
        if not earlier:
            return np.ones(len(self.problem.y))
        name, own = earlier[0][0], (np.arange(len(self.problem.y)), self.problem.fold)
        before = {v: c for v, c in copy.items() if v != name}
        rows = self._rows(self._met(name, setting, before))
        if name in copy:
            rows &= self.codes[name] == copy[name]
        return np.where(rows, self._weight(earlier[0], setting, before)[own], 0.0)

    def _distinct(self, copies, without):
        rest = [{v: a for v, a in c.items() if v != without} for c in copies]
        return [dict(t) for t in dict.fromkeys(tuple(sorted(c.items())) for c in rest)]

    def _rows(self, met):
        problem = self.problem
        rows = np.ones(problem.variables.n, bool)
        for v, code in met.items():
            rows &= self.codes[v] == code
        if len(np.unique(problem.fold[rows])) < 2:
            levels = {v: problem.variables.codes(v)[0] for v in met}
            text = ", ".join(f"{v} = {levels[v][code]}" for v, code in met.items())
            raise ValueError(
                f"positivity fails: {int(rows.sum())} rows have {text}, too few to "
                "learn from."
            )
        return rows


def treatment_codes(problem, treatments):
    """Codes of the treatments that the program knows, of every row."""
    return {x: problem.variables.codes(x)[1] for x in treatments}


def arm_codes(problem, treatments):
    """For every arm, the code of each treatment that the program knows."""
    names = problem.estimand.treatment
    found = []
    for arm in problem.arms:
        values = dict(zip(names, arm if isinstance(arm, tuple) else (arm,)))
        found.append(
            {
                x: int(np.flatnonzero(problem.variables.codes(x)[0] == values[x])[0])
                for x in treatments
            }
        )
    return found


def path_effects(query, problem, control, alpha=0.05):
    """Total, direct and indirect effect of each arm against the control.

    With M the nodes through which the indirect effect goes, and all on the way there;
    an arm t is a value of each treatment where several are set together:

    - direct: E[Y(t1, M(t0))] - E[Y(t0)], the natural direct effect;
    - indirect: E[Y(t1)] - E[Y(t1, M(t0))], the natural indirect effect [1]_ [2]_.

    Parameters
    ----------
    query : Query
        With mediators.
    problem : Problem
        The data of the query.
    control : int
        Position of the control among the arms.
    alpha : float, default=0.05
        One minus the confidence of the intervals.

    Returns
    -------
    DataFrame
        A row an arm and effect: estimate, low, high, share of the total. Of several
        treatments, each is a level of the index.

    References
    ----------
    .. [1] J. Pearl (2001). Direct and indirect effects. UAI 17.
    .. [2] E. Tchetgen Tchetgen, I. Shpitser (2012). Semiparametric theory for causal
       mediation analysis. Annals of Statistics 40.
    """
    whole = query.program
    program = Program(whole.order, whole.treatments, whole.natural, query.through)
    codes = treatment_codes(problem, program.treatments)
    mean = SequentialMean(problem, program, codes)
    arms = arm_codes(problem, program.treatments)
    none = arms[control]
    base = mean(lambda node: none)
    together = isinstance(problem.arms[control], tuple)
    names = problem.estimand.treatment if together else ["arm"]
    rows = []
    for a in (a for a in range(len(arms)) if a != control):
        full = mean(lambda node, a=a: arms[a])
        crossed = mean(lambda node, a=a: none if node in query.through else arms[a])
        total = (full - base).mean()
        for effect, score in (
            ("total", full - base),
            ("direct", crossed - base),
            ("indirect", full - crossed),
        ):
            found = estimate(score.mean(), score, problem.clusters)
            share = found.value / total if total else np.nan
            arm = problem.arms[a]
            arm = arm if isinstance(arm, tuple) else (arm,)
            rows.append((*arm, effect, found.value, *found.interval(alpha), share))
    levels = [*names, "effect"]
    columns = [*levels, "estimate", "low", "high", "share"]
    return pd.DataFrame(rows, columns=columns).set_index(levels)
