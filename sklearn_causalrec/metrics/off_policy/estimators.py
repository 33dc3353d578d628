"""Off-policy estimators: what each makes of a logged row, and a result of several."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sklearn_causalrec.effects.clusters import estimate, outer
from sklearn_causalrec.effects.intervals import (
    check_alpha,
    effective_sample_size,
    normal_quantile,
)
from sklearn_causalrec.encoding.checks import choice, number, pair, whole_number
from sklearn_causalrec.metrics.off_policy.intervals import (
    bernstein_interval,
    bootstrap_ratio,
    confidence_sequence,
    normal_interval,
)

INTERVALS = ("normal", "bootstrap", "bernstein", "sequence")


@dataclass
class Rounds:
    """What an estimator makes of each row: its value is mean(value) / mean(weight).

    Attributes
    ----------
    value : ndarray of shape (n,)
    weight : ndarray of shape (n,) or None
        None: all 1.
    base : ndarray of shape (n,) or None
        Added to each row after the ratio: the model's part of a doubly robust
        estimate. None: 0.
    parameter : float
        Of the estimator, where it has one.
    unbent : Rounds or None
        Whose interval is to be given instead: of a chosen parameter the bias is
        unknown.
    """

    value: np.ndarray
    weight: np.ndarray | None = None
    base: np.ndarray | None = None
    parameter: float = np.nan
    unbent: "Rounds | None" = None

    def estimate(self):
        return float(self.influence().mean())

    def influence(self):
        """Rows whose mean is the estimate and whose variance is n times its own."""
        base = 0.0 if self.base is None else self.base
        if self.weight is None:
            return base + self.value
        mean = self.weight.mean()
        if mean == 0:
            raise ValueError(
                "The policy never takes an action that was logged: all its weights are "
                "0, and the log says nothing of it."
            )
        ratio = self.value.mean() / mean
        return base + ratio + (self.value - ratio * self.weight) / mean

    def interval(self, kind, alpha, bounds, n_bootstrap, rng, clusters=None):
        if self.unbent is not None:
            given = kind, alpha, bounds, n_bootstrap, rng, clusters
            return self.unbent.interval(*given)
        rows = self.influence()
        if kind == "bootstrap":
            if self.weight is None:
                draws = bootstrap_ratio(
                    rows, np.ones(len(rows)), n_bootstrap=n_bootstrap, rng=rng,
                    clusters=clusters,
                )  # fmt: skip
            else:
                draws = self._ratio_draws(n_bootstrap, rng, clusters)
            return tuple(np.nanquantile(draws, [alpha / 2, 1 - alpha / 2]).tolist())
        if kind == "bernstein":
            low, high = rows.min(), rows.max()
            if bounds is not None:
                low, high = (number(b, "a bound") for b in pair(bounds, "bounds"))
            if low == high:
                return float(low), float(high)
            return bernstein_interval(rows, lower=low, upper=high, alpha=alpha)
        if kind == "sequence":
            low, high = confidence_sequence(rows, alpha=alpha)
            return float(low[-1]), float(high[-1])
        if clusters is not None:
            low, high = estimate(rows.mean(), rows, clusters).interval(alpha)
            return float(low), float(high)
        return normal_interval(rows, alpha=alpha)

    def _ratio_draws(self, n_bootstrap, rng, clusters):
        n = len(self.value)
        base = np.zeros(n) if self.base is None else self.base
        state = rng.randint(2**31 - 1)
        same = [
            bootstrap_ratio(
                top,
                bottom,
                n_bootstrap=n_bootstrap,
                rng=np.random.RandomState(state),
                clusters=clusters,
            )
            for top, bottom in ((self.value, self.weight), (base, np.ones(n)))
        ]
        return np.sum(same, axis=0)


def sub_gaussian(weight, lam):
    """Weights pulled towards 1, w / (1 - lam + lam w) (Metelli et al. 2021)."""
    out = np.zeros(len(weight))
    return np.divide(weight, 1 - lam + lam * weight, out=out, where=weight > 0)


def optimistic_shrinkage(weight, lam):
    """Weights lam w / (w^2 + lam), small where w is large (Su et al. 2020)."""
    return lam * weight / (weight**2 + lam)


def switch(weight, tau):
    """Weights up to tau, and 0 above, where the model takes over (Wang et al. 2017)."""
    return np.where(weight <= tau, weight, 0.0)


def clipped(weight, largest):
    return np.minimum(weight, largest)


# How each estimator bends its weights, and whether a model stands under it: its value
# is the mean of (model of the policy) + bent weight * (y - model of the action taken).
ESTIMATORS = {
    # name: (bend, is the model used, are weights divided by their mean)
    "dm": (None, True, False),
    "ips": (clipped, False, False),
    "snips": (clipped, False, True),
    "dr": (clipped, True, False),
    "sndr": (clipped, True, True),
    "switch_dr": (switch, True, False),
    "dr_os": (optimistic_shrinkage, True, False),
    "sg_ips": (sub_gaussian, False, False),
    "sg_dr": (sub_gaussian, True, False),
}


def slope(candidates, *, alpha=0.05):
    r"""Position of the most biased estimate that the less biased ones do not refute.

    Parameters
    ----------
    candidates : list of (float, float)
        The estimates and their standard errors, from the largest variance and smallest
        bias to the smallest variance and largest bias.
    alpha : float, default=0.05
        One minus the level of the intervals, which all of them share.

    Returns
    -------
    int
        The largest :math:`i` with :math:`|\hat\theta_i - \hat\theta_j| \le
        \mathrm{CNF}_i + (\sqrt6 - 1)\,\mathrm{CNF}_j` for all :math:`j < i` [1]_.

    Raises
    ------
    ValueError
        If `alpha` is not between 0 and 1.

    See Also
    --------
    policy_value : It chooses the clipping of weights by it, with ``clip="slope"``.

    References
    ----------
    .. [1] Su, Y., Srinath, P. and Krishnamurthy, A. (2020). "Adaptive estimator
       selection for off-policy evaluation." ICML.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import slope
    >>> slope([(1.0, 0.3), (0.9, 0.2), (-0.5, 0.01)])
    1
    """
    check_alpha(alpha)
    quantile = normal_quantile(alpha / len(candidates))
    for i, (value, stderr) in enumerate(candidates):
        for other, wider in candidates[:i]:
            reach = quantile * (stderr + (np.sqrt(6) - 1) * wider)
            if abs(value - other) > reach:
                return i - 1
    return len(candidates) - 1


def parameter_grid(name, weight):
    """Parameters of an estimator from least to most biased."""
    if name == "dr_os":
        return np.max(weight) ** 2 * np.geomspace(1e3, 1e-3, 12)
    if name in ("sg_ips", "sg_dr"):
        return np.append(0.0, np.geomspace(1e-3, 1, 11))
    # Below 1 even rows that both policies like alike would be clipped.
    levels = np.quantile(weight, [1, 0.999, 0.99, 0.97, 0.95, 0.9, 0.8, 0.65, 0.5])
    return np.unique(np.maximum(levels, min(1.0, weight.max())))[::-1]


def default_parameter(name, weight):
    """The parameter that leaves an estimator unbiased, or its authors' advice."""
    n, second = len(weight), np.mean(weight**2)
    if name in ("sg_ips", "sg_dr"):
        return float(min(np.sqrt(2 * np.log(20) / (3 * n * max(second, 1))), 1.0))
    if name == "dr_os":
        return float(n * max(second, 1e-12) ** 0.5)
    if name == "switch_dr":
        return float(np.sqrt(n))
    return np.inf


