"""What a report of a fitted model says, section by section."""

from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from sklearn_causalrec._utils.tables import number
from sklearn_causalrec._utils.typing import Arm, Seed
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.effects.overlap import at_the_clip, least_of_arms, told_clip
from sklearn_causalrec.encoding.checks import text
from sklearn_causalrec.explaining.drawing import histograms, intervals
from sklearn_causalrec.explaining.model import Model
from sklearn_causalrec.explaining.page import Page, Picture, counted, versions
from sklearn_causalrec.explaining.report_sections import (
    has_scores,
    importances_section,
    lists_section,
    segments_section,
)
from sklearn_causalrec.explaining.summary import (
    checked,
    estimates,
    graph_line,
    log_checks,
    log_overturns,
    overturns,
    plain_sentence,
)


def report(
    fitted: Any,
    X: ArrayLike | None = None,
    y: ArrayLike | None = None,
    path: str | PathLike | None = None,
    *,
    lists: pd.DataFrame | None = None,
    title: str | None = None,
    alpha: float = 0.05,
    T0: Arm | None = None,
    T1: Arm | None = None,
    random_state: Seed = 0,
) -> Page:
    """Make one report of a fitted model: a page that anybody can read.

    It says the question, what was found with its interval, what the log can and cannot
    say, in which segments effects differ, what they depend on, lists and what they are
    worth, what was checked, and what would overturn the finding.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model, a :class:`CausalDNNRecommender` or a
        :class:`DoCalculusEffect`.
    X : frame or array-like of shape (n, p), default=None
        The rows that were given to ``fit``, in their order. With None there are no
        segments and no importances.
    y : array-like of shape (n,), default=None
        The outcomes that were given to ``fit``. If they have a name, that is what the
        report calls the outcome.
    path : str or path, default=None
        The file to write. With None, none is written.
    lists : DataFrame, default=None
        Lists to show with their reasons, as :func:`recommend` returns them. With None,
        those of a few users are made, where that needs nothing but the log.
    title : str, default=None
        The title. With None, the question.
    alpha : float, default=0.05
        One minus the level of the intervals.
    T0, T1 : scalar, default=None
        The arms that segments, importances and lists are about, as in :func:`effect`.
        Of more than two arms, T1 is by default the one with the largest average effect.
    random_state : int, RandomState instance or None, default=0
        The seed of segments and importances.

    Returns
    -------
    Page
        The report. ``to_html`` is one self-contained page, without scripts, that can be
        printed; ``to_dict`` and ``to_json`` are its figures.

    Raises
    ------
    ValueError
        If X is not the log.
    TypeError
        If `fitted` is another estimator.

    See Also
    --------
    segments : The segments alone.
    explain_effect : Importances and contributions.
    decide : From effects to decisions.
    DoCalculusEffect.summary : The same facts in a terminal.

    Notes
    -----
    All that came from data is escaped. The page asks for nothing from the network, and
    its content policy forbids it.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_causalrec import DoCalculusEffect, report
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"age": rng.normal(size=500), "mailed": [0, 1] * 250})
    >>> y = pd.Series(X["age"] + 2 * X["mailed"] + rng.normal(size=500), name="sales")
    >>> model = DoCalculusEffect(treatment="mailed", random_state=0).fit(X, y)
    >>> page = report(model, X, y)
    >>> print(page.answer[:38])
    mailed = 1 instead of 0 raises sales b
    >>> "<script" in page.to_html()
    False
    """
    check_alpha(alpha)
    model = Model(fitted, *_main_pair(fitted, T0, T1))
    if not any(hasattr(model.estimator, name) for name in ("strategy_", "overlap_")):
        raise TypeError(
            f"report is about a CausalDNNRecommender or a DoCalculusEffect, and this "
            f"is a {type(model.estimator).__name__}."
        )
    check_random_state(random_state)  # or a section would tell it as its refusal
    outcome = getattr(y, "name", None)
    outcome = model.name if outcome is None else str(outcome)
    page = Page(
        _question(model, outcome) if text(title, "title") is None else title,
        plain_sentence(model.estimator, alpha, outcome),
    )
    page.figures["alpha"] = alpha
    known = X is not None
    if known and model.refusal is None and has_scores(model):
        model.log(X)  # refuses other rows before any work
    _found(page, model, outcome, alpha)
    _log(page, model, X)
    if known and model.refusal is None and has_scores(model):
        segments_section(page, model, X, alpha, random_state)
    if known:
        importances_section(page, model, X, alpha, random_state)
    lists_section(page, model, X, lists, alpha)
    _doubts(page, model, alpha)
    _data(page, model, X)
    if path is not None:
        page.save(path)
    return page


def _main_pair(fitted, T0, T1):
    """The arms that a report is about: of many, the one that changes most."""
    estimator = unwrap(fitted)[1]
    arms = list(getattr(estimator, "arms_", ()))
    control = getattr(estimator, "control_", None) if T0 is None else T0
    if T1 is not None or len(arms) < 3 or control is None:
        return T0, T1
    others = [arm for arm in arms if arm != control]
    try:
        size = [abs(estimator.ate(T0=control, T1=arm)) for arm in others]
    except ValueError:
        return control, others[0]
    return control, others[int(np.argmax(size))]


def _question(model, outcome):
    names = ", ".join(map(str, getattr(model.estimator, "treatment_names_", ())))
    if model.refusal is not None:
        return f"What happens to {outcome} if it is shown?"
    if names:
        return f"What does {names} change in {outcome}?"
    return f"What does showing change in {outcome}?"


