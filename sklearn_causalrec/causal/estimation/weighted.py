"""Any identified effect: regressions in reweighted populations, one for each kernel."""

from dataclasses import dataclass, replace

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import is_classifier
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from sklearn_causalrec.causal.estimation.nuisance import CrossFit, as_models
from sklearn_causalrec.causal.estimation.problem import MAX_LEVELS, ArmMeans
from sklearn_causalrec.causal.identification import _chain, blankets_of
from sklearn_causalrec.causal.separation import closure, components, mask_of, members

GUARANTEE = "consistent, bootstrap interval"


def _terms():
    """Additive cubic splines and products of pairs."""
    splines = SplineTransformer(n_knots=4, knots="quantile", extrapolation="linear")
    pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    return make_pipeline(
        StandardScaler(), FeatureUnion([("s", splines), ("p", pairs)]), StandardScaler()
    )


def light_regressors():
    """Cheap enough to be fitted again in every bootstrap sample."""
    return [make_pipeline(_terms(), RidgeCV(np.logspace(-2, 4, 7)))]


def light_classifiers():
    """Cheap enough to be fitted again in every bootstrap sample."""
    return [make_pipeline(_terms(), LogisticRegression(C=1.0, max_iter=1000))]


def pair_classifiers():
    """Tell pairs from permuted pairs; exact where the pair is Gaussian."""
    return [
        make_pipeline(
            StandardScaler(),
            PolynomialFeatures(2, include_bias=False),
            StandardScaler(),
            LogisticRegression(C=10.0, max_iter=1000),
        )
    ]


@dataclass(frozen=True)
class Step:
    """One backward regression: the mean of what comes after over some nodes.

    Attributes
    ----------
    block : tuple of names
        The nodes averaged over, all of one kernel.
    features : tuple of names
        What the regression is on, besides the treatments.
    treatments : tuple of names
        Treatments held at the arm.
    district : tuple of int
        The part of the kernel's district that the block rests on.
    weighted : bool
        Whether the kernel differs from a conditional law of the data.
    """

    block: tuple
    features: tuple
    treatments: tuple
    district: tuple
    weighted: bool


def backward_steps(estimand):
    """The regressions that give E[outcome | do(treatment)], the first one first.

    With the nodes of Y* in topological order, each is averaged over by its kernel,
    the last first; consecutive nodes of a kernel together.

    Parameters
    ----------
    estimand : Estimand
        With one outcome and no conditions.

    Returns
    -------
    list of Step
    """
    graph = estimand.graph
    index, named = graph._index, graph._listed
    do = graph._mask(estimand.do)
    inner = mask_of(index[v] for v in (*estimand.outcome, *estimand.summed))
    districts = components(graph._sib, inner)
    left, arguments = members(inner), graph._mask(estimand.outcome)
    steps = []
    while left and arguments:
        last = left.pop()
        if not arguments >> last & 1:
            continue
        (district,) = (d for d in districts if last in d)
        district = [i for i in district if i <= last]
        blanket = {i: mask_of(b) for i, b in blankets_of(graph, district)}
        block, features = [last], (arguments | blanket[last]) & ~(1 << last)
        weighted = _needs_weights(graph, district, features)
        while left and (left[-1] in district or not features >> left[-1] & 1):
            i = left[-1]
            if features >> i & 1:
                # a treatment that the node causes cannot be held while averaging
                # over both, unless weights have made it independent
                if not weighted and (features & do) >> i:
                    break
                block.append(i)
                features = (features | blanket[i]) & ~(1 << i)
            left.pop()
        arguments = features & ~do
        core = closure(graph._sib, mask_of(block), mask_of(district))
        steps.append(
            Step(
                named(mask_of(block)),
                named(arguments),
                named(features & do),
                tuple(members(core)),
                weighted,
            )
        )
    return steps


def _around(graph, district, features):
    """The district around a district in the graph of its causes and the features'."""
    held = closure(graph._pa, mask_of(district) | features, graph._all)
    return closure(graph._sib, mask_of(district), held)


def _needs_weights(graph, district, features):
    return _around(graph, district, features) != mask_of(district)


