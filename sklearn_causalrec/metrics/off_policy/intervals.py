"""Intervals of a mean: for a sample looked at once, and for one watched as it grows."""

import numpy as np
from sklearn.utils import check_random_state

from sklearn_causalrec.effects import intervals
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.encoding.checks import (
    choice,
    column,
    number,
    pair,
    whole_number,
)
from sklearn_causalrec.encoding.cluster_columns import given_clusters


def normal_interval(values, *, alpha=0.05, cluster=None):
    """Interval of a mean by the central limit theorem.

    Parameters
    ----------
    values : array-like of shape (n,)
        The sample, whose mean the interval is for.
    alpha : float, default=0.05
        One minus the level of the interval.
    cluster : array-like of shape (n,) or (n, 2), default=None
        The ids of what the values belong to, such as the user of each, or its user and
        its item. The error then counts clusters, not values, and the interval is
        Student's. None says that all values are independent.

    Returns
    -------
    low : float
        The lower bound.
    high : float
        The upper bound.

    Raises
    ------
    ValueError
        If a value is NaN or infinite, or `alpha` is not between 0 and 1.

    See Also
    --------
    bootstrap_interval : An interval for means of skewed values.
    bernstein_interval : An interval that holds for every number of rows.
    confidence_sequence : Intervals that hold at all times.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import normal_interval
    >>> low, high = normal_interval([0, 0, 1, 1])
    >>> bool(low < 0.5 < high)
    True
    """
    values = _sample(values)
    clusters = given_clusters(cluster, len(values))
    if clusters is not None:
        low, high = estimate(values.mean(), values, clusters).interval(alpha)
        return float(low), float(high)
    error = values.std(ddof=1) / np.sqrt(len(values))
    low, high = intervals.normal_interval(values.mean(), error, alpha)
    return float(low), float(high)


def bootstrap_ratio(
    numerator, denominator, *, n_bootstrap, rng, clusters=None, block=2**22
):
    """Ratios of sums over resampled rows, or whole clusters of rows; (n_bootstrap,).

    They are NaN where the lower sum is 0.
    """
    if clusters is not None:
        if len(clusters.names) > 1:
            raise ValueError(
                f"cluster names {len(clusters.names)} ways to group the rows, "
                f"{clusters.names}, and a bootstrap resamples by one: name one, or "
                "take a normal interval, which counts both."
            )
        codes = clusters.codes[:, 0]
        numerator, denominator = (
            np.bincount(codes, column) for column in (numerator, denominator)
        )
    n = len(numerator)
    ratios, step = [], max(block // n, 1)
    for start in range(0, n_bootstrap, step):
        rows = rng.randint(n, size=(min(step, n_bootstrap - start), n))
        top, bottom = numerator[rows].sum(axis=1), denominator[rows].sum(axis=1)
        ratios.append(
            np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom != 0)
        )
    return np.concatenate(ratios)


