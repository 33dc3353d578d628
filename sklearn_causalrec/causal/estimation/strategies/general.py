"""Any identified effect: regressions in reweighted samples, one for each kernel."""

from dataclasses import dataclass, field

import numpy as np

from sklearn_causalrec.causal.estimation.problem import ArmMeans, Nuisances
from sklearn_causalrec.causal.estimation.ratios import Sample
from sklearn_causalrec.causal.estimation.strategies.base import ArmStrategy
from sklearn_causalrec.causal.graphs.bitsets import (
    closure,
    components,
    mask_of,
    members,
    separated,
)
from sklearn_causalrec.causal.identification.districts import (
    blankets_of,
    chain_down,
)
from sklearn_causalrec.effects.default_learners import ratio_classifiers

GUARANTEE = "one-step, root-n where products of nuisance errors are small"


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
    index, named = graph.number, graph.listed
    if not estimand.do:
        return [Step(estimand.outcome, (), (), (), False)]
    do = graph.mask(estimand.do)
    inner = mask_of(index[v] for v in (*estimand.outcome, *estimand.summed))
    districts = components(graph.siblings_of, inner)
    left, arguments = members(inner), graph.mask(estimand.outcome)
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
        core = closure(graph.siblings_of, mask_of(block), mask_of(district))
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
    held = closure(graph.parents_of, mask_of(district) | features, graph.everything)
    return closure(graph.siblings_of, mask_of(district), held)


def _needs_weights(graph, district, features):
    return _around(graph, district, features) != mask_of(district)


@dataclass
class Layer:
    """Ratios estimated in one weighted sample and applied together."""

    before: np.ndarray
    ratios: list = field(default_factory=list)

    @property
    def value(self):
        out = np.ones(len(self.before))
        for ratio in self.ratios:
            out = out * ratio.value
        return out


class KernelWeights:
    """Weights under which the step's district has its kernel for a law [1]_ [2]_.

    In the weighted sample, the district given the other variables left has the law
    Q[district]: it is as if these had been set by experiment.

    Attributes
    ----------
    layers : list of Layer
    weight : ndarray of shape (n,)

    References
    ----------
    .. [1] Y. Jung, J. Tian, E. Bareinboim (2020). Estimating causal effects using
       weighting-based estimators. AAAI 34.
    .. [2] Y. Jung, J. Tian, E. Bareinboim (2021). Estimating identifiable causal
       effects through double machine learning. AAAI 35.
    """

    def __init__(self, sample, step):
        self.sample, self.graph = sample, sample.problem.estimand.graph
        self.layers, self.weight = [], np.ones(sample.n)
        if step.weighted:
            self._build(step)

    def _build(self, step):
        graph = self.graph
        features = graph.mask((*step.features, *step.treatments))
        district = list(step.district)
        around = _around(graph, district, features)
        chain, holders, _ = chain_down(graph, district, members(around))
        causes = mask_of(p for i in members(around) for p in graph.parents_of[i])
        free = (causes | features) & ~around
        # outside the district: independent of it, given what else is outside
        terms = []
        for i in members(free):
            given = self._blanket(i, (around | free) & (1 << i) - 1)
            if given & ~free:
                terms.append((i, given & free, given))
        self._apply(terms)
        after = [*map(mask_of, chain[1:]), mask_of(district)]
        for link, held, inner in zip(chain, [*holders[1:], after[-1]], after):
            # summed out, but a feature: independent of all that is left
            for i in members(mask_of(link) & ~held & features):
                self._apply([(i, 0, held | free)])
                free |= 1 << i
            # fixed: independent of the inner district
            free |= held & ~inner
            terms = []
            for part in components(graph.siblings_of, held & ~inner):
                for i, blanket in blankets_of(graph, part):
                    given = mask_of(blanket)
                    if given & ~free:
                        terms.append((i, given & free, given))
            self._apply(terms)

    def _blanket(self, i, given):
        """Those of the nodes given that a node depends on, by the graph."""
        for j in reversed(members(given)):
            rest = given & ~(1 << j)
            if separated(self.graph, 1 << i, 1 << j, rest):
                given = rest
        return given

    def _apply(self, terms):
        if not terms:
            return
        named = self.graph.topological_order.__getitem__
        layer = Layer(self.weight)
        for i, fewer, given in terms:
            fewer, given = ([named(j) for j in members(m)] for m in (fewer, given))
            layer.ratios.append(self.sample.ratio(named(i), fewer, given, self.weight))
        self.layers.append(layer)
        self.weight = self.weight * layer.value

    def influence(self, f):
        """Influence function of ``E[weight * f]``, where that mean is zero.

        In each weighted sample the estimation of the ratios adds, for each of their
        probabilities, the mean of all later factors given what it is of, less its
        mean under that probability.
        """
        for layer in reversed(self.layers):
            total = layer.value * f
            f = total + sum(ratio.correction(total) for ratio in layer.ratios)
        return f