class Sample:
    """Columns of a problem by name, the outcome included."""

    def __init__(self, problem, discrete=None):
        self.problem = problem
        (self.outcome,) = problem.estimand.outcome
        if discrete is None:
            discrete = {v for v in problem.estimand.variables if self._is_discrete(v)}
        self.discrete = discrete

    def _is_discrete(self, name):
        if name == self.outcome:
            return len(np.unique(self.problem.y)) <= MAX_LEVELS
        return self.problem.variables.is_discrete(name)

    def matrix(self, names):
        parts = [
            self.problem.y[:, None]
            if name == self.outcome
            else self.problem.variables.matrix([name])
            for name in names
        ]
        return np.hstack(parts) if parts else np.zeros((len(self.problem.y), 0))

    def codes(self, name):
        if name == self.outcome:
            return np.unique(self.problem.y, return_inverse=True)
        return self.problem.variables.codes(name)

    def _probability(self, name, given, weight):
        """Of the value taken, given others; cross-fitted, clipped, (n,)."""
        problem = self.problem
        levels, codes = self.codes(name)
        if not given:
            share = np.bincount(codes, weight, len(levels))
            return share[codes] / share.sum()
        models = as_models(problem.treatment_model, light_classifiers)
        X = self.matrix(given)
        fit = CrossFit(
            models, X, codes, problem.fold, weight=weight, n_classes=len(levels),
            seed=problem.seed,
        )  # fmt: skip
        return np.maximum(fit(X)[np.arange(len(X)), codes], problem.clip)

    def ratio(self, name, fewer, given, weight):
        """p(name | fewer) / p(name | given) at every row, ``fewer`` among ``given``.

        Probabilities where the variable is discrete. Where it is not, but what is
        in ``given`` alone is, by Bayes' rule theirs. Else p(name) / p(name | given),
        which serves as well: odds of permuted against real pairs.
        """
        if name in self.discrete:
            over = self._probability(name, fewer, weight)
            return over / self._probability(name, given, weight)
        more = [v for v in given if v not in fewer]
        if self.discrete.issuperset(more):
            out = 1.0
            for k, v in enumerate(more):
                rest = [*fewer, *more[:k]]
                over = self._probability(v, rest, weight)
                out = out * over / self._probability(v, [*rest, name], weight)
            return out
        return self._odds(name, given, weight)

    def _odds(self, name, given, weight):
        problem, n = self.problem, len(self.problem.y)
        rng = np.random.default_rng(problem.seed + 77)
        order = np.empty(n, int)
        for k in range(problem.fold.max() + 1):
            # within folds: no model sees a value of a held-out row
            rows = np.flatnonzero(problem.fold == k)
            order[rows] = rng.permutation(rows)
        one, others = self.matrix([name]), self.matrix(given)
        real, moved = np.hstack([one, others]), np.hstack([one[order], others])
        fold = np.tile(problem.fold, 2)
        label = np.repeat([0, 1], n)
        both = np.concatenate([weight, weight * weight[order]])
        both[n:] *= weight.sum() / both[n:].sum()
        models = as_models(problem.treatment_model, pair_classifiers)
        fit = CrossFit(
            models, np.vstack([real, moved]), label, fold, weight=both, n_classes=2,
            seed=problem.seed,
        )  # fmt: skip
        p = np.maximum(fit(np.vstack([real, moved]))[:n], problem.clip)
        return p[:, 1] / p[:, 0]


def kernel_weights(sample, step):
    """Weights under which the step's district has its kernel for a law [1]_ [2]_.

    In the weighted sample, the district given the other variables left has the law
    Q[district]: it is as if these had been set by experiment.

    References
    ----------
    .. [1] Y. Jung, J. Tian, E. Bareinboim (2020). Estimating causal effects using
       weighting-based estimators. AAAI 34.
    .. [2] Y. Jung, J. Tian, E. Bareinboim (2021). Estimating identifiable causal
       effects through double machine learning. AAAI 35.
    """
    graph = sample.problem.estimand.graph
    named = graph._names.__getitem__
    n = len(sample.problem.y)
    weight = np.ones(n)
    if not step.weighted:
        return weight
    features = graph._mask((*step.features, *step.treatments))
    district = list(step.district)
    around = _around(graph, district, features)
    chain, holders, _ = _chain(graph, district, members(around))
    causes = mask_of(p for i in members(around) for p in graph._pa[i])
    free = (causes | features) & ~around

    def ratio(i, fewer, given, weight):
        fewer, given = ([named(j) for j in members(m)] for m in (fewer, given))
        return sample.ratio(named(i), fewer, given, weight)

    # outside the district: independent of it, given what else is outside
    factor = np.ones(n)
    for i in members(free):
        before = (1 << i) - 1
        if around & before:
            given = (around | free) & before
            factor *= ratio(i, free & before, given, weight)
    weight = factor
    after = [*map(mask_of, chain[1:]), mask_of(district)]
    for link, held, inner in zip(chain, [*holders[1:], after[-1]], after):
        # summed out, but a feature: independent of all that is left
        for i in members(mask_of(link) & ~held & features):
            weight = weight * ratio(i, 0, held | free, weight)
            free |= 1 << i
        # fixed: independent of the inner district
        free |= held & ~inner
        factor = np.ones(n)
        for part in components(graph._sib, held & ~inner):
            for i, blanket in blankets_of(graph, part):
                given = mask_of(blanket)
                if given & ~free:
                    factor *= ratio(i, given & free, given, weight)
        weight = weight * factor
    return weight / weight.mean()


