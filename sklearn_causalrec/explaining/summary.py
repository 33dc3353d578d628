"""The reports of fitted estimators in a terminal: the plain sentence first."""

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.tables import like_interval, number
from sklearn_causalrec.causal.checks.diagnostics import rows_to_overturn
from sklearn_causalrec.causal.checks.risk import e_value
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity
from sklearn_causalrec.effects.arms import ate_table
from sklearn_causalrec.effects.overlap import least_of_arms, told_clip
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.explaining.words import finding

IMBALANCE = 0.1  # standardised difference above which arms count as unlike


def summarize(estimator, answer, alpha=0.05):
    """What was found, the estimate, what was checked, what would overturn it, why.

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
    report.add("Found", plain_sentence(estimator, alpha))
    report.add("Estimate", f"{estimator.method_}: {estimator.guarantee_}.")
    table = estimates(estimator, answer, alpha)
    report.add("Estimate", table.rename(columns={"estimate": f"effect on {outcome}"}))
    told = estimator.effect_varies_
    if told is not None and estimator.effect_modifiers_ and not told.any():
        report.add("Estimate", "No heterogeneity was found: one effect for all rows.")
    if estimator.path_effects_ is not None:
        report.add("Along paths", estimator.path_effects_.reset_index())
    for line in checked(estimator):
        report.add("What was checked", line)
    for line in overturns(estimator, answer, alpha):
        report.add("What would overturn it", line)
    report.add("Query", _query(estimator, treatments, outcome))
    report.add("Graph", graph_line(estimator))
    if estimator.derivation_ is not None:
        report.add("Why it is identified", str(estimator.estimand_))
        report.add("Why it is identified", str(estimator.derivation_))
    return report


def summarize_log(estimator, alpha=0.05, outcome="the outcome"):
    """The same of an estimator whose networks read a log.

    Parameters
    ----------
    estimator : CausalDNNRecommender
        Fitted.
    alpha : float, default=0.05
        One minus the confidence of the intervals.
    outcome : str, default="the outcome"
        What the outcome is called.

    Returns
    -------
    Report
    """
    report = Report(f"What showing changes in {outcome}")
    report.add("Found", plain_sentence(estimator, alpha, outcome))
    effects = estimator.effects_
    if effects is not None and estimator._unidentified is None:
        if estimator.control_ is not None:
            table = ate_table(estimator, effects.n_rows, alpha)
            table = table.rename(columns={"effect": f"effect on {outcome}"})
            report.add("Estimate", table)
        within = " and of the same ".join(estimator.averages_within_)
        if within:
            report.add("Estimate", f"Averages compare rows of the same {within}.")
        told = estimator.effect_varies_
        if not told.any():
            text = "No heterogeneity was found: one effect for all rows."
            report.add("Estimate", text)
    for line in log_checks(estimator):
        report.add("What was checked", line)
    for line in log_overturns(estimator, alpha):
        report.add("What would overturn it", line)
    report.add("Model", _training(estimator))
    if getattr(estimator, "privacy_spent_", None) is not None:
        report.add("Privacy", estimator.privacy_spent_.words)
    return report


def _training(estimator):
    parts = [
        f"encoder {estimator.encoder!r}",
        f"objective {estimator.objective!r}",
        f"{estimator.n_iter_} epochs",
        f"{len(estimator.nets_)} networks" if len(estimator.nets_) > 1 else "",
    ]
    return ", ".join(filter(None, parts)) + "."


def log_checks(estimator):
    """What a log tells of the comparison of its arms: sentences."""
    found = estimator.overlap_
    if found is not None:
        several = len(estimator.arms_) > 1
        p, least = estimator.propensity_, estimator.clip
        if several and isinstance(p, np.ndarray):
            least = told_clip(least_of_arms(p, least))
        yield (
            f"Overlap: in {number(100 * found['clipped'], 2)} % of the rows "
            + (f"an arm is less likely than {least}." if several else
               f"the exposure is below {least} of the average.")
        )  # fmt: skip
        for arm, size in found["effective_sample_size"].items():
            rate = found["calibration"][arm]
            yield (
                f"Arm {arm}: the rows of it weigh as {number(size)} rows of equal "
                f"weight; inverse exposures average {number(rate, 3)}, and 1 is right."
            )
    effects = estimator.effects_
    clusters = None if effects is None else effects.clusters
    if clusters is not None:
        told = [f"{number(n)} {name}s" for name, n in zip(
            clusters.names, clusters.counts)]  # fmt: skip
        yield f"Intervals count that rows go together: {', '.join(told)}."


def log_overturns(estimator, alpha=0.05):
    """What would turn the finding round: sentences."""
    effects = estimator.effects_
    if effects is None or estimator._unidentified is not None:
        return
    first, others = _reference(estimator)
    t0, t1 = (estimator.arms_.tolist().index(arm) for arm in (first, others[0]))
    score = effects.scores[t1] - effects.scores[t0]
    yield _rows_line(score)
    if len(estimator.arms_) > 2 or np.ptp(effects.weight) > 0:
        return  # bounds are known for two arms, without weights
    p = np.maximum(effects.propensity, estimator.clip)
    sensitivity = Sensitivity.from_interactive(
        effects.y, effects.arm, effects.outcomes, p, contrast=(t0, t1),
        scores=np.column_stack(list(effects.scores)),
    )  # fmt: skip
    yield f"{_confounder_line(sensitivity, others[0], alpha)}."


def _rows_line(score):
    return (
        f"Leaving out the {number(rows_to_overturn(score))} rows of "
        f"{number(len(score))} that speak most for it would turn its sign."
    )


def _confounder_line(sensitivity, arm, alpha):
    value = sensitivity.robustness_value()
    limit = sensitivity.robustness_value(alpha=alpha)
    return (
        "A latent common cause that explains "
        f"{number(100 * value, 3)} % of the residual variance of the outcome and of "
        f"the weights would bring the effect of {arm} to zero, "
        f"{number(100 * limit, 3)} % its interval"
    )


# -- the plain sentence --------------------------------------------------------------


def plain_sentence(estimator, alpha=0.05, outcome=None):
    """Say what was found, with its interval, in one sentence a person can read.

    Parameters
    ----------
    estimator : estimator
        A fitted `CausalDNNRecommender` or `DoCalculusEffect`.
    alpha : float, default=0.05
        One minus the level of the interval.
    outcome : str, default=None
        What the outcome is called. None: as the estimator calls it.

    Returns
    -------
    str
    """
    if outcome is None:
        outcome = str(getattr(estimator, "outcome_name_", "the outcome"))
    names = getattr(estimator, "treatment_names_", None)
    one_arm = names == () or (names is None and len(estimator.arms_) == 1)
    if one_arm:
        return (
            f"What showing changes in {outcome} cannot be told from this log: nothing "
            "in it was not shown. What happens if shown is predicted."
        )
    if getattr(estimator, "_unidentified", None) is not None:
        return f"What showing changes in {outcome} does not follow from this log: " + (
            f"{estimator._unidentified}"
        )
    given = _given(estimator)
    treatment = ", ".join(map(str, names or ()))
    if getattr(estimator, "strategy_", None) == "possible effects":
        return _possible(estimator, treatment, outcome, alpha)
    if not getattr(estimator, "discrete_treatment_", True):
        value, (low, high) = _unit(estimator, alpha)
        what = f"one unit more of {treatment}"
        return _capital(finding(what, outcome, value, low, high, alpha, given))
    first, others = _reference(estimator)
    found = []
    for arm in others:
        value = float(estimator.ate(T0=first, T1=arm)) if _averages(estimator) else None
        if value is None:
            break
        low, high = estimator.ate_interval(alpha=alpha, T0=first, T1=arm)
        found.append((arm, value, float(low), float(high)))
    if not found:
        return (
            f"What showing changes in {outcome} was estimated for single rows only: "
            'averages with an interval need the effect learner "stacked".'
        )
    arm, *figures = max(found, key=lambda one: abs(one[1]))
    what = f"{treatment} = {arm} instead of {first}"
    if names is None:
        shown = {*map(str, (first, arm))} <= {"0", "1", "False", "True"}
        what = "showing" if shown else f"{arm} instead of {first}"
    text = _capital(finding(what, outcome, *figures, alpha, given))
    if len(found) > 1:
        text += f" That is the largest of {len(found)} effects."
    return text


def _capital(text):
    return text[:1].upper() + text[1:] if text.startswith(("showing", "one ")) else text


def _averages(estimator):
    return getattr(estimator, "strategy_", None) is not None or (
        estimator.effects_ is not None
    )


def _unit(estimator, alpha):
    """The effect of a unit of a dose with its bounds."""
    answer = estimator._answer
    if answer.has_curve:
        value, low, high = estimator.average_derivative(alpha)
        return value, (low, high)
    return float(answer.ate(0.0, 1.0)), answer.ate_interval(0.0, 1.0, alpha)


def _possible(estimator, treatment, outcome, alpha):
    table = estimates(estimator, estimator._answer, alpha)
    low, high = table["low"].min(), table["high"].max()
    middle = (table["estimate"].min(), table["estimate"].max())
    first, last, low, high = like_interval(*middle, low=low, high=high)
    return (
        f"The graph leaves several effects of {treatment} on {outcome} possible, from "
        f"{first} to {last}; with their intervals {low} to {high}."
    )


def _given(estimator):
    """What a finding holds under."""
    if hasattr(estimator, "strategy_"):
        if "propensity" in estimator.given_:
            return "by the known probabilities of the arms"
        if estimator.graph is not None:
            return "if the graph is right"
        return "if no common cause is missing among the columns"
    if getattr(estimator, "graph", None) is not None:
        return "if the graph is right"
    return "if what drives both is in the log"


def _query(estimator, treatments, outcome):
    if not estimator.discrete_treatment_:
        return f"E[{outcome} | do({treatments})], a curve over doses."
    arms = ", ".join(map(str, estimator.arms_))
    return f"E[{outcome} | do({treatments})] under the arms {arms}."


def graph_line(estimator):
    """The graph in words or in its own notation."""
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
    arms, first = list(estimator.arms_), estimator.control_
    arms = [arm.item() if isinstance(arm, np.generic) else arm for arm in arms]
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


def checked(estimator):
    """What was checked of an effect in a graph: sentences and tables."""
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


def overturns(estimator, answer, alpha):
    """What would turn the finding round: sentences."""
    if not estimator.discrete_treatment_ or estimator.scores_ is None:
        return
    first, others = _reference(estimator)
    pair = [estimator.arms_.index(arm) for arm in (first, others[0])]
    yield _rows_line(estimator.scores_[:, pair[1]] - estimator.scores_[:, pair[0]])
    if answer.outcomes is None:
        yield (
            "A latent common cause that the graph does not allow for. Bounds for it "
            "are known under adjustment only."
        )
        return
    if "sample_weight" in estimator.given_:
        yield "A latent common cause. Bounds for it are known without weights only."
        return
    line = _confounder_line(answer.sensitivity(*pair), others[0], alpha)
    yield f"{line}; sensitivity() compares that with observed covariates."
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