def round_values(name, y, weight, base, factual, parameter):
    """Rows of one estimator with one parameter, as :class:`Rounds`."""
    bend, modeled, normalized = ESTIMATORS[name]
    if bend is None:
        return Rounds(base)
    bent = bend(weight, parameter)
    shown = parameter if np.isfinite(parameter) else np.nan
    rest = y - factual if modeled else y
    under = base if modeled else None
    return Rounds(bent * rest, bent if normalized else None, under, shown)


@dataclass
class PolicyValue:
    """The value of a policy, and how much the log can say about it.

    Parameters
    ----------
    value : float
        The mean outcome a row under the policy, by `estimator`.
    interval : tuple of float
        The lower and the upper bound of the value.
    estimator : str
        The estimator of the value and its interval.
    effective_sample_size : float
        Kish's effective sample size of the weights policy / logging. It is roughly the
        number of rows that an experiment with the policy itself would have needed to
        say as much.
    mean_weight : float
        The mean of the weights, which is 1 in expectation. Far below 1, the policy
        takes actions that were not logged.
    logged_value : float
        The mean outcome of the log, which is the value of the policy that logged.
    table : DataFrame
        One row for each estimator, with the columns `value`, `stderr`, `low`, `high`
        and `parameter`.
    agreement : DataFrame
        The difference of each two estimators in its own standard errors. Beyond about
        3, one of the two is biased: a model is wrong, propensities are wrong, or
        weights are changed too much.

    See Also
    --------
    policy_value : It returns one for actions.
    slate_policy_value : It returns one for lists.
    sklearn_causalrec.plot.PolicyValueDisplay : The same as a plot.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import policy_value
    >>> y, action = [1, 0, 1, 1], [1, 0, 1, 0]
    >>> chance = [0.5] * 4
    >>> found = policy_value(y, action, [0.5, 0.5], propensity=chance, estimator="ips")
    >>> found.value, found.mean_weight, found.effective_sample_size
    (0.75, 1.0, 4.0)
    """

    value: float
    interval: tuple
    estimator: str
    effective_sample_size: float
    mean_weight: float
    logged_value: float
    table: pd.DataFrame
    agreement: pd.DataFrame

    def __str__(self):
        low, high = self.interval
        return (
            f"{self.value:.4g} [{low:.4g}, {high:.4g}] by {self.estimator}, effective "
            f"sample size {self.effective_sample_size:,.0f}; logged "
            f"{self.logged_value:.4g}\n{self.table.to_string(float_format='%.4g')}"
        )