def _found(page, model, outcome, alpha):
    """The average effects, as a picture and a table."""
    estimator = model.estimator
    if model.refusal is not None:
        page.add("What was found", str(model.refusal), identified=False)
        return
    page.figures["identified"] = True
    if hasattr(estimator, "strategy_"):
        table = estimates(estimator, estimator._answer, alpha).reset_index()
        table.columns = ["contrast", "effect", "low", "high"]
    elif estimator.effects_ is not None and estimator.control_ is not None:
        table = estimator.ate_table(alpha)
        control = estimator.control_
        table["arm"] = [f"{arm} against {control}" for arm in table["arm"]]
        table = table.rename(columns={"arm": "contrast"})
    else:
        page.add("What was found", "There is no average effect with an interval.")
        return
    rows = [tuple(row) for row in table[["contrast", "effect", "low", "high"]].values]
    told = f"Average effects on {outcome} with {number(100 * (1 - alpha))} % intervals."
    picture = intervals(rows, told, f"effect on {outcome}")
    page.add("What was found", told, Picture(picture, told), table, effects=table)


def _log(page, model, X):
    """Overlap, exposure and clusters: what the log can and cannot say."""
    title, estimator = "What the log can and cannot say", model.estimator
    p, clip = getattr(estimator, "propensity_", None), estimator.clip
    if model.refusal is not None:
        text = (
            "Nothing in this log was not shown: it tells what happens if shown, and "
            "not what showing changes."
            if len(model.arms) == 1
            else str(model.refusal)
        )
        page.add(title, text)
    if isinstance(p, np.ndarray) and p.ndim == 2 and p.shape[1] > 1:
        least = max(clip, 0.05 if p.shape[1] < 6 else 0.3 / p.shape[1])
        kept = clip if p.min() > 0.999 * clip else 0.0  # below it none is told apart
        least = np.maximum(least_of_arms(p, least), kept)
        low = float(at_the_clip(p, least).mean())
        text = (
            f"In {number(100 * low, 2)} % of the rows some arm has an estimated "
            f"probability of {told_clip(least)} or less. "
        )
        text += (
            "There the finding rests on models of the outcome, not on comparisons."
            if low > 0.01
            else "Nearly all rows could have had any arm, so they can be compared."
        )
        arm = _arms_taken(estimator)
        picture = None
        if arm is not None:
            column = model.positions[1] if model.refusal is None else p.shape[1] - 1
            label = model.arms[column]
            groups = {
                f"had {model.arms[a]}": p[arm == a, column] for a in range(p.shape[1])
            }
            told = f"Estimated probability of arm {label}, by the arm that rows had."
            picture = Picture(histograms(groups, told, f"probability of {label}"), told)
        page.add(title, text, picture, share_of_poor_overlap=low)
    if hasattr(estimator, "overlap_"):
        lines = list(log_checks(estimator))
        page.add(title, *lines[1:] if p is not None else lines)
        if estimator.overlap_ is not None:
            page.figures["overlap"] = estimator.overlap_
    clusters = getattr(getattr(estimator, "_reader", None), "clusters", None)
    if clusters is not None:
        told = [counted(n, str(c)) for c, n in zip(clusters.names, clusters.counts)]
        page.add(title, f"Intervals count that rows go together: {', '.join(told)}.")


def _arms_taken(estimator):
    arm = getattr(estimator, "arm_", None)
    if arm is None and getattr(estimator, "effects_", None) is not None:
        arm = estimator.effects_.arm
    return arm if isinstance(arm, np.ndarray) else None


def _doubts(page, model, alpha):
    """What was checked, and what would overturn the finding."""
    estimator = model.estimator
    if model.refusal is not None:
        return
    if hasattr(estimator, "strategy_"):
        checks = list(checked(estimator))
        doubts = list(overturns(estimator, estimator._answer, alpha))
        assumed = (
            f"{estimator.method_}: {estimator.guarantee_}. {graph_line(estimator)}"
        )
    else:
        doubts = list(log_overturns(estimator, alpha))
        assumed = (
            "Assumed is that whatever drives both what is shown and the outcome is in "
            "the log: in its features, or in its users and items."
        )
    page.add("What was assumed", assumed)
    if hasattr(estimator, "strategy_"):  # of logs they stand above
        page.add("What was checked", *checks)
    page.add("What would overturn it", *doubts)
    page.figures["overturns"] = [d for d in doubts if isinstance(d, str)]


def _data(page, model, X):
    estimator, title = model.estimator, "Data and versions"
    told = []
    if X is not None:
        frame = model.frame(X)
        told.append(
            f"{counted(len(frame), 'row')}, {counted(frame.shape[1], 'column')}."
        )
        page.figures.update(rows=len(frame), columns=[str(c) for c in frame.columns])
    arm = _arms_taken(estimator)
    if arm is not None and model.arms:
        size = np.bincount(arm, minlength=len(model.arms))
        told.append(
            "Rows by arm: "
            + ", ".join(f"{a} {number(int(n))}" for a, n in zip(model.arms, size))
            + "."
        )
    settings = estimator.get_params(deep=False)
    plain = type(estimator)().get_params(deep=False)
    changed = {
        name: str(value)[:80]
        for name, value in settings.items()
        if name not in ("graph", "verbose") and repr(value) != repr(plain[name])
    }
    table = pd.DataFrame({"setting": list(changed), "value": list(changed.values())})
    used = ", ".join(f"{name} {number_}" for name, number_ in versions().items())
    page.add(
        title, *told, f"Made with {used}. Settings other than the defaults:", table,
        versions=versions(), settings={k: str(v) for k, v in settings.items()},
    )  # fmt: skip
