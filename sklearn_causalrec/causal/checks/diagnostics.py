"""Whether arms were comparable, and which rows carry an estimate."""

from itertools import combinations

import numpy as np
import pandas as pd

from sklearn_causalrec.effects.intervals import effective_sample_size
from sklearn_causalrec.encoding.arms import read_treatment
from sklearn_causalrec.encoding.checks import column, matrix, number, whole_number
from sklearn_causalrec.encoding.frames import as_frame, refuse_unclear

_FLAT = 1e-12  # spreads below this share of the largest value are rounding


def _as_weights(weights, n):
    weights = np.ones(n) if weights is None else column(weights, "weights")
    if weights.shape != (n,):
        raise ValueError(f"weights must have the shape ({n},), got {weights.shape}.")
    wrong = weights[~((weights >= 0) & (weights < np.inf))]
    if len(wrong):
        raise ValueError(f"weights are finite and not negative, got {wrong[0]}.")
    return weights


def _numbers(frame, max_levels):
    """Columns of numbers: a number as it is, anything else an indicator a level."""
    columns = {}
    for name in frame.columns:
        column = frame[name]
        absent = column.isna()
        number = pd.api.types.is_numeric_dtype(column.dtype)
        if number or pd.api.types.is_bool_dtype(column.dtype):
            columns[str(name)] = column.astype(float).to_numpy(na_value=np.nan)
        else:
            counts = column.value_counts()
            for level in counts.index[:max_levels]:
                is_level = (column == level).to_numpy(bool, na_value=False)
                columns[f"{name} = {level}"] = is_level.astype(float)
            if len(counts) > max_levels:
                rest = ~absent & ~column.isin(counts.index[:max_levels])
                columns[f"{name}: other"] = rest.to_numpy(float)
        if absent.any():
            columns[f"{name} missing"] = absent.to_numpy(float)
    return columns


def _mean_by_arm(values, of_arm, weights):
    """Mean of the values that are there, an arm a column of ``of_arm``."""
    there = ~np.isnan(values)
    mass = (weights * there) @ of_arm
    total = (weights * np.where(there, values, 0)) @ of_arm
    return np.divide(total, mass, out=np.full_like(total, np.nan), where=mass > 0)


def balance(X, arm, weights=None, *, max_levels=20):
    """Standardised differences of the covariates between arms, by column.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n, p)
        The covariates. A column of text, categories or dates is split into its levels.
        Missing values get a row of their own.
    arm : array-like of shape (n,)
        The arm that each row took.
    weights : array-like of shape (n,), default=None
        Weights that should make the arms alike, such as inverse propensities. With
        None nothing is weighted, and ``after`` is left out.
    max_levels : int, default=20
        The number of levels of a column that are shown. The rarer ones are taken
        together.

    Returns
    -------
    DataFrame
        By column, or column and level: ``before`` and ``after``, the difference of the
        means in standard deviations, the second arm less the first [1]_; of more than
        two arms the largest difference of any pair, without sign. The standard
        deviation is that of the unweighted arms, pooled, for both: weighting should
        move the means, not the yardstick. Below 0.1 is commonly taken to be balanced.

    See Also
    --------
    overlap : Whether every arm is a possibility for all rows.
    sklearn_causalrec.plot.BalanceDisplay : The table as a picture.

    References
    ----------
    .. [1] Austin, P. (2009). "Balance diagnostics for comparing the distribution of
       baseline covariates between treatment groups in propensity-score matched
       samples." Statistics in Medicine 28(25).

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec.causal import balance
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"age": rng.normal(40, 10, size=4000)})
    >>> p = 1 / (1 + np.exp(-(X["age"] - 40) / 10))
    >>> arm = rng.binomial(1, p)
    >>> found = balance(X, arm, np.where(arm == 1, 1 / p, 1 / (1 - p))).loc["age"]
    >>> bool(found["before"] > 0.5), bool(abs(found["after"]) < 0.1)
    (True, True)
    """
    refuse_unclear(X)
    frame, arm = as_frame(X, arrays=True), read_treatment(arm)
    n = len(frame)
    if arm.shape != (n,):
        raise ValueError(f"arm must have the shape ({n},), got {arm.shape}.")
    arms = np.unique(arm)
    if len(arms) < 2:
        raise ValueError(f"there is one arm only, {arms.tolist()}: nothing to compare.")
    given = [("before", _as_weights(None, n))]
    if weights is not None:
        given.append(("after", _as_weights(weights, n)))
    of_arm = (arm[:, None] == arms).astype(float)
    pairs = list(combinations(range(len(arms)), 2))
    rows = {}
    for name, values in _numbers(frame, max_levels).items():
        mean = _mean_by_arm(values, of_arm, given[0][1])
        distance = (values - of_arm @ np.nan_to_num(mean)) ** 2
        spread = np.sqrt(np.nanmean(_mean_by_arm(distance, of_arm, given[0][1])))
        flat = not spread > _FLAT * max(1.0, np.nanmax(np.abs(mean)))
        rows[name] = {}
        for label, w in given:
            mean = _mean_by_arm(values, of_arm, w)
            apart = np.array([mean[b] - mean[a] for a, b in pairs])
            if flat:  # constant in every arm: alike, or apart beyond any yardstick
                alike = np.abs(apart) <= _FLAT * np.abs(mean).max()
                apart = np.where(alike, 0.0, np.copysign(np.inf, apart))
            else:
                apart = apart / spread
            rows[name][label] = apart[0] if len(pairs) == 1 else np.abs(apart).max()
    return pd.DataFrame.from_dict(rows, orient="index", columns=[g[0] for g in given])


