"""The report of a fitted `DoCalculusEffect`."""

import pandas as pd

from sklearn_causalrec._utils.tables import number
from sklearn_causalrec.causal.checks.diagnostics import rows_to_overturn
from sklearn_causalrec.causal.checks.risk import e_value
from sklearn_causalrec.explaining.report import Report

IMBALANCE = 0.1  # standardised difference above which arms count as unlike


def summarize(estimator, answer, alpha=0.05):
    """Query, graph, derivation, estimate, what was checked, what would overturn it.

    Parameters
    ----------
    estimator : DoCalculusEffect
        Fitted.
    answer : Answer
        What its strategy has found.
    alpha : float, default=0.05
        One minus the confidence of the intervals.

    Returns
    -------
    Report
    """
    treatments = ", ".join(map(str, estimator.treatment_names_))
    outcome = estimator.outcome_name_
    report = Report(f"Effect of {treatments} on {outcome}")
    report.add("Query", _query(estimator, treatments, outcome))
    report.add("Graph", _graph(estimator))
    if estimator.derivation_ is not None:
        report.add("Why it is identified", str(estimator.estimand_))
        report.add("Why it is identified", str(estimator.derivation_))
    report.add("Estimate", f"{estimator.method_}: {estimator.guarantee_}.")
    report.add("Estimate", estimates(estimator, answer, alpha))
    told = estimator.effect_varies_
    if told is not None and estimator.effect_modifiers_ and not told.any():
        report.add("Estimate", "No heterogeneity was found: one effect for all rows.")
    if estimator.path_effects_ is not None:
        report.add("Along paths", estimator.path_effects_.reset_index())
    for line in _checks(estimator):
        report.add("What was checked", line)
    for line in _overturns(estimator, answer, alpha):
        report.add("What would overturn it", line)
    return report


def _query(estimator, treatments, outcome):
    if not estimator.discrete_treatment_:
        return f"E[{outcome} | do({treatments})], a curve over doses."
    arms = ", ".join(map(str, estimator.arms_))
    return f"E[{outcome} | do({treatments})] under the arms {arms}."


def _graph(estimator):
    if estimator.graph is None:
        n = len(estimator.graph_) - len(estimator.treatment_names_) - 1
        return (
            f"None given: all {n} other columns are taken to be confounders measured "
            "before the treatment. No latent common cause is allowed for."
        )
    text = str(estimator.graph_)
    return text if len(text) < 600 else repr(estimator.graph_)


def _reference(estimator):
    """The arm that the others are set against, by name: the control or the first."""
    arms, first = estimator.arms_, estimator.control_
    first = arms[0] if first is None else first
    return first, [arm for arm in arms if arm != first]


def estimates(estimator, answer, alpha=0.05):
    """Effect of every arm against the control, or of a unit of dose: a frame."""
    rows = {}
    if answer.strategy == "possible effects":
        return _cases(estimator, answer, alpha)
    if estimator.discrete_treatment_:
        first, others = _reference(estimator)
        for arm in others:
            mean = estimator.ate(T0=first, T1=arm)
            low, high = estimator.ate_interval(alpha=alpha, T0=first, T1=arm)
            rows[f"{arm} against {first}"] = float(mean), float(low), float(high)
    elif answer.has_curve:
        rows["average derivative"] = estimator.average_derivative(alpha)
    else:
        mean, (low, high) = answer.ate(0.0, 1.0), answer.ate_interval(0.0, 1.0, alpha)
        rows["one unit more"] = float(mean), float(low), float(high)
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["estimate", "low", "high"]
    )


def _cases(estimator, answer, alpha):
    """The effect of every arm against the control in each case: a frame."""
    pairs = {"one unit more": (0.0, 1.0)}
    if estimator.discrete_treatment_:
        first, others = _reference(estimator)
        place = estimator.arms_.index
        pairs = {f"{a} against {first}": (place(first), place(a)) for a in others}
    found = {}
    for name, pair in pairs.items():
        for _, row in answer.ate_range(*pair, alpha).cases.iterrows():
            found[f"{name}, if {row['decided']}"] = row[["effect", "low", "high"]]
    frame = pd.DataFrame.from_dict(found, orient="index")
    return frame.astype(float).rename(columns={"effect": "estimate"})


def _checks(estimator):
    found = estimator.diagnostics_
    if "overlap" in found:
        yield found["overlap"]
    if "balance" in found:
        frame = found["balance"]
        before, after = frame["before"].abs().max(), frame["after"].abs().max()
        worst = frame["after"].abs().idxmax()
        verdict = "balanced" if after < IMBALANCE else "not balanced"
        yield (
            f"Balance: the largest standardised difference between arms is "
            f"{number(before, 2)} before weighting and {number(after, 2)} after "
            f"({worst}): {verdict} at {IMBALANCE}."
        )
    if "support" in found:
        yield found["support"]
    if "first_stage" in found:
        yield found["first_stage"]
    if "effective_sample_sizes" in found:
        yield found["effective_sample_sizes"]
    if "influential_rows" in found:
        change = found["influential_rows"]["change"].iloc[0]
        yield f"The most influential row moves the estimate by {number(change, 2)}."
    yield "refute() tries placebo treatments, random causes, subsets, dummy outcomes."


def _overturns(estimator, answer, alpha):
    if not estimator.discrete_treatment_ or estimator.scores_ is None:
        return
    first, others = _reference(estimator)
    pair = [estimator.arms_.index(arm) for arm in (first, others[0])]
    effect = estimator.scores_[:, pair[1]] - estimator.scores_[:, pair[0]]
    yield (
        f"Leaving out the {rows_to_overturn(effect)} rows of {len(effect)} that speak "
        "most for it would turn its sign."
    )
    if answer.outcomes is None:
        yield (
            "A latent common cause that the graph does not allow for. Bounds for it "
            "are known under adjustment only."
        )
        return
    if "sample_weight" in estimator.given_:
        yield "A latent common cause. Bounds for it are known without weights only."
        return
    found = answer.sensitivity(*pair)
    value = found.robustness_value()
    limit = found.robustness_value(alpha=alpha)
    yield (
        "A latent common cause that explains "
        f"{number(100 * value, 3)} % of the residual variance of the outcome and of "
        f"the weights would bring the effect of {others[0]} to zero, "
        f"{number(100 * limit, 3)} % its interval; sensitivity() compares that with "
        "observed covariates."
    )
    ratio = answer.risk_ratio(*pair, alpha)
    if ratio is not None:
        yield _e_value_line(ratio)


def _e_value_line(ratio):
    e = e_value(*ratio)
    return (
        f"E-value: a confounder tied to treatment and outcome by risk ratios of "
        f"{number(e.estimate, 3)} each could explain the risk ratio of "
        f"{number(ratio[0], 3)}; {number(e.limit, 3)} its interval."
    )