def _scores(sample, steps, kernels, arm):
    """Estimate without correction, and the one-step scores, (n,)."""
    problem, n = sample.problem, sample.n
    taken = np.argmax(problem.arm == arm)
    rows, own, means, target = [], [], [], problem.y
    for k, (step, kernel) in enumerate(zip(steps, kernels)):
        held = np.ones(n, bool)
        for name in step.treatments:
            codes = sample.codes(name)[1]
            held &= codes == codes[taken]
        _check_rows(problem, held, step, taken)
        rows.append(held)
        own.append(target if target.ndim == 1 else target[np.arange(n), problem.fold])
        if not step.features:
            break
        X = sample.matrix(step.features)
        fit = sample.regression(
            X, target, rows=held, weight=kernel.weight, first=k == 0
        )
        means.append(fit(X))
        folds = range(problem.fold.max() + 1)
        target = np.column_stack([fit.by(j, X) for j in folds])
    # from the law averaged over at the end back to the outcome
    kernel, held = kernels[-1], rows[-1]
    share = np.mean(kernel.weight * held)
    measure = kernel.weight * held / share
    estimate = np.mean(measure * own[-1])
    error = kernel.influence(held / share * (own[-1] - estimate))
    mass = np.ones(n) if held.all() else kernel.influence(held / share)
    for k in reversed(range(len(steps) - 1)):
        X, weight = sample.matrix(steps[k].features), kernels[k].weight
        reach = sample.odds(X, X, measure, weight * rows[k], ratio_classifiers)
        reach = reach / np.mean(reach * weight)
        error += kernels[k].influence(reach * (own[k] - means[k]))
        measure = reach * weight
    # the share of the arm is estimated with the same correction
    step = error.mean() / mass.mean()
    return estimate, estimate + step + (error - step * mass) / mass.mean()


def _check_rows(problem, held, step, taken):
    folds = np.bincount(problem.fold, held)
    if (held.sum() - folds < 2).any():
        names = ", ".join(map(repr, step.treatments))
        raise ValueError(
            f"positivity fails: only {held.sum()} rows have {names} as row {taken} "
            f"has, too few to estimate the mean outcome in that arm by cross-fitting."
        )


def _fit(sample, steps):
    kernels = [KernelWeights(sample, step) for step in steps]
    arms = range(len(sample.problem.arms))
    found = [_scores(sample, steps, kernels, a) for a in arms]
    plain = np.array([estimate for estimate, _ in found])
    return plain, np.column_stack([scores for _, scores in found]), kernels


def weighted(problem):
    """Means under each arm for any identified effect, by weights and regressions.

    The estimand is a product of kernels Q[D], one for each district D of Y*. Each is
    made the conditional law of D in a weighted sample, see `KernelWeights`; the mean
    outcome follows by regressions backward through Y*, each in the sample of its own
    kernel, see `backward_steps`. The influence function of all that adds, for each
    regression, its weighted residuals, and, for each probability in the weights,
    what its estimation does to the mean; one step along it corrects the estimate and
    gives its error, as in [1]_ but in sequence, for any chain of kernels.

    Parameters
    ----------
    problem : Problem
        One outcome, without conditions.

    Returns
    -------
    ArmMeans
        ``nuisances`` has the ``steps``, the ``weights`` of each and their
        ``effective`` sample sizes, and ``plain``, the means without correction.

    References
    ----------
    .. [1] Y. Jung, J. Tian, E. Bareinboim (2021). Estimating identifiable causal
       effects through double machine learning. AAAI 35.
    """
    steps = backward_steps(problem.estimand)
    sample = Sample(problem)
    plain, scores, kernels = _fit(sample, steps)
    weights = [kernel.weight for kernel in kernels]
    return ArmMeans(
        scores,
        GUARANTEE,
        "regressions weighted by kernels, one-step",
        Nuisances(
            steps=steps,
            plain=plain,
            weights=weights,
            effective=[w.sum() ** 2 / (w**2).sum() for w in weights],
        ),
    )


class General(ArmStrategy):
    """Regressions weighted by kernels, for whatever form the estimand has."""

    def covers(self, query, problem):
        """Whether the treatment has arms."""
        return bool(problem.arms)

    def means(self, query, problem):
        """Means under each arm, see `weighted`."""
        return weighted(problem)
