"""What makes effects differ, and what makes up the effect of one row."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.tables import number
from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.checks import whole_number
from sklearn_causalrec.encoding.cluster_columns import given_clusters
from sklearn_causalrec.explaining.model import Model
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.explaining.shapley import shapley

_MOST_ROWS = 2000  # rows that importances are averaged over


class EffectExplanation:
    """What an effect, and an outcome, are made of.

    ``print`` shows it, a notebook shows it as HTML.

    Parameters
    ----------
    **figures
        The attributes.

    Attributes
    ----------
    effect : DataFrame of shape (n, n_groups) or None
        What each group adds to the effect of each row. The sum over the groups is the
        effect of the row less ``baseline["effect"]``. None if no effect is identified.
    outcome : DataFrame of shape (n, n_groups)
        The same for the outcome if the arm of interest is taken.
    values : DataFrame of shape (n, 2)
        The effect and the outcome of each row, in the columns of these names.
    baseline : Series
        The mean effect and the mean outcome over the background.
    importance : DataFrame or None
        A row for each group, the most important first: ``group``; ``effect``, the share
        of the variance of the effects that goes when the group is drawn from another
        row, with ``low`` and ``high``; and ``outcome``, that of the outcomes. Shares of
        groups that act together sum to more than 1. None for fewer than two rows.
    varies : bool
        Whether the predicted effects differ between rows at all.
    groups : dict of str to list
        The columns of each group.
    refusal : str
        Why there is no effect; empty where there is one.

    See Also
    --------
    sklearn_causalrec.explain_effect : Explain the effects of a fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import DoCalculusEffect, explain_effect
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(600, 2)), rng.integers(0, 2, 600)
    >>> y = X[:, 0] + 2 * t * X[:, 1] + 0.1 * rng.normal(size=600)
    >>> model = DoCalculusEffect(random_state=0, cv=2).fit(X, y, treatment=t)
    >>> found = explain_effect(model, X[:2], background=X)
    >>> whole = found.effect.sum(axis=1) + found.baseline["effect"]
    >>> bool(np.allclose(whole, model.effect(X[:2])))
    True
    """

    def __init__(self, **figures):
        vars(self).update(figures)

    def to_report(self):
        """Return it as a report.

        Returns
        -------
        Report
            Importances, and the contributions of the first rows.
        """
        report = Report("What the effect depends on")
        report.add("Effect", self.refusal)
        if self.effect is not None and not self.varies:
            report.add("Effect", "The predicted effect is the same for all rows.")
        report.add("Importance, as a share of the variance", self.importance)
        for name in ("effect", "outcome"):
            table = getattr(self, name)
            if table is None or table.empty:
                continue
            shown = table.head(10).copy()
            shown.insert(0, "average", self.baseline[name])
            shown[f"{name} of the row"] = self.values[name]
            report.add(f"Contributions to the {name}", shown)
        return report

    def __str__(self):
        return str(self.to_report())

    __repr__ = __str__

    def _repr_html_(self):
        return self.to_report()._repr_html_()

    def why(self, row=0, of="effect", n=2):
        """Name the groups that add most to one row, in the direction of its difference.

        Parameters
        ----------
        row : int, default=0
            The position of the row.
        of : {"effect", "outcome"}, default="effect"
            What they add to.
        n : int, default=2
            The largest number of groups.

        Returns
        -------
        list of str
            The largest contribution first.
        """
        parts = getattr(self, of).iloc[row]
        parts = parts * np.sign(parts.sum())
        parts = parts[parts > 0].sort_values(ascending=False, kind="stable")
        return parts.index[:n].tolist()

    def sentence(self, row=0):
        """Say what the effect of a row is made of.

        Parameters
        ----------
        row : int, default=0
            The position of the row.

        Returns
        -------
        str
            One sentence.
        """
        of = "outcome" if self.effect is None else "effect"
        value, mean = self.values[of].iloc[row], self.baseline[of]
        parts = getattr(self, of).iloc[row]
        parts = parts.reindex(parts.abs().sort_values(ascending=False).index)[:3]
        told = ", ".join(f"{g} {number(float(v), 2)}" for g, v in parts.items())
        return (
            f"The {of} is {number(float(value), 3)}, on average "
            f"{number(float(mean), 3)}: {told}."
        )


class MixedFrames:
    """Rows of a frame, some of whose groups of columns come from other rows.

    Parameters
    ----------
    frame, background : DataFrame
        The rows, and those to mix with.
    groups : list of list of columns
        What is taken together. Columns in no group stay those of the row.
    outputs : list of callable
        Each returns a number for each row of a frame.
    """

    def __init__(self, frame, background, groups, outputs):
        self.n, self.outputs = len(frame), outputs
        whole = pd.concat([frame, background[frame.columns]], ignore_index=True)
        self.columns = {c: whole[c].array for c in frame.columns}
        self.place = {c: g for g, named in enumerate(groups) for c in named}

    def __call__(self, row, back, inside):
        mixed = {}
        for name, values in self.columns.items():
            at = row
            if name in self.place:
                mine = inside[:, self.place[name]]
                at = np.where(mine, row, self.n + back)
            mixed[name] = values.take(at)
        mixed = pd.DataFrame(mixed, copy=False)
        return np.column_stack([output(mixed) for output in self.outputs])


def explain_effect(
    fitted: Any,
    X: ArrayLike,
    *,
    background: ArrayLike | None = None,
    groups: str | dict = "group",
    n_background: int = 20,
    n_repeats: int = 5,
    alpha: float = 0.05,
    T0: Arm | None = None,
    T1: Arm | None = None,
    random_state: Seed = 0,
) -> EffectExplanation:
    """Explain effects: what makes them differ, and what the effect of a row is made of.

    It works through any pipeline: the columns are those that go in. What is explained
    is the fitted model. That a column is important for the effect does not say that
    changing the column would change the effect.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model. Models without effects, and logs of one arm, are explained by
        their outcome alone.
    X : frame or array-like of shape (n, p)
        The rows to explain.
    background : frame or array-like of shape (m, p), default=None
        Rows of the log: what rows are compared with, and what importances are averaged
        over. With None, they are the rows of X, of which there must be two or more.
    groups : {"group", "column"} or dict, default="group"
        What counts together. "group" joins the columns that tell of the user, of the
        item, of the context and of the history, and the towers of the networks, such as
        text; where no columns have such roles, each column is alone. "column" leaves
        each column alone. A dict names groups, as group: list of columns.
    n_background : int, default=20
        The number of rows that each row is compared with, drawn from the background.
    n_repeats : int, default=5
        How often each group is shuffled for the importances. With 0 there are none.
    alpha : float, default=0.05
        One minus the level of the intervals of importances.
    T0, T1 : scalar, default=None
        The arms, as in :func:`effect`. T1 is the arm of the outcome, too.
    random_state : int, RandomState instance or None, default=0
        The seed of the rows and shuffles that are drawn.

    Returns
    -------
    EffectExplanation
        Importances, and contributions that add up.

    Raises
    ------
    ValueError
        If one row came without a background, or a group names a column that the model
        does not read.

    See Also
    --------
    segments : Where the effect differs, from the outcomes of the log.
    reasons : A sentence for each recommended pair.
    sklearn_causalrec.EffectRegressor : The effect for scikit-learn's own inspection.

    Notes
    -----
    Contributions are Shapley values over groups [1]_: exact up to 8 groups, and beyond
    that means over random orders, which add up as well. A group's values are taken from
    the row or from a row of the background, whatever the other groups are: user and
    item ids go with the features of the user and of the item, so that no mixed rows
    arise within a group.

    The importance of a group is its total Sobol index [2]_ where groups are
    independent: half the mean squared change of the effect when the group comes from
    another row, over the variance. Its interval counts which rows are averaged over
    (whole users, where users are named), not that the model was estimated.

    A row costs ``n_background * 2 ** n_groups`` predictions.

    References
    ----------
    .. [1] Lundberg, S. and Lee, S.-I. (2017). "A unified approach to interpreting model
       predictions." NeurIPS.
    .. [2] Sobol, I. (2001). "Global sensitivity indices for nonlinear mathematical
       models and their Monte Carlo estimates." Mathematics and Computers in Simulation
       55.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_causalrec import DoCalculusEffect, explain_effect
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(600, 2)), columns=["age", "income"])
    >>> t = rng.integers(0, 2, 600)
    >>> y = 5 * X["age"] + 2 * t * X["income"] + 0.1 * rng.normal(size=600)
    >>> model = DoCalculusEffect(random_state=0, cv=2)
    >>> model = model.fit(X, y.rename("sales"), treatment=t)

    The outcome depends on age above all, its effect on income:

    >>> found = explain_effect(model, X.head(3), background=X)
    >>> found.importance["group"].tolist()
    ['income', 'age']
    >>> found.importance["effect"].round(1).tolist()
    [1.0, 0.0]
    """
    check_alpha(alpha)
    n_background = whole_number(n_background, "n_background")
    n_repeats = whole_number(n_repeats, "n_repeats", low=0)
    rng = check_random_state(random_state)
    model = Model(fitted, T0, T1)
    frame = model.frame(X)
    population = frame if background is None else model.frame(background)
    if background is None and len(frame) < 2:
        raise ValueError(
            "One row is explained by what it differs in from others: pass rows of the "
            "log, background=."
        )
    lacking = [c for c in frame.columns if c not in population.columns]
    if lacking:
        raise ValueError(f"background lacks the columns {lacking} of X.")
    if not (groups in ("group", "column") if isinstance(groups, str) else True):
        raise ValueError(f'groups is {groups!r}: "group", "column" or a dict.')
    named = model.groups(list(frame.columns), groups)
    outputs = {
        name: ask for name, ask in model.outputs().items() if ask(frame[:1]) is not None
    }
    drawn = np.arange(len(population))
    if len(drawn) > n_background:
        drawn = np.sort(rng.choice(drawn, n_background, replace=False))
    mixed = MixedFrames(
        frame, population.iloc[drawn], list(named.values()), list(outputs.values())
    )
    size = len(frame), len(drawn), len(named)
    baseline, values, parts = shapley(mixed, *size, rng)
    tables = {
        name: pd.DataFrame(parts[:, :, k], columns=list(named))
        for k, name in enumerate(outputs)
    }
    importance, varies = None, "effect" in outputs
    if len(population) > 1 and n_repeats:
        importance, spread = _importance(
            model, population, named, outputs, n_repeats, alpha, rng
        )
        varies = spread.get("effect", 0.0) > 0
    elif varies:
        varies = bool(np.ptp(values[:, list(outputs).index("effect")]) > 0)
    return EffectExplanation(
        effect=tables.get("effect"),
        outcome=tables.get("outcome"),
        values=pd.DataFrame(values, columns=list(outputs)),
        baseline=pd.Series(baseline, index=list(outputs)),
        importance=importance,
        varies=varies,
        groups=named,
        refusal="" if model.refusal is None else str(model.refusal),
    )


def _importance(model, population, named, outputs, n_repeats, alpha, rng):
    """Shares of the variance of the outputs that go with each group, by shuffling."""
    rows = np.arange(len(population))
    if len(rows) > _MOST_ROWS:
        rows = np.sort(rng.choice(rows, _MOST_ROWS, replace=False))
    population = population.iloc[rows].reset_index(drop=True)
    n = len(population)
    clusters = given_clusters(model.clusters_in(population), n)
    mixed = MixedFrames(
        population, population, list(named.values()), list(outputs.values())
    )
    row, none = np.arange(n), np.zeros((n, len(named)), bool)
    whole = mixed(row, row, ~none)
    squares = np.zeros((len(named), n, len(outputs)))
    for _ in range(n_repeats):
        # A shift of a shuffled order: no row keeps its own values.
        order = rng.permutation(n)
        other = np.empty(n, int)
        other[order] = np.roll(order, 1)
        for g in range(len(named)):
            inside = ~none
            inside[:, g] = False
            change = mixed(row, other, inside) - whole
            squares[g] += change**2 / (2 * n_repeats)
    spread = dict(zip(outputs, whole.var(axis=0)))
    tiny = {k: v <= (1e-6 * np.abs(whole[:, j]).max()) ** 2
            for j, (k, v) in enumerate(spread.items())}  # fmt: skip
    spread = {k: 0.0 if tiny[k] else v for k, v in spread.items()}
    table = pd.DataFrame({"group": list(named)})
    for k, name in enumerate(outputs):
        if spread[name] == 0:
            table[name] = 0.0
            continue
        apart = (whole[:, k] - whole[:, k].mean()) ** 2 / spread[name]
        found = []
        for square in squares[:, :, k] / spread[name]:
            share = square.mean()
            one = estimate(share, square - share * apart, clusters)
            low, high = one.interval(alpha)
            found.append((share, max(low, 0.0), high))
        table[name] = [f[0] for f in found]
        if name == "effect":
            table["low"], table["high"] = [f[1] for f in found], [f[2] for f in found]
    first = "effect" if "effect" in outputs else "outcome"
    table = table.sort_values(first, ascending=False, kind="stable")
    return table.reset_index(drop=True), spread
