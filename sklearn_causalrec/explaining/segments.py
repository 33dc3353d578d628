"""Segments: where the effect differs, by an honest tree, with tests that it does."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.tables import number
from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec.effects.clusters import estimate, outer
from sklearn_causalrec.effects.intervals import Estimate, check_alpha
from sklearn_causalrec.encoding.checks import number as checked_number
from sklearn_causalrec.encoding.checks import several, whole_number
from sklearn_causalrec.encoding.frames import as_frame
from sklearn_causalrec.explaining.model import Model
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.explaining.rules import Readable, leaves_of
from sklearn_causalrec.explaining.words import no_heterogeneity, range_of

_MOST_COLUMNS = 20  # rows for each column of the projection, at least
_N_GROUPS = 4  # of rows sorted by effect


class Segments:
    """Effects by segment, and whether they differ at all.

    ``print`` shows it, a notebook shows it as HTML.

    Parameters
    ----------
    readable : Readable
        The columns that segments are made of.
    tree : DecisionTreeRegressor or None
        The tree. None: all rows are one segment.
    order : ndarray of int or None
        The position in `table` of each node that is a leaf.
    **figures
        The attributes.

    Attributes
    ----------
    table : DataFrame
        A row for each segment, the largest effect first: ``segment``, what it is;
        ``effect``, ``low``, ``high``; ``n``, the rows that these were estimated from;
        and ``share``, the share of the log that is in the segment.
    varies : bool
        Whether heterogeneity was found: whether ``p_value`` is below `alpha`.
    p_value : float
        The smallest p-value of the tests times their number (Bonferroni).
    tests : DataFrame
        The tests: that the segments have the same effect, that no column moves the
        effect linearly, that rows sorted by predicted effect have the same effect.
    average : DataFrame
        The average effect over the log, in one row.
    projection : DataFrame
        The best linear projection of the effect on the columns: what the effect changes
        by a standard deviation more of each, other columns being equal.
    sorted_groups : DataFrame or None
        The average effect of the rows in each quarter by predicted effect (GATES). None
        if one number for all rows predicts effects best.
    classification : DataFrame or None
        By how much the quarters of the largest and of the smallest predicted effects
        differ in each column (CLAN). None if there are no such quarters.
    left_out : list
        Columns that no segment can be made of, such as lists.
    alpha : float
        One minus the level of the intervals.

    See Also
    --------
    sklearn_causalrec.segments : Make segments of a fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import DoCalculusEffect, segments
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(600, 2)), rng.integers(0, 2, 600)
    >>> y = 3 * t * (X[:, 1] > 0) + rng.normal(size=600)
    >>> model = DoCalculusEffect(random_state=0).fit(X, y, treatment=t)
    >>> found = segments(model, X, max_depth=1)
    >>> found.varies, len(found.table)
    (True, 2)
    >>> found.apply(X[:3]).shape
    (3,)
    """

    def __init__(self, readable, tree, order, **figures):
        self._readable, self._tree, self._order = readable, tree, order
        vars(self).update(figures)

    def apply(self, X):
        """Tell the segment of rows.

        Parameters
        ----------
        X : frame or array-like of shape (n, p)
            The rows, with the columns of the log.

        Returns
        -------
        ndarray of int of shape (n,)
            The position of each row's segment in ``table``.
        """
        matrix = self._readable.read(as_frame(X, arrays=True))
        if self._tree is None:
            return np.zeros(len(matrix), int)
        return self._order[self._tree.apply(matrix)]

    def to_report(self):
        """Return it as a report.

        Returns
        -------
        Report
            Verdict, segments, and what they rest on.
        """
        report = Report("Effects by segment")
        report.add("Found", self.verdict())
        report.add("Segments", self.table)
        report.add("Tests", self.tests)
        report.add("By a standard deviation more of", self.projection)
        report.add("Quarters by predicted effect", self.sorted_groups)
        if self.classification is not None:  # each row has units of its own
            report.add(
                "Who is in the first and the last quarter",
                self.classification.map(number),
            )
        if self.left_out:
            report.add("Left out", ", ".join(map(str, self.left_out)))
        return report

    def verdict(self):
        """Say whether the effect differs, and where it is largest and smallest.

        Returns
        -------
        str
            One or two sentences.
        """
        if not self.varies:
            mean = self.average.iloc[0]
            return no_heterogeneity(*mean[["effect", "low", "high"]], self.p_value)
        first, last = self.table.iloc[0], self.table.iloc[-1]
        text = f"The effect differs between rows (p = {self.p_value:.2g})."
        if len(self.table) > 1:
            parts = [
                f"{range_of(*row[['effect', 'low', 'high']])} where {row['segment']}"
                for row in (first, last)
            ]
            text += f" It is {parts[0]}, and {parts[1]}."
        return text

    def __str__(self):
        return str(self.to_report())

    __repr__ = __str__

    def _repr_html_(self):
        return self.to_report()._repr_html_()


def segments(
    fitted: Any,
    X: ArrayLike,
    max_depth: int = 2,
    *,
    columns: list | None = None,
    min_share: float = 0.05,
    alpha: float = 0.05,
    T0: Arm | None = None,
    T1: Arm | None = None,
    random_state: Seed = 0,
) -> Segments:
    r"""Find segments of the log in which the effect differs, and test that it does.

    A shallow tree splits the rows by columns that a person can read. It is honest: one
    half of the rows (whole clusters) decides the splits, the other half estimates the
    effect in each leaf, from the doubly robust scores that ``fit`` kept.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model, a :class:`CausalDNNRecommender` or a :class:`DoCalculusEffect`
        of arms.
    X : frame or array-like of shape (n, p)
        The rows that were given to ``fit``, in their order.
    max_depth : int, default=2
        The depth of the tree: at most ``2 ** max_depth`` segments. With 0 there are no
        splits.
    columns : list, default=None
        The columns that may make segments. With None, all that the effect may depend
        on: no ids, no times of rows, no lists, no categories of more than 20 levels.
    min_share : float, default=0.05
        The least share of the rows in a segment, in either half. It is at least 25 rows
        in any case.
    alpha : float, default=0.05
        One minus the level of the intervals, and the level of the test.
    T0, T1 : scalar, default=None
        The arms, as in :func:`effect`.
    random_state : int, RandomState instance or None, default=0
        The seed that draws the halves.

    Returns
    -------
    Segments
        The segments and the tests. "No heterogeneity found" is an answer.

    Raises
    ------
    ValueError
        If the effect is not identified, there are no scores of arms (doses, an
        instrument, effect_learner="t"), X is not the log, or a column cannot be used.

    See Also
    --------
    explain_effect : What makes the effect of a row, and effects in general, differ.
    decide : Which arm for whom.

    Notes
    -----
    Intervals are for the mean effect of a segment that was given beforehand; those of
    all segments do not hold at once. They count clusters as ``ate_interval`` does. The
    scores come from models that were cross-fitted over all rows, so the halves share
    these models: that is the usual asymptotics of cross-fitting [2]_. The projection is
    that of Semenova and Chernozhukov [1]_, with errors robust to heteroscedasticity
    (HC3) or clusters; quarters by cross-fitted effects and their classification
    analysis follow [3]_, with one cross-fit in place of many splits.

    References
    ----------
    .. [1] Semenova, V. and Chernozhukov, V. (2021). "Debiased machine learning of
       conditional average treatment effects and other causal functions." Econometrics
       Journal 24(2).
    .. [2] Athey, S. and Imbens, G. (2016). "Recursive partitioning for heterogeneous
       causal effects." PNAS 113(27).
    .. [3] Chernozhukov, V., Demirer, M., Duflo, E. and Fernández-Val, I. (2018).
       "Generic machine learning inference on heterogeneous treatment effects in
       randomized experiments." NBER 24678.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_causalrec import DoCalculusEffect, segments
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"age": rng.integers(18, 80, 800), "town": ["a", "b"] * 400})
    >>> mailed = rng.integers(0, 2, 800)
    >>> y = 2.0 * mailed * (X["town"] == "b") + rng.normal(size=800)
    >>> model = DoCalculusEffect(random_state=0)
    >>> model = model.fit(X, y.rename("sales"), treatment=mailed)
    >>> found = segments(model, X, max_depth=1)
    >>> found.table["segment"].tolist(), found.varies
    (['town = b', 'town = a'], True)
    """
    check_alpha(alpha)
    max_depth = whole_number(max_depth, "max_depth", low=0)
    min_share = checked_number(min_share, "min_share", 0, 0.5, open_low=True)
    model = Model(fitted, T0, T1)
    frame, log = model.log(X)
    model.need_parts(frame)
    known = list(frame.columns)
    free = model.features(known)
    if columns is not None:
        columns = several(columns, "columns", free[:2])
        barred = [c for c in columns if c not in free]
        if barred:
            raise ValueError(
                f"columns names {barred[0]!r}, which the effect cannot be split by: it "
                f"has a role, or was not measured before the treatment. Choose of "
                f"{free}."
            )
        free = list(columns)
    readable = Readable(frame, free)
    score, predicted = log.between(*model.positions)
    told = getattr(model.estimator, "effect_varies_", None)
    if told is None or not np.asarray(told)[list(model.positions)].any():
        predicted = None  # constants of folds: their order says nothing
    doubt = float(np.hypot(*log.doubt[list(model.positions)]))

    rng = check_random_state(random_state)
    tree, judges = _tree(readable, log, score, max_depth, min_share, rng)
    grown = readable, log, score, tree, judges
    table, order, honest = _leaves(*grown, alpha, doubt)
    projection, straight = _projection(readable, log, score, alpha)
    groups, classes, ranked = _sorted(readable, log, score, predicted, alpha, doubt)
    tests = {
        "segments have the same effect": honest,
        "no column moves the effect linearly": straight,
        "quarters by predicted effect are alike": ranked,
    }
    tests = {name: p for name, p in tests.items() if p is not None}
    p_value = min([1.0, *(len(tests) * p for p in tests.values())])
    mean = _with_doubt(log.mean(score), doubt)
    return Segments(
        readable,
        tree,
        order,
        table=table,
        varies=bool(p_value < alpha),
        p_value=float(p_value),
        tests=pd.DataFrame({"test": list(tests), "p_value": list(tests.values())}),
        average=_row_of("all", mean, len(score), 1.0, alpha),
        projection=projection,
        sorted_groups=groups,
        classification=classes,
        left_out=readable.left_out,
        alpha=alpha,
    )


def _with_doubt(found, doubt):
    return found._replace(error=float(np.hypot(found.error, doubt)))


def _row_of(segment, found, n, share, alpha):
    low, high = found.interval(alpha)
    row = dict(segment=segment, effect=found.value, low=low, high=high)
    return pd.DataFrame([{**row, "n": n, "share": share}])


def _halves(log, rng):
    """Which rows decide splits: half of them, whole clusters of the first way."""
    n = len(log.scores)
    codes = np.arange(n) if log.clusters is None else log.clusters.codes[:, 0]
    order = rng.permutation(codes.max() + 1)
    size = np.bincount(codes)[order]
    chosen = order[np.cumsum(size) <= n / 2]
    return np.isin(codes, chosen)


def _tree(readable, log, score, max_depth, min_share, rng):
    """A fitted tree, or None, and the rows that did not decide its splits."""
    decides = _halves(log, rng)
    seed = rng.randint(2**31 - 1)
    least = max(25, int(np.ceil(min_share * decides.sum())))
    usable = readable.varied.any() and max_depth > 0 and decides.sum() >= 2 * least
    if not usable or (~decides).sum() < 2 * least:
        return None, np.ones(len(score), bool)
    tree = DecisionTreeRegressor(
        max_depth=max_depth, min_samples_leaf=least, random_state=seed
    ).fit(readable.matrix[decides], score[decides], log.weight[decides])
    if tree.tree_.node_count == 1:
        return None, np.ones(len(score), bool)
    return tree, ~decides


def _leaves(readable, log, score, tree, judges, alpha, doubt):
    """The table of segments, the segment of each node, and the p of their equality."""
    if tree is None:
        found = _with_doubt(log.mean(score), doubt)
        return _row_of("all", found, len(score), 1.0, alpha), None, None
    leaf = tree.apply(readable.matrix)
    half = log.take(judges)
    rows, means, spreads = {}, [], []
    for node, path in leaves_of(tree.tree_).items():
        inside = leaf[judges] == node
        if not inside.any():
            continue
        found = half.mean(score[judges], inside)
        means.append(found.value)
        share = half.weight * inside
        spreads.append(share / share.mean() * (score[judges] - found.value))
        share = log.weight[leaf == node].sum() / log.weight.sum()
        found, n = _with_doubt(found, doubt), int(inside.sum())
        rows[node] = _row_of(readable.rule(path), found, n, share, alpha)
    table = pd.concat(rows.values(), ignore_index=True)
    best = np.argsort(-table["effect"].to_numpy(), kind="stable")
    order = np.zeros(tree.tree_.node_count, int)
    order[np.array(list(rows))[best]] = np.arange(len(best))
    spread = np.column_stack(spreads)
    covariance = outer(spread, half.clusters) / len(spread) ** 2
    gaps = np.diff(np.eye(len(means)), axis=0)
    p = _wald(gaps @ means, gaps @ covariance @ gaps.T, _degrees(half))
    return table.iloc[best].reset_index(drop=True), order, p


def _degrees(log):
    """How many rows, or clusters, errors are made of, less one."""
    n = len(log.scores)
    return (n if log.clusters is None else min(log.clusters.counts)) - 1


def _wald(values, covariance, degrees):
    """The p-value of all values being 0; None where there is none."""
    values = np.asarray(values, float)
    if not len(values) or degrees < 1:
        return None
    inverse = np.linalg.pinv(covariance, hermitian=True)
    rank = np.linalg.matrix_rank(covariance, hermitian=True)
    if rank == 0:
        return None
    free = max(degrees - rank + 1, 1)  # Hotelling's
    statistic = values @ inverse @ values * free / (degrees * rank)
    return float(f_distribution.sf(statistic, rank, free))


def _projection(readable, log, score, alpha):
    """Best linear projection of the scores on the columns, and its joint test."""
    names = ["column", "slope", "low", "high", "p_value"]
    size = _degrees(log) + 1
    take = np.flatnonzero(readable.varied)
    Z = readable.matrix[:, take]
    mean = np.nanmean(Z, axis=0) if len(take) else np.zeros(0)
    Z = np.where(np.isnan(Z), mean, Z)
    Z = (Z - np.average(Z, axis=0, weights=log.weight)) / np.where(
        Z.std(axis=0) > 0, Z.std(axis=0), 1
    )
    keep = _independent(Z)
    take, Z = take[keep], Z[:, keep]
    if not len(take) or size < _MOST_COLUMNS * len(take):
        return pd.DataFrame(columns=names), None
    Z = np.column_stack([np.ones(len(Z)), Z])
    bread = np.linalg.inv(Z.T @ (Z * log.weight[:, None]))
    slope = bread @ Z.T @ (log.weight * score)
    residual = score - Z @ slope
    leverage = np.einsum("ij,jk,ik->i", Z, bread, Z) * log.weight
    if log.clusters is None:
        residual = residual / np.maximum(1 - leverage, 1e-3)  # HC3
    meat = outer(Z * (log.weight * residual)[:, None], log.clusters)
    covariance = bread @ meat @ bread
    degrees = size - Z.shape[1]
    error = np.sqrt(np.maximum(np.diag(covariance), 0))[1:]
    rows = []
    for j, value, sd in zip(take, slope[1:], error):
        low, high = Estimate(value, sd, degrees).interval(alpha)
        p = 2 * t_distribution.sf(abs(value) / sd, degrees) if sd > 0 else 1.0
        rows.append((readable.labels[j], value, low, high, p))
    table = pd.DataFrame(rows, columns=names)
    table = table.iloc[np.argsort(table["p_value"].to_numpy(), kind="stable")]
    p = _wald(slope[1:], covariance[1:, 1:], size - 1)
    return table.reset_index(drop=True), p


def _independent(Z):
    """Columns, from the left, that are no sum of those before."""
    keep, basis = [], np.zeros((len(Z), 0))
    for j, column in enumerate(Z.T):
        rest = column - basis @ (basis.T @ column)
        length = np.linalg.norm(rest)
        if length > 1e-6 * max(np.linalg.norm(column), 1e-12):
            keep.append(j)
            basis = np.column_stack([basis, rest / length])
    return keep


def _sorted(readable, log, score, predicted, alpha, doubt):
    """Quarters by predicted effect, who is in the outer ones, and their test."""
    if predicted is None or np.ptp(predicted) == 0:
        return None, None, None
    edges = np.quantile(predicted, np.linspace(0, 1, _N_GROUPS + 1)[1:-1])
    group = np.searchsorted(np.unique(edges), predicted)
    if len(np.unique(group)) < 2:
        return None, None, None
    rows = []
    for g in np.unique(group)[::-1]:
        found = _with_doubt(log.mean(score, group == g), doubt)
        low, high = found.interval(alpha)
        mine = predicted[group == g].mean()
        rows.append((mine, found.value, low, high, int((group == g).sum())))
    table = pd.DataFrame(rows, columns=["predicted", "effect", "low", "high", "n"])
    first, last = group == group.max(), group == group.min()
    gap = _gap(log, score, first, last)
    p = float(t_distribution.sf(gap.value / gap.error, gap.degrees))
    found = []
    for j in np.flatnonzero(readable.varied):
        values = readable.matrix[:, j]
        there = ~np.isnan(values)
        if not ((first & there).any() and (last & there).any()):
            continue
        values = np.where(there, values, 0.0)
        ends = [log.mean(values, part & there).value for part in (first, last)]
        difference = _gap(log, values, first & there, last & there)
        found.append((readable.labels[j], *ends, *difference.interval(alpha)))
    names = ["column", "largest effects", "smallest effects", "low", "high"]
    return table, pd.DataFrame(found, columns=names), p


def _gap(log, values, first, last):
    """Difference of the means of values over two groups of rows, an `Estimate`."""
    spread = np.zeros(len(values))
    means = []
    for part, sign in ((first, 1.0), (last, -1.0)):
        share = log.weight * part
        mean = np.average(values[part], weights=log.weight[part])
        spread += sign * share / share.mean() * (values - mean) * part
        means.append(mean)
    return estimate(float(means[0] - means[1]), spread, log.clusters)