def summarize(
    rounds, y, weight, main, interval, alpha, bounds, n_bootstrap, rng, clusters=None
):
    """PolicyValue of several estimators over the same rows."""
    choice(interval, "interval", INTERVALS)
    choice(main, "estimator", set(rounds))
    check_alpha(alpha)
    n_bootstrap = whole_number(n_bootstrap, "n_bootstrap")
    if clusters is not None and interval in ("bernstein", "sequence"):
        raise ValueError(
            f'interval="{interval}" holds for independent rows, and cluster= says that '
            'they are not: take "normal" or "bootstrap".'
        )
    if len(y) < 2:
        raise ValueError("There is 1 row: an interval needs at least 2.")
    records, influences = {}, {}
    for name, rows in rounds.items():
        influences[name] = rows.influence()
        given = interval, alpha, bounds, n_bootstrap, rng, clusters
        low, high = rows.interval(*given)
        stderr = influences[name].std(ddof=1) / np.sqrt(len(y))
        if clusters is not None:
            stderr = estimate(rows.estimate(), influences[name], clusters).error
        records[name] = (rows.estimate(), stderr, low, high, rows.parameter)
    columns = ["value", "stderr", "low", "high", "parameter"]
    table = pd.DataFrame.from_dict(records, orient="index", columns=columns)

    influence = np.column_stack(list(influences.values()))
    difference = influence.mean(axis=0)[:, None] - influence.mean(axis=0)
    covariance = np.atleast_2d(np.cov(influence, rowvar=False)) / len(y)
    if clusters is not None:
        covariance = outer(influence - influence.mean(axis=0), clusters) / len(y) ** 2
    variance = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
    agreement = np.divide(
        difference,
        np.sqrt(np.maximum(variance, 0)),
        out=np.zeros_like(difference),
        where=variance > 1e-12 * max(np.diag(covariance).max(), 1e-300),
    )
    names = list(rounds)
    return PolicyValue(
        value=float(table.at[main, "value"]),
        interval=(float(table.at[main, "low"]), float(table.at[main, "high"])),
        estimator=main,
        effective_sample_size=effective_sample_size(weight),
        mean_weight=float(weight.mean()),
        logged_value=float(y.mean()),
        table=table,
        agreement=pd.DataFrame(agreement, index=names, columns=names),
    )