def bootstrap_interval(
    values, *, weight=None, alpha=0.05, n_bootstrap=1000, random_state=0, cluster=None
):
    """Percentile interval of a mean, or of a weighted mean, over resampled rows.

    Parameters
    ----------
    values : array-like of shape (n,)
        The sample, whose mean the interval is for.
    weight : array-like of shape (n,), default=None
        The weights of the rows, which are resampled with them. The mean is then
        sum(weight * values) / sum(weight). None stands for equal weights.
    alpha : float, default=0.05
        One minus the level of the interval.
    n_bootstrap : int, default=1000
        The number of resamples.
    random_state : int, RandomState or None, default=0
        The seed of the resamples. None draws others in every call.
    cluster : array-like of shape (n,), default=None
        The ids of what the values belong to, such as the user of each. Whole clusters
        are then resampled. None says that all values are independent.

    Returns
    -------
    low : float
        The lower bound.
    high : float
        The upper bound.

    Raises
    ------
    ValueError
        If an array does not fit, or a number is NaN or infinite.

    See Also
    --------
    normal_interval : An interval by the central limit theorem.
    bernstein_interval : An interval that holds for every number of rows.

    Examples
    --------
    >>> from sklearn_causalrec.metrics import bootstrap_interval
    >>> low, high = bootstrap_interval([0, 0, 1, 1])
    >>> bool(low < 0.5 < high)
    True
    """
    intervals.check_alpha(alpha)
    n_bootstrap = whole_number(n_bootstrap, "n_bootstrap")
    values = column(values, "values")
    n = len(values)
    weight = np.ones(n) if weight is None else column(weight, "weight", n)
    means = bootstrap_ratio(
        values * weight,
        weight,
        n_bootstrap=n_bootstrap,
        rng=check_random_state(random_state),
        clusters=given_clusters(cluster, n),
    )
    if np.isnan(means).all():
        raise ValueError("All weights of each resample add up to 0: there is no mean.")
    low, high = np.nanquantile(means, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def bernstein_interval(values, *, lower, upper, alpha=0.05):
    r"""Empirical Bernstein interval: it holds for every number of bounded values.

    Parameters
    ----------
    values : array-like of shape (n,)
        The sample, whose mean the interval is for. The values are independent, and
        within [lower, upper] by design.
    lower : float
        The lower bound of the values, known beforehand.
    upper : float
        The upper bound of the values, known beforehand.
    alpha : float, default=0.05
        One minus the level of the interval.

    Returns
    -------
    low : float
        The lower bound :math:`\bar x - r` with :math:`r = \sqrt{2 \hat\sigma^2
        \log(4/\alpha) / n} + 7 (u - l) \log(4/\alpha) / (3 (n - 1))` [1]_.
    high : float
        The upper bound :math:`\bar x + r`.

    Raises
    ------
    ValueError
        If a value is outside of the bounds, or there are fewer than 2 values.

    See Also
    --------
    normal_interval : A narrower interval, which holds for many rows.
    confidence_sequence : Intervals that hold at all times.

    References
    ----------
    .. [1] Maurer, A. and Pontil, M. (2009). "Empirical Bernstein bounds and
       sample-variance penalization." COLT. Theorem 4, on both sides.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics import bernstein_interval
    >>> values = np.tile([0.0, 1.0], 500)
    >>> low, high = bernstein_interval(values, lower=0, upper=1)
    >>> round(low, 3), round(high, 3)
    (0.443, 0.557)
    """
    intervals.check_alpha(alpha)
    lower, upper = number(lower, "lower"), number(upper, "upper")
    values = _bounded(values, lower, upper)
    n, log = len(values), np.log(4 / alpha)
    reach = np.sqrt(2 * values.var(ddof=1) * log / n)
    reach += 7 * (upper - lower) * log / (3 * (n - 1))
    return float(values.mean() - reach), float(values.mean() + reach)


def _sample(values):
    values = column(values, "values")
    if len(values) < 2:
        raise ValueError("An interval needs at least 2 rows.")
    return values


def _bounded(values, lower, upper):
    values = _sample(values)
    if not lower < upper:
        raise ValueError(f"The bounds are {lower} and {upper}: lower must be lower.")
    outside = (values < lower) | (values > upper)
    if outside.any():
        raise ValueError(
            f"values holds {values[outside][0]}, outside of the bounds {lower} and "
            f"{upper} that the interval relies on."
        )
    return values


def confidence_sequence(
    values, *, alpha=0.05, method="asymptotic", lower=None, upper=None, n_planned=None
):
    """Intervals of a mean, one after each row, that hold at all rows at once.

    An experiment may be stopped, or prolonged, after any look at them.

    Parameters
    ----------
    values : array-like of shape (n,)
        The sample, in the order in which the values came.
    alpha : float, default=0.05
        One minus the probability that all intervals hold.
    method : {"asymptotic", "bernstein"}, default="asymptotic"
        How the intervals are made. "asymptotic" [1]_ is for means of anything with a
        variance, once some dozens of rows are there. "bernstein" [2]_ is for any number
        of rows and values within [lower, upper]. Where `upper` is None, values of
        `lower` or more get a lower bound alone [3]_, which is a good one where the mean
        is not far above lower + 1.
    lower : float, default=None
        The lower bound of the values, known beforehand. "bernstein" needs it.
    upper : float, default=None
        The upper bound of the values, known beforehand. None says that there is none.
    n_planned : int, default=None
        The number of rows at which an asymptotic sequence is to be narrowest. None
        stands for the number of values.

    Returns
    -------
    low : ndarray of shape (n,)
        The lower bound after each row. With "bernstein" it never falls. It is minus
        infinity, or `lower`, at the start.
    high : ndarray of shape (n,)
        The upper bound after each row. With "bernstein" it never rises. It is infinity,
        or `upper`, at the start.

    Raises
    ------
    ValueError
        If a value is NaN, infinite or outside of the bounds, or "bernstein" has no
        `lower`.

    See Also
    --------
    ips_confidence_sequence : Intervals of a policy's value at all times.
    bernstein_interval : An interval for one look.

    References
    ----------
    .. [1] Waudby-Smith, I., Arbour, D., Sinha, R., Kennedy, E. and Ramdas, A. (2024).
       "Time-uniform central limit theory and asymptotic confidence sequences." Annals
       of Statistics 52(6). Equation 11.
    .. [2] Howard, S., Ramdas, A., McAuliffe, J. and Sekhon, J. (2021). "Time-uniform,
       nonparametric, nonasymptotic confidence sequences." Annals of Statistics 49(2).
       Theorem 4, with a discrete mixture of bets.
    .. [3] Waudby-Smith, I., Wu, L., Ramdas, A., Karampatziakis, N. and Mineiro, P.
       (2024). "Anytime-valid off-policy inference for contextual bandits." ACM/IMS
       Journal of Data Science 1(3). Proposition 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics import confidence_sequence
    >>> x = np.random.default_rng(0).uniform(size=2000)
    >>> low, high = confidence_sequence(x, method="bernstein", lower=0, upper=1)
    >>> bool((low <= 0.5).all() and (high >= 0.5).all() and high[-1] - low[-1] < 0.1)
    True
    """
    intervals.check_alpha(alpha)
    choice(method, "method", {"asymptotic", "bernstein"})
    if method == "asymptotic":
        return _asymptotic(column(values, "values"), alpha, n_planned)
    if lower is None:
        raise ValueError('method="bernstein" needs the bounds: lower=, and upper=.')
    lower = number(lower, "lower")
    if upper is None:
        values = _bounded(values, lower, np.inf)
        low = lower + lower_sequence(values - lower, alpha)
        return low, np.full(len(values), np.inf)
    upper = number(upper, "upper")
    values = (_bounded(values, lower, upper) - lower) / (upper - lower)
    low, high = lower_sequence(values, alpha / 2), lower_sequence(1 - values, alpha / 2)
    return lower + (upper - lower) * low, upper - (upper - lower) * high


def _asymptotic(values, alpha, n_planned):
    n = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / n
    # Centred first: the difference of two large sums would lose the variance.
    centered = values - values.mean()
    variance = np.cumsum(centered**2) / n - (np.cumsum(centered) / n) ** 2
    planned = len(values)
    if n_planned is not None:
        planned = whole_number(n_planned, "n_planned", high=np.inf)
    # The rho at which the sequence is narrowest after `planned` rows, cited equation.
    rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / planned
    spread = 2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / alpha)
    reach = np.sqrt(np.maximum(variance, 0) * spread)
    # A run of equal values at the start has no variance yet and says nothing. Nor are
    # later intervals cut by these early ones, which are the least asymptotic.
    reach[(variance <= 1e-12 * np.mean(values**2)) | (n < 10)] = np.inf
    return mean - reach, mean + reach