def overlap(propensity, arm, *, arms=None, clip=None):
    """How far every arm is a possibility for all rows.

    Parameters
    ----------
    propensity : array-like of shape (n, n_arms)
        The probability of every arm in each row.
    arm : array-like of shape (n,)
        The arm that each row took.
    arms : array-like of shape (n_arms,), default=None
        The arms, in the order of the columns. None takes the sorted values of ``arm``.
    clip : float, default=None
        The bound that smaller propensities are raised to.

    Returns
    -------
    DataFrame
        By arm: ``rows``; ``smallest``, ``largest`` probability of the arm over all
        rows; ``clipped``, the share of the arm's rows whose probability is at or below
        ``clip``; ``effective_sample_size`` of these rows under the inverse of their
        probabilities.

    See Also
    --------
    balance : Whether weights make the arms alike.
    sklearn_causalrec.plot.OverlapDisplay : The propensities as a picture.

    Examples
    --------
    >>> from sklearn_causalrec.causal import overlap
    >>> overlap([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]], [0, 0, 1])["smallest"].tolist()
    [0.5, 0.1]
    """
    p, arm = matrix(propensity, "propensity"), read_treatment(arm)
    arms = np.unique(arm) if arms is None else read_treatment(arms)
    clip = 0.0 if clip is None else number(clip, "clip", 0, 1)
    if p.shape != (len(arm), len(arms)):
        raise ValueError(
            f"propensity must have {len(arm)} rows, as arm has, and a column for each "
            f"of the arms {arms.tolist()}, got the shape {p.shape}."
        )
    rows = {}
    for name, of_arm in zip(arms, p.T):
        own = of_arm[arm == name]
        raised = np.maximum(own, clip or np.finfo(float).tiny)
        # Relative to the smallest, so that none overflows.
        size = effective_sample_size(raised.min() / raised) if len(own) else 0.0
        rows[name] = {
            "rows": len(own),
            "smallest": of_arm.min(),
            "largest": of_arm.max(),
            "clipped": np.mean(own <= (clip or 0)) if len(own) else np.nan,
            "effective_sample_size": size,
        }
    found = pd.DataFrame.from_dict(rows, orient="index").astype({"rows": int})
    return found.rename_axis("arm")


def influential_rows(influence, k=10, *, index=None):
    """The rows that an estimate depends on most.

    Parameters
    ----------
    influence : array-like of shape (n,)
        The uncentred influence function values, whose mean is the estimate.
    k : int, default=10
        The number of rows to name.
    index : array-like of shape (n,), default=None
        The labels of the rows. None takes their positions.

    Returns
    -------
    DataFrame
        By row, the largest change first: ``influence``; ``change``, how far the
        estimate moves without the row; ``without_all``, the estimate without this row
        and those above it. The models of the nuisances are held fixed.

    See Also
    --------
    refute : Refits on changed data, subsets of the rows among them.

    Examples
    --------
    >>> from sklearn_causalrec.causal import influential_rows
    >>> influential_rows([1, 1, 1, 9], k=1)["change"].tolist()
    [-2.0]
    """
    s = column(influence, "influence")
    if len(s) < 2:
        raise ValueError(
            "influence must be a column of at least two finite numbers, got the shape "
            f"{s.shape}."
        )
    k = whole_number(k, "k")
    if index is not None and (np.ndim(index) != 1 or len(index) != len(s)):
        raise ValueError(f"index is to have a name for each of the {len(s)} rows.")
    if not 1 <= k < len(s):
        raise ValueError(f"k must lie between 1 and {len(s) - 1}, got {k!r}.")
    change = (s.mean() - s) / (len(s) - 1)
    first = np.argsort(-np.abs(change), kind="stable")[:k]
    left = s.sum() - np.cumsum(s[first])
    return pd.DataFrame(
        {
            "influence": s[first],
            "change": change[first],
            "without_all": left / (len(s) - np.arange(1, k + 1)),
        },
        index=first if index is None else np.asarray(index)[first],
    )


def rows_to_overturn(influence, to=0.0):
    """The smallest number of rows without which the estimate reaches the other side.

    Parameters
    ----------
    influence : array-like of shape (n,)
        Uncentred influence function values, whose mean is the estimate.
    to : float
        What the estimate is to reach or pass.

    Returns
    -------
    int
        An estimate that a handful of rows turns round says little about the others
        [1]_. The models of the nuisances are held fixed.

    References
    ----------
    .. [1] T. Broderick, R. Giordano, R. Meager (2020). An automatic finite-sample
       robustness metric: when can dropping a little data make a big difference?
       arXiv:2011.14999.

    Examples
    --------
    >>> from sklearn_causalrec.causal.checks.diagnostics import rows_to_overturn
    >>> rows_to_overturn([-1, -1, 1, 9])
    1
    """
    gap = np.asarray(influence, float) - to
    gap = np.sort(gap if gap.mean() >= 0 else -gap)
    # Without the largest of them, the sum of what is left: at most zero at the end.
    left = np.cumsum(gap)[::-1]
    reached = np.flatnonzero(left <= 0)
    return int(reached[0]) if len(reached) else len(gap)
