"""What each refuter does to the data, and how its refits are judged."""

import numpy as np
from scipy.stats import binom, chi2, ncx2, norm
from scipy.stats import t as student

from sklearn_causalrec.causal.checks.refits import (
    cluster_codes,
    covariates,
    take,
    treatment_columns,
    with_common_cause,
)
from sklearn_causalrec.effects.clusters import FEW_CLUSTERS
from sklearn_causalrec.effects.intervals import standard_error
from sklearn_causalrec.encoding.frames import as_frame

EXPECTED = {
    "placebo": "no effect: the treatment is permuted",
    "confounded_placebo": "no effect: the treatment is drawn anew, by covariates",
    "dummy_outcome": "no effect: the outcome is permuted",
    "random_common_cause": "no change: a random covariate is added",
    "subset": "no change: a share of the rows is left out",
    "parts": "parts of the rows agree within their errors",
}
_LEVEL = 0.05
# Fewer refits than this have no spread to go by: standard errors judge them.
FEW = 3
# Parts that the rows are split into, and rows that a part has at least. Of clusters,
# it has as many as an error needs that is to be relied on.
MOST_PARTS, LEAST_ROWS = 10, 100


# -- tests of what the refits say -----------------------------------------------------


def centered_p_value(values, tolerance=0.0):
    """P-value of the hypothesis that independent values have a mean near 0.

    Parameters
    ----------
    values : array-like of shape (m,)
    tolerance : float
        A mean no farther from 0 counts as 0.

    Returns
    -------
    float
        Student's t-test, at the mean within the tolerance that is nearest.
    """
    values = np.asarray(values, float)
    mean = abs(values.mean())
    error = values.std(ddof=1) / np.sqrt(len(values))
    if error <= 1e-12 * max(np.abs(values).max(), 1e-300):
        return float(mean <= max(tolerance, 1e-12))
    dof = len(values) - 1
    far, near = (mean + tolerance) / error, (mean - tolerance) / error
    return float(min(1.0, student.sf(near, dof) + student.sf(far, dof)))


def within_errors(values, errors, tolerance=0.0):
    """P-value of the hypothesis that a few independent values all have means near 0.

    Parameters
    ----------
    values : array-like of shape (m,)
    errors : array-like of shape (m,)
        Their standard errors.
    tolerance : float
        A mean no farther from 0 counts as 0.

    Returns
    -------
    float
        The chi-square test, at the means within the tolerance that are farthest from 0.
        It sees both a bias and errors that are stated too small.
    """
    values, errors = np.asarray(values, float), np.asarray(errors, float)
    if not (errors > 0).all():
        return float((np.abs(values) <= max(tolerance, 1e-12)).all())
    total = np.sum((values / errors) ** 2)
    shift = np.sum((tolerance / errors) ** 2)
    if shift == 0:
        return float(chi2.sf(total, len(values)))
    return float(np.clip(ncx2.sf(total, len(values), shift), 0.0, 1.0))


def agreement(values, errors):
    """P-value of the hypothesis that independent estimates are of the same number.

    Parameters
    ----------
    values : array-like of shape (m,)
        The estimates.
    errors : array-like of shape (m,)
        Their standard errors.

    Returns
    -------
    float
        Cochran's test: the squares of what the estimates differ from their mean by,
        in standard errors, by a chi-square with m - 1 degrees of freedom.
    """
    values, errors = np.asarray(values, float), np.asarray(errors, float)
    if not (errors > 0).all():
        return float(np.ptp(values) <= 1e-12)
    weight = 1 / errors**2
    rest = values - np.average(values, weights=weight)
    return float(chi2.sf(np.sum(weight * rest**2), len(values) - 1))


def _within_one_error(values, error, tolerance):
    """P-value of a mean near 0 where many values are no surer than one of them."""
    beyond = max(abs(values.mean()) - tolerance, 0.0)
    if beyond == 0 or error == 0:
        return float(beyond == 0)
    return float(2 * norm.sf(beyond / error))