# Bets of the mixture: halving costs little between them, and the smallest suits sums
# of squares up to about 1e9.
_BETS = 0.9 * 0.5 ** np.arange(15)
_COSTS = -np.log1p(-_BETS) - _BETS


def lower_sequence(values, alpha):
    r"""Lower bounds, at all times, of the mean of values of 0 or more.

    With predictable guesses :math:`\hat x_i \le 1`, so that :math:`x_i - \hat x_i \ge
    -1`, each bet :math:`\lambda < 1` makes :math:`\exp(\lambda \sum (x_i - \mu) -
    (-\log(1 - \lambda) - \lambda) \sum (x_i - \hat x_i)^2)` a supermartingale, and
    so is the mean over bets; Ville's inequality bounds it by 1 / alpha.
    """
    n = np.arange(1, len(values) + 1)
    guess = np.minimum((0.5 + np.cumsum(values)) / (n + 1), 1)
    spread = np.cumsum((values - np.append(0.5, guess[:-1])) ** 2)[:, None]
    # Where the mean over bets reaches 1 / alpha: between what one bet would allow had
    # it all the weight, and what it allows with its share.
    level = np.log(1 / alpha)
    low = ((level + _COSTS * spread) / _BETS).min(axis=1)
    high = ((level + np.log(len(_BETS)) + _COSTS * spread) / _BETS).min(axis=1)
    for _ in range(20):
        middle = (low + high) / 2
        capital = np.exp(_BETS * middle[:, None] - _COSTS * spread).mean(axis=1)
        above = capital >= 1 / alpha
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    bound = (np.cumsum(values) - high) / n
    return np.maximum.accumulate(np.maximum(bound, 0))


