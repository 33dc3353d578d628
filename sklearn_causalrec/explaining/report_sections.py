"""Sections of a report that ask the model again: segments, importances, lists."""

import pandas as pd

from sklearn_causalrec.explaining.contributions import explain_effect
from sklearn_causalrec.explaining.decisions import decide
from sklearn_causalrec.explaining.drawing import bars, intervals
from sklearn_causalrec.explaining.page import Picture
from sklearn_causalrec.explaining.reasons import reasons
from sklearn_causalrec.explaining.segments import segments
from sklearn_causalrec.ranking.recommend import recommend

_MOST_EXPLAINED = 300  # rows that importances are averaged over
_SHOWN_USERS, _SHOWN_ITEMS = 3, 3
_JUDGED_USERS, _JUDGED_ITEMS = 20, 5


def has_scores(model):
    """Whether the model keeps the scores of the log."""
    try:
        model.estimator._log_scores()
    except ValueError:
        return False
    return True


def segments_section(page, model, X, alpha, random_state):
    """Where the effect differs."""
    title = "Where the effect differs"
    options = dict(alpha=alpha, random_state=random_state, **model.named)
    try:
        found = segments(model.fitted, X, **options)
    except ValueError as refusal:  # no effect of rows is identified
        page.add(title, str(refusal))
        return
    picture = None
    if len(found.table) > 1:
        rows = found.table[["segment", "effect", "low", "high"]].values
        told = "Effect in each segment, estimated from rows that did not choose it."
        picture = Picture(intervals(map(tuple, rows), told, "effect"), told)
    page.add(
        title,
        found.verdict(),
        picture,
        found.table,
        found.tests,
        heterogeneity=found.varies,
        heterogeneity_p_value=found.p_value,
        segments=found.table,
        projection=found.projection,
        sorted_groups=found.sorted_groups,
    )
    if found.sorted_groups is not None:
        page.add(
            title,
            "Quarters of the rows by predicted effect, and what the log says of each:",
            found.sorted_groups,
        )


def importances_section(page, model, X, alpha, random_state):
    """What the effect, or the outcome, depends on."""
    frame = model.frame(X)
    title = "What the effect depends on"
    part = frame.iloc[:: max(1, len(frame) // _MOST_EXPLAINED)]
    if len(part) < 10:
        return
    rows = part if hasattr(X, "columns") else part.to_numpy()
    options = dict(n_background=2, n_repeats=2, alpha=alpha, random_state=random_state)
    try:
        found = explain_effect(
            model.fitted, rows[:1], background=rows, **options, **model.named
        )
    except ValueError as refusal:  # effects of rows were not asked for, or not found
        page.add(title, str(refusal))
        return
    of = "outcome" if found.effect is None else "effect"
    table = found.importance.head(12)
    ends = table[["low", "high"]] if "low" in table else table[[of, of]]
    drawn = zip(table["group"], table[of], *ends.to_numpy().T)
    told = f"Share of the variance of the {of} that goes with each group of columns."
    if of == "effect" and not found.varies:
        page.add(title, "The predicted effect is the same for all rows.")
        page.figures["importance"] = found.importance
        return
    picture = Picture(bars(drawn, told, f"share of the variance of the {of}"), told)
    if of == "effect" and page.figures.get("heterogeneity") is False:
        told += (
            " No heterogeneity was found, so this is what the model makes of the "
            "columns, and may be noise."
        )
    page.add(f"What the {of} depends on", told, picture, importance=found.importance)


def lists_section(page, model, X, lists, alpha):
    """Lists with their reasons, and what choosing by the effect is worth."""
    estimator, title = model.estimator, "What to do, and what it is worth"
    if X is not None and model.refusal is None and model.arms and has_scores(model):
        control = model.named.get("T0")
        try:
            found = decide(model.fitted, X, alpha=alpha, control=control)
        except ValueError:
            found = None  # no control is known
        if found is not None and found.off_policy is not None:
            table = found.off_policy
            told = "Gain a row of the log against the control, by rule, without costs."
            rows = map(tuple, table[["rule", "gain", "low", "high"]].values)
            page.add(
                title,
                told,
                Picture(intervals(rows, told, "gain a row"), told),
                table,
                "A rule that can be audited, by its gain as predicted:",
                found.tree.table,
                off_policy=table,
                policy_tree=found.tree.table,
            )
    if getattr(estimator, "catalogue_", None) is None:
        return
    title = "Lists"
    if lists is None:
        by = "outcome" if model.refusal is not None else "effect"
        users = estimator.log_encoder_.users.ids[:_SHOWN_USERS].to_numpy()
        try:
            lists = recommend(model.fitted, users, k=_SHOWN_ITEMS, by=by, **model.named)
        except ValueError:
            return  # the steps before the estimator need more columns
        if model.refusal is None:
            page.add(title, *_worth(model))
    told = reasons(model.fitted, lists, alpha=alpha, **model.named)
    shown = told[[c for c in told if c in lists.columns or c == "reason"]]
    by = "expected outcome" if model.refusal is not None else "expected effect"
    page.add(
        title,
        f"The first lists, ranked by the {by}, with their reasons:",
        shown.drop(columns=[c for c in ("propensity",) if c in shown]).head(30),
        lists=told.drop(columns="because"),
    )


def _worth(model):
    """What lists by effect and by outcome change, as predicted: a text and a table."""
    users = model.estimator.log_encoder_.users.ids
    users = users[:: max(1, len(users) // _JUDGED_USERS)].to_numpy()
    rows = []
    for by in ("effect", "outcome"):
        lists = recommend(model.fitted, users, k=_JUDGED_ITEMS, by=by, **model.named)
        found = reasons(model.fitted, lists, n_background=1, **model.named)
        if not len(found):
            return ()
        rows.append((by, found["effect"].mean(), found["outcome"].mean(), len(found)))
    names = ["lists by", "predicted effect", "predicted outcome", "pairs"]
    text = (
        "What is predicted of lists of five, ranked by what showing changes and by "
        "what happens if shown. Predictions of what was chosen for being large are too "
        "large; the log's own scores, by rule, are not."
    )
    return text, pd.DataFrame(rows, columns=names)
