"""From effects to decisions: which arm for whom, and what that gains."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.tables import like_interval, number
from sklearn_causalrec._utils.typing import Arm
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.clusters import estimate
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.arms import arm_position
from sklearn_causalrec.encoding.checks import number as checked_number
from sklearn_causalrec.encoding.checks import refuse_large, several, whole_number
from sklearn_causalrec.encoding.frames import refuse_unclear
from sklearn_causalrec.encoding.kinds import short
from sklearn_causalrec.explaining.allocation import allocate
from sklearn_causalrec.explaining.model import Model
from sklearn_causalrec.explaining.policy_tree import grow
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.explaining.rules import Readable

_FEW = 20  # rows of an arm below which all rows speak for it


class Decision:
    """Arms for rows, with what they gain and cost.

    ``print`` shows it, a notebook shows it as HTML.

    Parameters
    ----------
    **figures
        The attributes.

    Attributes
    ----------
    arm : ndarray of shape (n,)
        The arm of each row.
    table : DataFrame
        A row for each arm: the ``arm``, the number of rows ``n``, their mean predicted
        ``effect``, the total ``cost``, and the total net ``gain`` that is predicted.
    predicted_gain : float
        The total net gain by predicted effects, against the control for all rows. It is
        too large as a rule: rows were chosen for a large prediction.
    gain : float
        The total net gain, corrected for that by the scores of the log.
    interval : tuple of float or None
        The bounds of ``gain``. None where the model keeps no scores of the log.
    cost : float
        The total cost.
    budget : float or None
        The largest total cost that was allowed.
    price : float
        What one more unit of budget would gain, about; 0 if the budget does not bind.
    gap : float
        By how much another choice within the budget could gain more by prediction, at
        most. 0: this is the best one.
    off_policy : DataFrame or None
        What the rule gains a row of the log, net and against the control, by the log's
        own scores, and what other rules gain: every arm for everyone, and the tree.
        None where the model keeps no scores, or costs and margins differ by row and X
        is not the log.
    tree : PolicyTree or None
        A rule of at most three conditions each that a person can audit, beside the
        choice row by row. None with ``tree_depth=0``.
    effects : DataFrame of shape (n, n_arms)
        The predicted effects against the control.

    See Also
    --------
    sklearn_causalrec.decide : Choose arms by a fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import DoCalculusEffect, decide
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(600, 2)), rng.integers(0, 2, 600)
    >>> y = 3 * t * X[:, 1] + rng.normal(size=600)
    >>> model = DoCalculusEffect(random_state=0).fit(X, y, treatment=t)
    >>> found = decide(model, X, cost=1.0, budget=100.0)
    >>> found.cost, found.table["n"].tolist()
    (100.0, [500, 100])
    """

    def __init__(self, **figures):
        vars(self).update(figures)

    def to_report(self):
        """Return it as a report.

        Returns
        -------
        Report
            What is gained, by arm, the tree, and what the log says of it.
        """
        report = Report("Decisions")
        report.add("Found", self.sentence())
        report.add("By arm", self.table)
        if self.tree is not None:
            report.add("A rule to audit", self.tree.table)
        report.add("Gain a row of the log, against the control", self.off_policy)
        return report

    def sentence(self):
        """Say how many rows get what, what it costs and what it gains.

        Returns
        -------
        str
            Two or three sentences.
        """
        by_arm = zip(self.table["arm"], self.table["n"])
        parts = [f"{arm} for {number(int(n))}" for arm, n in by_arm]
        text = f"Of {number(len(self.arm))} rows: {', '.join(parts)}. "
        text += f"Cost {number(self.cost)}, net gain "
        if self.interval is None:
            text += number(float(self.gain), 3)
        else:
            low, high = self.interval
            gain, low, high = like_interval(self.gain, low=low, high=high)
            text += f"{gain} ({low} to {high})"
        text += " against the control for all."
        if self.price > 0:
            price = number(float(self.price), 2)
            text += f" One more unit of budget would gain {price}."
        if self.gap > 0:
            gap = number(float(self.gap), 2)
            text += f" At most {gap} more is possible in this budget."
        return text

    def __str__(self):
        return str(self.to_report())

    __repr__ = __str__

    def _repr_html_(self):
        return self.to_report()._repr_html_()


def decide(
    fitted: Any,
    X: ArrayLike,
    cost: float | Mapping | ArrayLike = 0.0,
    margin: float | Mapping | ArrayLike = 1.0,
    budget: float | None = None,
    *,
    tree_depth: int = 2,
    columns: list | None = None,
    alpha: float = 0.05,
    control: Arm | None = None,
) -> Decision:
    r"""Choose an arm for each row by effects, costs and a budget.

    The gain of an arm is the margin times its effect against the control, less its
    cost. The arms are those with the largest total gain whose costs fit the budget.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model, whose effects are identified.
    X : frame or array-like of shape (n, p)
        The rows to decide on.
    cost : float, dict or array-like of shape (n,) or (n, n_arms), default=0.0
        What an arm costs. A number, or one a row, is for every arm but the control,
        which costs nothing. A dict has arm: cost, and arms it lacks cost nothing. An
        array of shape (n, n_arms) is in the order of the model's ``arms_``.
    margin : float, dict or array-like of shape (n,) or (n, n_arms), default=1.0
        What a unit of the outcome is worth: the profit of a sale, say. It is given as
        `cost` is; arms that a dict lacks have the margin 1.
    budget : float, default=None
        The largest total cost. With None there is no limit.
    tree_depth : int, default=2
        The depth of the tree beside the choice, 0 to 3. With 0 there is none.
    columns : list, default=None
        The columns that the tree may use. With None, all that the effect may depend on
        and a person can read.
    alpha : float, default=0.05
        One minus the level of the intervals.
    control : scalar, default=None
        The arm that effects are against. With None, ``control_`` of the model.

    Returns
    -------
    Decision
        The arms, their gain with its interval, the value of the rule in the log, and a
        tree.

    Raises
    ------
    ValueError
        If the effect is not identified, the treatment has doses, a cost is negative or
        no number, or the budget is below the least possible cost.

    See Also
    --------
    sklearn_causalrec.metrics.policy_value : The value of any policy from a log.
    sklearn_causalrec.ranking.rerank : Choose whole lists under constraints.
    segments : Where the effect differs.

    Notes
    -----
    Rows are chosen for large predicted effects, so the predictions of those chosen are
    too large on average. ``off_policy`` applies the rule, with the price of the budget,
    to the log by cross-fitted effects and averages the doubly robust scores: rows do
    not choose their own arm. If X is the log, ``gain`` is this value times the number
    of rows. It is that of a rule from a part of the rows, so a little too small.

    For other rows, ``gain`` is the prediction plus the mean difference of scores to
    cross-fitted effects, halfway between that of all rows of the log, which does not
    count the choice, and that of the rows which the rule would choose, which counts it
    too much. The interval reaches over those of both. It holds for rows like those of
    the log. Where costs or margins differ by row, the difference is that of all rows.
    Intervals count clusters.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_causalrec import DoCalculusEffect, decide
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"visits": rng.integers(0, 10, 800)})
    >>> mailed = rng.integers(0, 2, 800)
    >>> y = 0.5 * mailed * (X["visits"] > 4) + rng.normal(size=800)
    >>> model = DoCalculusEffect(random_state=0)
    >>> model = model.fit(X, y.rename("sales"), treatment=mailed)
    >>> found = decide(model, X, cost=1.0, margin=6.0, tree_depth=1)
    >>> found.tree.table[["rule", "arm"]].values.tolist()
    [['visits ≤ 4.5', 0], ['visits > 4.5', 1]]
    """
    check_alpha(alpha)
    tree_depth = whole_number(tree_depth, "tree_depth", low=0, high=3)
    if budget is not None:
        budget = checked_number(budget, "budget", 0)
    model = Model(fitted, *_first_pair(fitted, control))
    model.need_effect()
    if not model.arms:
        raise ValueError(
            "decide chooses between arms, and this treatment has doses: bin it, for "
            "instance with KBinsDiscretizer."
        )
    frame = model.frame(X)
    control = model.pair[0] if control is None else control
    first = model.positions_of(control)
    effects = _effects(model, frame, first)
    n, n_arms = effects.shape
    costs = _by_arm(cost, "cost", model, first, n, absent=0.0, control_is=0.0)
    margins = _by_arm(margin, "margin", model, first, n, absent=1.0, control_is=1.0)
    if (costs < 0).any():
        raise ValueError("cost is negative in some row: what an arm saves is a margin.")
    if budget is not None and not costs.any():
        raise ValueError("budget limits the total cost, and no arm costs: pass cost=.")
    gains = margins * effects
    net = gains - costs
    net -= net[:, [first]]
    found = allocate(net, costs, budget)
    rows = np.arange(n)
    free = model.features(list(frame.columns))
    if columns is not None:
        columns = several(columns, "columns", free[:2])
        strange = [c for c in columns if c not in list(frame.columns)]
        if strange:
            raise ValueError(
                f"columns names {short(strange[0])}, which is no column of X: choose "
                f"of {free}."
            )
        free = columns
    readable = Readable(frame, free)
    tree = None
    if tree_depth:
        options = dict(max_depth=tree_depth, price=found.price, cost=costs)
        tree = grow(readable, net, model.arms, **options)

    judged = _Judged(model, X, frame, first, costs, margins, found)
    corrected, interval = judged.gain(net, margins, alpha)
    labels = np.empty(n, object)
    labels[:] = [model.arms[a] for a in found.arm]
    table = [
        (
            model.arms[a],
            int((found.arm == a).sum()),
            float(effects[found.arm == a, a].mean()) if (found.arm == a).any() else 0.0,
            float(costs[found.arm == a, a].sum()),
            float(net[found.arm == a, a].sum()),
        )
        for a in [first, *(a for a in range(n_arms) if a != first)]
    ]
    return Decision(
        arm=labels.astype(np.array(model.arms).dtype)
        if not isinstance(model.arms[0], tuple)
        else labels,
        table=pd.DataFrame(table, columns=["arm", "n", "effect", "cost", "gain"]),
        predicted_gain=float(net[rows, found.arm].sum()),
        gain=corrected,
        interval=interval,
        cost=float(costs[rows, found.arm].sum()),
        budget=budget,
        price=found.price,
        gap=found.gap,
        off_policy=judged.table(tree, alpha),
        tree=tree,
        effects=pd.DataFrame(effects, columns=model.arms),
    )


def _first_pair(fitted, control):
    """Arms to name, so that the model is asked without an ambiguity."""
    estimator = unwrap(fitted)[1]
    arms = getattr(estimator, "arms_", ())
    known = getattr(estimator, "control_", None) if control is None else control
    if len(arms) < 2 or known is None:
        return None, control  # the estimator says what is lacking
    arms = arms.tolist() if isinstance(arms, np.ndarray) else arms
    place = arm_position(known, arms, "control")
    return known, arms[int(place == 0)]


def _effects(model, frame, first):
    """Effects of all arms against the control, (n, n_arms)."""
    rows = model.transform(model.given(frame))
    out = np.zeros((len(frame), len(model.arms)))
    for a, arm in enumerate(model.arms):
        if a != first:
            out[:, a] = model.estimator.effect(rows, T0=model.arms[first], T1=arm)
    return out


def _floats(value, name):
    if not isinstance(value, Real):
        refuse_unclear(value, name)
    try:
        if np.iscomplexobj(value):  # numpy drops what is imaginary
            raise TypeError
        return np.asarray(value, float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is {short(value)}: numbers are needed.") from None


def _by_arm(value, name, model, first, n, absent, control_is):
    """A cost or a margin as an array (n, n_arms)."""
    n_arms = len(model.arms)
    out = np.full((n, n_arms), control_is)
    others = [a for a in range(n_arms) if a != first]
    if isinstance(value, Mapping):
        out[:] = absent
        for arm, one in value.items():
            place = model.positions_of(arm)
            out[:, place] = _floats(one, name)
    elif isinstance(value, Real):
        out[:, others] = float(value)
    else:
        value = _floats(value, name)
        if value.shape == (n,):
            out[:, others] = value[:, None]
        elif value.shape == (n, n_arms):
            out[:] = value
        else:
            raise ValueError(
                f"{name} has the shape {value.shape}: pass a number, a dict by arm, "
                f"one a row, ({n},), or one a row and arm, ({n}, {n_arms})."
            )
    if not np.isfinite(out).all():
        raise ValueError(f"{name} holds a value that is no finite number.")
    return refuse_large(out, name)


class _Judged:
    """What the scores of the log say of a rule."""

    def __init__(self, model, X, frame, first, costs, margins, found):
        self.model, self.first, self.found = model, first, found
        self.log = self.frame = None
        try:
            self.log = model.estimator._log_scores()
        except (AttributeError, ValueError):
            return
        try:
            self.frame = model.log(X)[0]
        except ValueError:  # other rows than those of the log
            pass
        self.costs, self.margins = self._of_log(costs), self._of_log(margins)

    def _of_log(self, values):
        """Costs or margins of the rows of the log, or None."""
        if (values == values[:1]).all():
            return np.broadcast_to(values[:1], self.log.scores.shape)
        if self.frame is None:
            return None
        kept = self.log.kept
        return values if kept is None else values[kept]

    def _against(self, values):
        return values - values[:, [self.first]]

    def _rule(self):
        """The arm of each row of the log by cross-fitted effects and the price."""
        if self.costs is None or self.margins is None or self.log.fitted is None:
            return None
        net = self.margins * self._against(self.log.fitted) - self.costs
        return (net - self.found.price * self.costs).argmax(axis=1)

    def gain(self, net, margins, alpha):
        """The total gain, corrected for the choice, and its bounds."""
        predicted = float(net[np.arange(len(net)), self.found.arm].sum())
        if self.log is None or self.log.fitted is None:
            return predicted, None
        rule = self._rule()
        if self.frame is not None and rule is not None:
            found = self._value(rule)
            low, high = (len(net) * end for end in found.interval(alpha))
            return float(len(net) * found.value), (float(low), float(high))
        everyone = np.ones(len(self.log.scores), bool)
        whole = self._corrected(predicted, margins, [everyone] * net.shape[1])
        if rule is None:
            low, high = whole.interval(alpha)
            return float(whole.value), (float(low), float(high))
        # Residuals where the cross-fitted rule chooses are too low: a rule of fewer
        # rows is chosen by more noise. Those of all rows do not count the choice.
        inside = [rule == a for a in range(net.shape[1])]
        chosen = self._corrected(predicted, margins, inside)
        ends = [found.interval(alpha) for found in (whole, chosen)]
        low, high = min(e[0] for e in ends), max(e[1] for e in ends)
        return (whole.value + chosen.value) / 2, (float(low), float(high))

    def _corrected(self, predicted, margins, inside):
        """A predicted gain with the mean residuals of some rows of the log."""
        arm, first = self.found.arm, self.first
        rest = self._against(self.log.scores) - self._against(self.log.fitted)
        total, spread, doubt = predicted, np.zeros(len(rest)), 0.0
        for a, part in enumerate(inside):
            mass = float(margins[arm == a, a].sum())
            if a == first or not mass:
                continue
            if part.sum() < _FEW:
                part = np.ones(len(rest), bool)
            share = self.log.weight * part
            mean = np.average(rest[part, a], weights=self.log.weight[part])
            total += mass * mean
            spread += mass * share / share.mean() * (rest[:, a] - mean)
            doubt += abs(mass) * np.hypot(*self.log.doubt[[a, first]])
        found = estimate(float(total), spread, self.log.clusters)
        return found._replace(error=float(np.hypot(found.error, doubt)))

    def _value(self, arm):
        """The net gain a row of the log by the arms of a rule, an `Estimate`."""
        rows = np.arange(len(arm))
        score = self.margins * self._against(self.log.scores)
        score = score - self._against(self.costs)
        found = self.log.mean(score[rows, arm])
        doubt = sum(
            abs(np.average(self.margins[:, a] * (arm == a), weights=self.log.weight))
            * np.hypot(*self.log.doubt[[a, self.first]])
            for a in range(score.shape[1])
            if a != self.first
        )
        return found._replace(error=float(np.hypot(found.error, doubt)))

    def table(self, tree, alpha):
        """Net gain a row of the log by several rules, with bounds; or None."""
        if self.log is None or self.costs is None or self.margins is None:
            return None
        n = len(self.log.scores)
        rules = {}
        if self._rule() is not None:
            rules["this rule"] = self._rule()
        if tree is not None and self.frame is not None:
            rules["the tree"] = tree.codes(self.frame)
        for a, arm in enumerate(self.model.arms):
            if a != self.first:
                rules[f"{arm} for everyone"] = np.full(n, a)
        rows = []
        for name, arm in rules.items():
            found = self._value(arm)
            treated = np.average(arm != self.first, weights=self.log.weight)
            rows.append((name, found.value, *found.interval(alpha), treated))
        names = ["rule", "gain", "low", "high", "share treated"]
        return pd.DataFrame(rows, columns=names)
