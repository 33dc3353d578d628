"""Density ratios in a weighted sample, and what their estimation adds to an error."""

import numpy as np
from sklearn.base import is_classifier

from sklearn_causalrec.causal.estimation.nuisances import clipped
from sklearn_causalrec.causal.estimation.problem import MAX_LEVELS
from sklearn_causalrec.effects.cross_fitting import CrossFit, as_models
from sklearn_causalrec.effects.default_learners import (
    pair_classifiers,
    ratio_classifiers,
    ratio_regressors,
)

_DRAWS = 10  # partners of each row in means over a product of two laws


class Sample:
    """Columns of a problem by name, the outcome included, and models of them."""

    def __init__(self, problem):
        self.problem, self.n = problem, len(problem.y)
        (self.outcome,) = problem.estimand.outcome
        names = problem.estimand.variables
        self.discrete = {v for v in names if self._is_discrete(v)}

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
        return np.hstack(parts) if parts else np.zeros((self.n, 0))

    def codes(self, name):
        if name == self.outcome:
            return np.unique(self.problem.y, return_inverse=True)
        return self.problem.variables.codes(name)

    def regression(self, X, target, *, rows=None, weight=None, first=False):
        """Cross-fitted; ``first`` says that the target is the outcome itself."""
        problem = self.problem
        classes = first and problem.binary
        default = ratio_classifiers if classes else ratio_regressors
        models = as_models(problem.outcome_model, default)
        if not first and any(is_classifier(m) for m in models):
            # what is regressed is a mean, not a class
            models = ratio_regressors()
        return CrossFit(
            models, X, target, problem.fold, rows=rows, weight=weight,
            seed=problem.seed,
        )  # fmt: skip

    def _classes(self, X, codes, n_classes, weight, fold, default):
        models = as_models(self.problem.treatment_model, default)
        fit = CrossFit(
            models, X, codes, fold, weight=weight, n_classes=n_classes,
            seed=self.problem.seed,
        )  # fmt: skip
        return clipped(fit(X), self.problem.clip)

    def probabilities(self, name, given, weight):
        """Of all levels given other variables, (n, n_levels)."""
        levels, codes = self.codes(name)
        if not given:
            share = np.bincount(codes, weight, len(levels))
            return np.tile(share / share.sum(), (self.n, 1))
        return self._classes(
            self.matrix(given), codes, len(levels), weight, self.problem.fold,
            ratio_classifiers,
        )  # fmt: skip

    def odds(self, one, other, above, below, default):
        """Density of rows of ``one`` under weights ``above``, by those of ``other``
        under ``below``, at the rows of ``other``; by telling them apart [1]_.

        References
        ----------
        .. [1] M. Sugiyama, T. Suzuki, T. Kanamori (2012). Density ratio estimation in
           machine learning.
        """
        i, j = np.flatnonzero(above > 0), np.flatnonzero(below > 0)
        weight = np.concatenate([above[i] / above.sum(), below[j] / below.sum()])
        label = np.repeat([1, 0], [len(i), len(j)])
        p = self._classes(
            np.vstack([one[i], other[j]]), label, 2, weight * self.n,
            np.concatenate([self.problem.fold[i], self.problem.fold[j]]), default,
        )  # fmt: skip
        out = np.zeros(self.n)
        out[j] = p[len(i) :, 1] / p[len(i) :, 0]
        return out

    def partners(self, weight, salt):
        """A row for each row, drawn by weight from the same fold.

        From the same fold, so that no model sees a value of a row held out.
        """
        rng = np.random.default_rng([self.problem.seed, 77, salt])
        drawn = np.empty(self.n, int)
        for k in range(self.problem.fold.max() + 1):
            rows = np.flatnonzero(self.problem.fold == k)
            p = weight[rows] / weight[rows].sum()
            drawn[rows] = rng.choice(rows, len(rows), p=p)
        return drawn

    def ratio(self, name, fewer, given, weight):
        """The `Ratio` p(name | fewer) / p(name | given), ``fewer`` among ``given``."""
        if name in self.discrete:
            return DiscreteRatio(self, [(name, fewer, given)], weight)
        more = [v for v in given if v not in fewer]
        if self.discrete.issuperset(more):
            # Bayes' rule
            parts = []
            for k, v in enumerate(more):
                rest = [*fewer, *more[:k]]
                parts.append((v, rest, [*rest, name]))
            return DiscreteRatio(self, parts, weight)
        return ContinuousRatio(self, name, given, weight)