def ips_confidence_sequence(y, weight, *, alpha=0.05, reward_range=(0.0, 1.0)):
    r"""Intervals of a policy's value at all times, for any number of rows.

    The propensities must be known and the rewards bounded. The weights need no bound.

    Parameters
    ----------
    y : array-like of shape (n,)
        The rewards, in the order in which they came.
    weight : array-like of shape (n,)
        The probability of the action taken under the policy, divided by its propensity.
    alpha : float, default=0.05
        One minus the probability that all intervals hold.
    reward_range : tuple of float, default=(0.0, 1.0)
        The smallest and the largest reward that can be.

    Returns
    -------
    low : ndarray of shape (n,)
        The lower bound after each row.
    high : ndarray of shape (n,)
        The upper bound after each row.

    Raises
    ------
    ValueError
        If an array does not fit, or a reward is outside of the range.

    See Also
    --------
    confidence_sequence : Intervals of any mean at all times.
    policy_value : The value of a policy, by several estimators.

    Notes
    -----
    With rewards r between 0 and 1, :math:`w r \ge 0` bounds the value from below and
    :math:`w (1 - r) \ge 0` from above, because weights have mean 1 [1]_.

    References
    ----------
    .. [1] Waudby-Smith, I., Wu, L., Ramdas, A., Karampatziakis, N. and Mineiro, P.
       (2024). "Anytime-valid off-policy inference for contextual bandits." ACM/IMS
       Journal of Data Science 1(3).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.metrics import ips_confidence_sequence
    >>> rng = np.random.default_rng(0)
    >>> action = rng.integers(0, 2, size=5000)  # at random; the policy always takes 1
    >>> y = rng.binomial(1, 0.2 + 0.2 * action)
    >>> low, high = ips_confidence_sequence(y, 2 * action)
    >>> bool((low <= 0.4).all() and (high >= 0.4).all() and high[-1] - low[-1] < 0.2)
    True
    """
    intervals.check_alpha(alpha)
    lower, upper = (number(r, "a reward") for r in pair(reward_range, "reward_range"))
    reward = (_bounded(y, lower, upper) - lower) / (upper - lower)
    weight = column(weight, "weight", len(reward))
    low = lower_sequence(weight * reward, alpha / 2)
    high = 1 - lower_sequence(weight * (1 - reward), alpha / 2)
    return lower + (upper - lower) * low, lower + (upper - lower) * np.minimum(high, 1)