def _regression(sample, step, target, rows, weight, first):
    problem = sample.problem
    default = light_regressors
    if first and problem.binary:
        default = light_classifiers
    models = as_models(problem.outcome_model, default)
    if not first and any(is_classifier(m) for m in models):
        # what is regressed is a mean, not a class
        models = light_regressors()
    return CrossFit(
        models, sample.matrix(step.features), target, problem.fold, rows=rows,
        weight=weight, seed=problem.seed,
    )  # fmt: skip


def _mean(sample, steps, weights, arm):
    problem = sample.problem
    n = len(problem.y)
    taken = np.argmax(problem.arm == arm)
    target = problem.y
    for step, weight in zip(steps, weights):
        rows = np.ones(n, bool)
        for name in step.treatments:
            codes = sample.codes(name)[1]
            rows &= codes == codes[taken]
        if not step.features:
            break
        fit = _regression(sample, step, target, rows, weight, step is steps[0])
        X = sample.matrix(step.features)
        folds = range(problem.fold.max() + 1)
        target = np.column_stack([fit.by(k, X) for k in folds])
    if target.ndim == 2:
        target = target[np.arange(n), problem.fold]
    return np.average(target[rows], weights=weight[rows])


def _means(sample, steps):
    weights = [kernel_weights(sample, step) for step in steps]
    arms = range(len(sample.problem.arms))
    return np.array([_mean(sample, steps, weights, a) for a in arms]), weights


def weighted(problem, *, n_boot=200):
    """Means under each arm for any identified effect, by weights and regressions.

    The estimand is a product of kernels Q[D], one for each district D of Y*, and each
    is made the conditional law of D in a weighted sample, see `kernel_weights`. The
    mean outcome follows by regressions backward through Y*, each in the sample of its
    own kernel, see `backward_steps`. Consistent where all models are; the interval is
    from the bootstrap, which fits everything again.

    Parameters
    ----------
    problem : Problem
    n_boot : int
        Bootstrap samples; 0 leaves the covariance NaN.

    Returns
    -------
    ArmMeans
        Without scores; ``nuisances`` has the steps, their weights, the effective
        sample size of each, and the bootstrap means ``replicates``.
    """
    estimand = problem.estimand
    steps = backward_steps(estimand)
    sample = Sample(problem)
    mean, weights = _means(sample, steps)

    def again(seed):
        rng = np.random.default_rng([problem.seed, 31, seed])
        n, n_arms = len(problem.y), len(problem.arms)
        while True:
            rows = rng.integers(n, size=n)
            if len(np.unique(problem.arm[rows])) == n_arms:
                break
        # copies of a row share its fold
        drawn = replace(
            problem,
            variables=problem.variables.rows(rows),
            y=problem.y[rows],
            arm=problem.arm[rows],
            fold=problem.fold[rows],
        )
        return _means(Sample(drawn, sample.discrete), steps)[0]

    n_arms = len(mean)
    replicates = Parallel(problem.n_jobs)(delayed(again)(b) for b in range(n_boot))
    replicates = np.reshape(replicates, (n_boot, n_arms))
    covariance = np.full((n_arms, n_arms), np.nan)
    if n_boot > 1:
        covariance = np.atleast_2d(np.cov(replicates.T))
    return ArmMeans(
        mean,
        covariance,
        None,
        GUARANTEE,
        "regressions weighted by kernels",
        {
            "steps": steps,
            "weights": weights,
            "effective": [w.sum() ** 2 / (w**2).sum() for w in weights],
            "replicates": replicates,
        },
    )