class DiscreteRatio:
    """Product of p(v | fewer) / p(v | given) over discrete v, in a weighted sample.

    Attributes
    ----------
    value : ndarray of shape (n,)
    """

    def __init__(self, sample, parts, weight):
        self.sample, self.weight = sample, weight
        self.value = np.ones(sample.n)
        self.parts = []
        for v, fewer, given in parts:
            codes = sample.codes(v)[1]
            over = sample.probabilities(v, fewer, weight)
            under = sample.probabilities(v, given, weight)
            self.parts.append((codes, fewer, over, given, under))
            taken = np.arange(sample.n), codes
            self.value = self.value * over[taken] / under[taken]

    def correction(self, total):
        """What the estimation of the ratio adds to the influence of ``E[total]``."""
        out = np.zeros(self.sample.n)
        for codes, fewer, over, given, under in self.parts:
            if len(self.parts) == 1:
                # free of the ratio, the regression is on something tamer
                inside = self._levels(codes, given, total / self.value) * over / under
            else:
                inside = self._levels(codes, given, total)
            out -= self._centered(codes, inside, under)
            out += self._centered(codes, self._levels(codes, fewer, total), over)
        return out

    def _levels(self, codes, given, target):
        """Mean of the target at every level, given the rest, (n, n_levels)."""
        sample, fold = self.sample, self.sample.problem.fold
        X, columns = sample.matrix(given), []
        for c in range(codes.max() + 1):
            rows = codes == c
            column = np.zeros(sample.n)
            if not given:
                weight = self.weight * rows
                column[:] = np.average(target, weights=weight) if rows.any() else 0.0
                columns.append(column)
                continue
            seen = [(rows & (fold != k)).any() for k in range(fold.max() + 1)]
            if all(seen):
                fit = sample.regression(X, target, rows=rows, weight=self.weight)
                column = fit(X)
            columns.append(column)
        return np.column_stack(columns)

    @staticmethod
    def _centered(codes, levels, p):
        return levels[np.arange(len(codes)), codes] - (p * levels).sum(1)


class ContinuousRatio:
    """p(name) / p(name | given) by telling real pairs from permuted ones."""

    def __init__(self, sample, name, given, weight):
        self.sample, self.weight = sample, weight
        self.one, self.others = sample.matrix([name]), sample.matrix(given)
        drawn = sample.partners(weight, 0)
        self.value = sample.odds(
            self._pairs(drawn), self._pairs(), weight, weight, pair_classifiers
        )

    def _pairs(self, one=slice(None), others=slice(None)):
        return np.hstack([self.one[one], self.others[others]])

    def correction(self, total):
        """What the estimation of the ratio adds to the influence of ``E[total]``."""
        sample, fold = self.sample, self.sample.problem.fold
        inside = total / self.value
        fit = sample.regression(self._pairs(), inside, weight=self.weight)

        def predict(X):
            out = np.empty(sample.n)
            for k in range(fold.max() + 1):
                out[fold == k] = fit.by(k, X[fold == k])
            return out

        both = np.zeros(sample.n)
        for draw in range(1, _DRAWS + 1):
            j = sample.partners(self.weight, draw)
            moved = predict(self._pairs(one=j)) + predict(self._pairs(others=j))
            both += moved / _DRAWS
        out = both - self.value * fit(self._pairs())
        # the mean over the product of the two laws was added twice
        return out - np.average(both, weights=self.weight) / 2