def _both(*p_values):
    """One p-value of several hypotheses (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values))


def _no_effect(points, lows, highs, tolerance):
    """The mean is zero, and the intervals hold zero as often as they promise."""
    outside = int(np.sum((lows > 0) | (highs < 0)))
    too_often = float(binom.sf(outside - 1, len(points), _LEVEL))
    return _both(centered_p_value(points, tolerance), too_often)


def _spread(stderr, share):
    """Standard error of the estimate on a share of the rows around that of all rows.

    An asymptotically linear estimate on a share f of the rows varies around that of
    all rows with the variance se² (1 - f) / f: what the variances of nested samples
    differ by (Hausman).
    """
    return stderr * np.sqrt((1 - share) / share)


def _same_spread(points, base, stderr, share):
    """Estimates on subsets vary as the standard error says they should.

    What the estimator's own randomness adds, refits on all rows show.
    """
    expected = _spread(stderr, share) ** 2 + base.var(ddof=1)
    dof = len(points) - 1
    return float(chi2.sf(dof * points.var(ddof=1) / expected, dof))


def p_value_of(method, table, stderr, tolerance, share):
    """P-value of what the method expects, by its table of refits.

    Parameters
    ----------
    method : str
        A key of EXPECTED.
    table : dict of str to ndarray
        Columns of the refits, with ``base`` where no change is expected.
    stderr : float
        The standard error of the original estimate.
    tolerance : float
        What is not held against it, in standard errors.
    share : float
        The share of the rows that "subset" kept.

    Returns
    -------
    float
    """
    points, slack = table["estimate"], tolerance * stderr
    few = len(points) < FEW
    if method == "random_common_cause":
        moved = points - table["base"]
        if few:
            # How much a covariate of no use moves an estimate is known of no
            # estimator, but that it is less than the estimate's own error.
            return _within_one_error(moved, stderr, slack)
        return centered_p_value(moved, slack)
    if method == "subset":
        base = table["base"]
        if few:
            # The error of a curve is not that of a mean: where half of the rows are
            # smoothed more widely, it says itself how much surer all rows are.
            own = standard_error(table["high"] - table["low"]) ** 2 - stderr**2
            errors = np.sqrt(np.maximum(own, _spread(stderr, share) ** 2))
            return within_errors(points - base, errors, slack)
        moved = centered_p_value(points - base, slack)
        return _both(moved, _same_spread(points, base, stderr, share))
    errors = standard_error(table["high"] - table["low"])
    if method == "parts":
        return agreement(points, errors)
    if method == "confounded_placebo":
        # The draws share the probabilities they are drawn with, and those go with the
        # outcome's noise by chance as any estimate does: a mean of many is no surer.
        return _within_one_error(points, errors.mean(), slack)
    if few:
        return within_errors(points, errors, slack)
    return _no_effect(points, table["low"], table["high"], slack)


# -- changes of the data --------------------------------------------------------------


class Changes:
    """The data of an estimator, and what each refuter makes of them."""

    def __init__(self, estimator, X, y, treatment, share):
        self.share = share
        self.estimator, self.X, self.y = estimator, as_frame(X, arrays=True), y
        self.treatment = treatment
        self.columns = treatment_columns(estimator, self.X)
        if treatment is None and not self.columns:
            raise ValueError(
                "refute needs the treatment, as fit does: name a column of X as the "
                f"estimator's treatment, which is "
                f"{getattr(estimator, 'treatment', None)!r}, or pass treatment=."
            )
        self.graph = getattr(estimator, "graph", None)
        self.propensity, self.clusters = None, cluster_codes(estimator, self.X)

    def _with_rows_of_treatment(self, rows):
        if self.treatment is not None:
            return self.X, self.y, take(self.treatment, rows), {}
        X = self.X.copy()
        for name in self.columns:
            X[name] = take(X[name], rows).to_numpy()
        return X, self.y, None, {}

    def base(self, rng):
        return self.X, self.y, self.treatment, {}

    def placebo(self, rng):
        return self._with_rows_of_treatment(rng.permutation(len(self.X)))

    def confounded_placebo(self, rng):
        """Every row takes the treatment of a random row of the arm drawn for it."""
        arms, code, p = self.propensity
        drawn = (rng.uniform(size=len(p))[:, None] > p.cumsum(1)[:, :-1]).sum(1)
        rows = np.empty(len(p), int)
        for k in range(len(arms)):
            own = np.flatnonzero(code == k)
            rows[drawn == k] = rng.choice(own, np.sum(drawn == k))
        return self._with_rows_of_treatment(rows)

    def dummy_outcome(self, rng):
        order = rng.permutation(len(self.X))
        y = take(self.y, order)
        if hasattr(self.y, "index"):
            y = y.set_axis(self.y.index)
        return self.X, y, self.treatment, {}

    def random_common_cause(self, rng):
        name = "random_common_cause"
        while name in self.X or (self.graph is not None and name in self.graph):
            name += "_"
        # Among columns of two values another kind of column would ask for other models,
        # or another strategy: the estimate would change by them.
        coin = all(self.X[c].nunique() <= 2 for c in self.X)
        drawn = (
            rng.integers(2, size=len(self.X)) if coin else rng.normal(size=len(self.X))
        )
        X, params = self.X.assign(**{name: drawn}), {}
        if self.graph is not None:
            if getattr(self.estimator, "adjustment_set", None) is not None:
                given = self.estimator.adjustment_set
                given = [given] if isinstance(given, str) else list(given)
                params["adjustment_set"] = [*given, name]
            params["graph"] = with_common_cause(
                self.graph,
                name,
                self.columns or self.estimator.treatment_names_,
                self.estimator.outcome_name_,
            )
        return X, self.y, self.treatment, params

    def subset(self, rng):
        n = len(self.X)
        if self.clusters is not None:
            n = self.clusters.max() + 1
        return self._only(self._of(rng.choice(n, int(self.share * n), replace=False)))

    def split(self, seed):
        """Parts of the rows that share none, for ``part``; returns how many."""
        n, most = len(self.X), len(self.X) // LEAST_ROWS
        if self.clusters is not None:
            n = self.clusters.max() + 1
            most = min(most, n // FEW_CLUSTERS)
        order = np.random.default_rng(seed).permutation(n)
        n_parts = max(2, min(MOST_PARTS, most))
        self.pieces = [self._of(part) for part in np.array_split(order, n_parts)]
        return n_parts

    def _of(self, units):
        """The rows of some clusters; without clusters, the rows themselves."""
        if self.clusters is None:
            return units
        return np.flatnonzero(np.isin(self.clusters, units))

    def part(self, k, rng):
        return self._only(self.pieces[k])

    def _only(self, rows):
        rows = np.sort(rows)
        return (
            take(self.X, rows),
            take(self.y, rows),
            take(self.treatment, rows),
            {},
        )

    def learn_propensity(self, seed):
        """Cross-fitted by boosted trees: not the estimator's own model."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.model_selection import StratifiedKFold, cross_val_predict

        taken = self.treatment
        if taken is None:
            if len(self.columns) > 1:
                raise ValueError(
                    f"confounded_placebo needs a single treatment, got {self.columns}."
                )
            taken = self.X[self.columns[0]]
        arms, code = np.unique(np.asarray(taken), return_inverse=True)
        if len(arms) > 20:
            raise ValueError(
                "confounded_placebo needs a treatment of a few arms, got "
                f"{len(arms)} distinct values."
            )
        Z = self.X[covariates(self.estimator, self.X)]
        if Z.shape[1] == 0:
            shares = np.bincount(code) / len(code)
            self.propensity = arms, code, np.tile(shares, (len(code), 1))
            return
        texts = Z.select_dtypes(exclude=["number", "bool"]).columns
        Z = Z.assign(**{c: Z[c].astype("category").cat.codes for c in texts})
        model = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.1, random_state=seed
        )
        cv = StratifiedKFold(5, shuffle=True, random_state=seed)
        p = cross_val_predict(model, Z, code, cv=cv, method="predict_proba")
        p = np.maximum(p, 0.02)
        self.propensity = arms, code, p / p.sum(1, keepdims=True)
