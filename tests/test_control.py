"""The direction of an effect: against the control, the same in every door."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
    effect,
    metrics,
    recommend,
)
from sklearn_causalrec.causal import negative_control, refute
from sklearn_causalrec.plot import (
    CalibrationDisplay,
    EffectDisplay,
    OverlapDisplay,
    SensitivityDisplay,
    UpliftCurveDisplay,
)


def by_graph(**parameters):
    linear = dict(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression()
    )
    options = dict(effect_model=LinearRegression(), random_state=0, **linear)
    return DoCalculusEffect(treatment="t", **options, **parameters)


def by_networks(**parameters):
    options = dict(effect_learner="stacked", n_folds=2, max_epochs=1, random_state=0)
    return CausalDNNRecommender(**options, **parameters)


BOTH = pytest.mark.parametrize("make", [by_graph, by_networks])


@pytest.fixture(scope="module")
def experiment():
    """Rows, outcomes and arms 0, 1, 2 whose effects against 0 are 1.5 and -1."""
    rng = np.random.default_rng(0)
    n = 450
    X, t = pd.DataFrame({"x": rng.normal(size=n)}), rng.integers(0, 3, n)
    y = np.array([0, 1.5, -1])[t] + X["x"].to_numpy() + 0.2 * rng.normal(size=n)
    return X, y, t


def two(experiment):
    X, y, t = experiment
    kept = t < 2
    return X[kept].reset_index(drop=True), y[kept], t[kept]


# -- the default -------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("arms", "control"),
    [
        (("placebo", "drug"), "placebo"),
        (("No ", "Yes"), "No "),
        (("z", "a"), None),  # an ordered Categorical
        ((False, True), False),
        ((2, 5), 2),
    ],
)
def test_effects_are_against_the_control_that_arms_tell(
    make, arms, control, experiment
):
    X, y, t = two(experiment)
    treatment = np.array(arms)[t]
    if control is None:
        control = arms[0]
        treatment = pd.Categorical(treatment, list(arms), ordered=True)
    model = make().fit(X, y, treatment=pd.Series(treatment))
    assert model.control_ == control
    assert model.ate() == pytest.approx(1.5, abs=0.15)
    assert model.ate() == model.ate(T0=arms[0], T1=arms[1])
    assert model.ate(T0=arms[1]) == pytest.approx(-model.ate())
    low, high = model.ate_interval()
    assert low < 1.5 < high
    assert np.mean(model.effect(X)) == pytest.approx(1.5, abs=0.3)
    np.testing.assert_array_equal(effect(model, X), model.effect(X))
    gap = model.predict(X, treatment=arms[1]) - model.predict(X)
    np.testing.assert_array_equal(gap, 0)  # a prediction is "if shown"


@BOTH
def test_text_that_does_not_tell_the_control_is_asked_about(make, experiment):
    X, y, t = two(experiment)
    arms = np.array(["No E-Mail", "Mens E-Mail"])[t]
    model = make().fit(X, y, treatment=arms)
    assert model.control_ is None
    calls = [
        lambda: model.effect(X),
        lambda: effect(model, X),
        lambda: model.effect_interval(X),
        model.ate,
        model.ate_interval,
        model.ate_table,
        lambda: model.ate(T1="Mens E-Mail"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"\['Mens E-Mail', 'No E-Mail'\]"):
            call()
    with pytest.raises(ValueError, match=r"under which|Which of the arms"):
        model.predict(X)
    named = model.ate(T0="No E-Mail", T1="Mens E-Mail")
    assert named == pytest.approx(1.5, abs=0.15)
    again = make(control="No E-Mail").fit(X, y, treatment=arms)
    assert again.control_ == "No E-Mail"
    assert again.ate() == pytest.approx(named)
    backward = make(control="Mens E-Mail").fit(X, y, treatment=arms)
    assert backward.ate() == pytest.approx(-named)
    with pytest.raises(ValueError, match="control='mail' is not an arm; the arms are"):
        make(control="mail").fit(X, y, treatment=arms)


@BOTH
def test_three_arms_ask_for_T1_and_have_a_table(make, experiment):
    X, y, t = experiment
    model = make().fit(X, y, treatment=t)
    assert model.ate() == model.ate(T0=0, T1=1)  # arms called 0 and 1 keep their sense
    arms = np.array(["off", "email", "push"])[t]
    model = make().fit(X, y, treatment=arms)
    with pytest.raises(ValueError, match=r"is compared with 'off'. Name it, T1="):
        model.ate()
    table = model.ate_table(alpha=0.01)
    assert list(table) == ["arm", "effect", "low", "high", "n", "varies"]
    assert table["arm"].tolist() == ["email", "push"]
    np.testing.assert_allclose(table["effect"], [1.5, -1], atol=0.2)
    assert (table["low"] < [1.5, -1]).all() and (table["high"] > [1.5, -1]).all()
    assert table["n"].tolist() == [(t == 1).sum(), (t == 2).sum()]
    assert table["effect"][1] == model.ate(T1="push")
    low, high = model.ate_interval(T1="push", alpha=0.01)
    assert table.loc[1, ["low", "high"]].tolist() == [low, high]
    other = make(control="push").fit(X, y, treatment=arms).ate_table()
    assert other["arm"].tolist() == ["email", "off"]
    np.testing.assert_allclose(other["effect"], [2.5, 1], atol=0.2)


@BOTH
def test_a_control_among_rows_of_one_arm_is_refused(make, experiment):
    X, y, _ = experiment
    model = make(control=0)
    if isinstance(model, DoCalculusEffect):
        model.set_params(treatment=None)
    with pytest.raises(
        ValueError, match="control=0 is an arm, and fit was given no tr"
    ):
        model.fit(X, y)


@BOTH
def test_large_whole_numbers_are_different_arms(make, experiment):
    X, y, t = two(experiment)
    model = make().fit(X, y, treatment=2**53 + t)
    assert [int(arm) for arm in model.arms_] == [2**53, 2**53 + 1]
    assert model.ate() == pytest.approx(1.5, abs=0.15)
    for unseen in (2**53 + 2, float(2**53 + 2), "9007199254740992"):
        with pytest.raises(ValueError, match="is not an arm"):
            model.ate(T1=unseen)
        with pytest.raises(ValueError, match=r"is not an arm|unseen in fit|holds text"):
            model.predict(X, treatment=unseen)


@BOTH
def test_arms_in_other_types_give_the_same_answer_or_one_error(make, experiment):
    X, y, t = two(experiment)
    model = make().fit(X, y, treatment=np.array([0.1, 0.7], np.float32)[t])
    right = model.ate()
    assert right == pytest.approx(1.5, abs=0.15)
    for T0, T1 in (
        (0.1, 0.7),
        (np.float32(0.1), np.float64(0.7)),
        (np.array(0.1), np.array(0.7, np.float32)),
    ):
        assert model.ate(T0=T0, T1=T1) == right
    for T0 in ([0.1], np.array([0.1]), np.full(len(X), 0.1)):
        with pytest.raises(ValueError, match=r"T0=.* is not one arm: name one of \["):
            model.ate(T0=T0)
        with pytest.raises(ValueError, match=r"T0=.* is not one arm: name one of \["):
            model.effect(X, T0=T0)
    for T0 in (0.2, "0.1", np.nan):
        with pytest.raises(ValueError, match=r"T0=.* is not an arm; the arms are"):
            model.ate(T0=T0)


def test_the_order_of_a_column_of_X_counts(experiment):
    X, y, t = two(experiment)
    X["t"] = pd.Categorical(np.array(["z", "a"])[t], ["z", "a"], ordered=True)
    for model in (by_graph(), by_networks(treatment="t")):
        assert model.fit(X, y).control_ == "z"
        assert model.ate() == pytest.approx(1.5, abs=0.15)


@BOTH
@pytest.mark.parametrize("kind", ["enum", "big-endian", "column", "boolean"])
def test_treatments_of_any_container(make, kind, experiment):
    X, y, t = two(experiment)
    treatment = {
        "enum": pl.Series(np.array(["z", "a"])[t].tolist(), dtype=pl.Enum(["z", "a"])),
        "big-endian": t.astype(">i4"),
        "column": t.reshape(-1, 1),
        "boolean": pd.Series(t == 1, dtype="boolean"),
    }[kind]
    model = make().fit(X, y, treatment=treatment)
    assert model.ate() == pytest.approx(1.5, abs=0.15)
    gap = model.predict(X, treatment=model.control_) - model.predict(X)
    assert gap.mean() < -0.7


def test_a_control_without_rows_is_named(experiment):
    X, y, t = two(experiment)
    arms = pd.Categorical(np.array(["u", "v"])[t], ["none", "u", "v"], ordered=True)
    for make in (by_graph, by_networks):
        assert make().fit(X, y, treatment=arms).control_ is None
    with pytest.raises(ValueError, match=r"'none', the first category .* has no row"):
        metrics.qini_score(y, y, arms)


def test_partial_fit_keeps_the_control(experiment):
    X, y, t = two(experiment)
    arms = pd.Categorical(np.array(["z", "a"])[t], ["z", "a"], ordered=True)
    model = by_networks()
    model.partial_fit(X[:100], y[:100], treatment=arms[:100])
    model.partial_fit(X[100:], y[100:], treatment=np.asarray(arms)[100:])
    assert model.control_ == "z"
    assert model.effect(X).mean() == -model.effect(X, T0="a", T1="z").mean()


def test_several_treatments(rng):
    n = 1500
    X = pd.DataFrame({"a": rng.integers(0, 2, n), "z": rng.normal(size=n)})
    X["b"] = np.array(["none", "mail"])[rng.integers(0, 2, n)]
    y = 2 * X["a"] + (X["b"] == "mail") + X["z"] + 0.1 * rng.normal(size=n)
    graph = CausalGraph("z -> y; a -> y; b -> y")
    options = dict(treatment=["a", "b"], outcome="y", effect_model=None, random_state=0)
    model = DoCalculusEffect(graph, **options).fit(X, y)
    assert model.control_ == (0, "none")
    with pytest.raises(ValueError, match=r"is compared with .0, 'none'.. Name it"):
        model.ate()
    assert model.ate(T1={"a": 1, "b": "mail"}) == pytest.approx(3, abs=0.05)
    assert (
        model.ate_table()["n"].sum() == n - ((X["a"] == 0) & (X["b"] == "none")).sum()
    )
    named = DoCalculusEffect(graph, control={"a": 1, "b": "none"}, **options).fit(X, y)
    assert named.control_ == (1, "none")
    assert named.ate(T1=(0, "none")) == pytest.approx(-2, abs=0.05)


def test_paths_are_against_the_control(rng):
    n = 1500
    t = rng.integers(0, 2, n)
    M = t + rng.normal(size=n)
    y = 0.5 * t + 2 * M + rng.normal(size=n)
    X = pd.DataFrame({"t": np.array(["push", "mail"])[t], "M": M})
    graph = CausalGraph("t -> M -> y; t -> y")
    options = dict(outcome="y", mediators="M", effect_model=None, random_state=0)
    model = DoCalculusEffect(graph, treatment="t", control="push", **options).fit(X, y)
    total, direct, indirect = model.path_effects_.loc["mail"]["estimate"]
    assert total == pytest.approx(2.5, abs=0.3) and total > indirect > direct > 0
    with pytest.raises(ValueError, match=r"of the arms \['mail', 'push'\] it is"):
        DoCalculusEffect(graph, treatment="t", **options).fit(X, y)


def test_an_objective_that_tells_clicks_from_none_knows_which_is_which(rng):
    X, click = rng.normal(size=(300, 1)), rng.integers(0, 2, 300)
    y = click * rng.integers(0, 2, 300)
    options = dict(objective="escm2", task="classification", max_epochs=1)
    make = partial(CausalDNNRecommender, effect_learner="t", random_state=0, **options)
    right = make().fit(X, y, treatment=click)
    named = make().fit(X, y, treatment=np.array(["none", "some"])[click])
    np.testing.assert_array_equal(named.effect(X), right.effect(X))
    for control in ("no click", None):
        arms = np.array(["no click", "click"])[click]
        with pytest.raises(ValueError, match="'escm2' needs two arms, 0 for no click"):
            make(control=control).fit(X, y, treatment=arms)


def test_doses(rng):
    n = 800
    X = pd.DataFrame({"z": rng.normal(size=n)})
    t = X["z"].to_numpy() + rng.normal(size=n)
    y = 2 * t + X["z"].to_numpy() + 0.1 * rng.normal(size=n)
    model = DoCalculusEffect(treatment="t", random_state=0).fit(X, y, treatment=t)
    assert model.control_ == 0
    assert model.ate() == model.ate(T0=0, T1=1) == model.ate(T1=np.array(1))
    named = DoCalculusEffect(treatment="t", control=-1, random_state=0)
    named.fit(X, y, treatment=t)
    assert named.ate(T1=1) == pytest.approx(named.ate(T0=-1, T1=1))
    with pytest.raises(ValueError, match="Which dose is compared with control=-1"):
        named.ate()
    with pytest.raises(ValueError, match="ate_table compares arms"):
        model.ate_table()
    paths = DoCalculusEffect(CausalGraph("z -> t -> m -> y; z -> y"), mediators="m")
    with pytest.raises(ValueError, match="mediators split the effect of arms"):
        paths.set_params(treatment="t", outcome="y").fit(X.assign(t=t, m=t + X["z"]), y)
    for dose in ("1", [1], np.nan, np.inf):
        with pytest.raises(ValueError, match=r"T1=.* is no dose: pass a number"):
            model.ate(T1=dose)
    with pytest.raises(ValueError, match="control='a' is no dose"):
        DoCalculusEffect(treatment="t", control="a").fit(X, y, treatment=t)


# -- metrics, scorers and displays ---------------------------------------------------


@pytest.fixture(scope="module")
def mails():
    """An experiment with a third arm of great harm, and the effects of one of two."""
    rng = np.random.default_rng(0)
    n = 900
    x, t = rng.normal(size=n), rng.integers(0, 3, n)
    arms = np.array(["No E-Mail", "Mens E-Mail", "Womens E-Mail"])[t]
    y = np.select([t == 1, t == 2], [1 + x, -8.0]) + 0.1 * rng.normal(size=n)
    return pd.DataFrame({"x": x}), y, arms


class Known(BaseEstimator):
    """Effects that are known, of an estimator that someone else wrote."""

    arms_ = np.array(["Mens E-Mail", "No E-Mail", "Womens E-Mail"])

    def __init__(self, treatment=None):
        self.treatment = treatment

    def effect(self, X, T0=0, T1=1):
        sign = {"No E-Mail": 1, "Mens E-Mail": -1}[T0]
        return sign * (1 + X["x"].to_numpy())


MENS = dict(control="No E-Mail", T1="Mens E-Mail")
TWO_ARM_METRICS = (
    metrics.uplift_curve, metrics.qini_curve, metrics.auuc_score, metrics.qini_score,
    metrics.uplift_at_k, metrics.doubly_robust_scores, metrics.dr_loss, metrics.r_loss,
    metrics.joint_loss,
)  # fmt: skip


@pytest.mark.parametrize("metric", TWO_ARM_METRICS, ids=lambda metric: metric.__name__)
def test_metrics_take_the_control(metric, mails):
    X, y, arms = mails
    kept = arms != "Womens E-Mail"
    y, arms, tau = y[kept], arms[kept], Known().effect(X[kept], "No E-Mail")
    given = dict(effect_pred=tau)
    if metric is metrics.doubly_robust_scores:
        given = {}
    if metric in (metrics.r_loss, metrics.joint_loss):
        given["outcome"] = tau / 2
    if metric is metrics.joint_loss:
        given["outcome_pred"] = np.column_stack([0 * tau, tau])
    treated = arms == "Mens E-Mail"
    right = metric(y, treatment=treated, **given)
    named = metric(y, treatment=arms, control="No E-Mail", **given)
    ordered = pd.Categorical(arms, ["No E-Mail", "Mens E-Mail"], ordered=True)
    told = metric(y, treatment=ordered, **given)
    spelt = metric(y, treatment=np.where(treated, "Mens", "None"), **given)
    for found in (named, told, spelt):
        np.testing.assert_array_equal(found, right)
    with pytest.raises(ValueError, match="The arms are 'Mens E-Mail', 'No E-Mail'"):
        metric(y, treatment=arms, **given)
    with pytest.raises(ValueError, match="control='mail' is not an arm"):
        metric(y, treatment=arms, control="mail", **given)


def test_scikit_uplift_convention_follows_the_control(mails):
    pytest.importorskip("sklift")
    X, y, arms = mails
    kept = arms != "Womens E-Mail"
    given = (y[kept] > 0.5, Known().effect(X[kept], "No E-Mail"))
    right = metrics.qini_score(
        *given, arms[kept] == "Mens E-Mail", convention="scikit-uplift"
    )
    assert right == metrics.qini_score(
        *given, arms[kept], convention="scikit-uplift", control="No E-Mail"
    )


@pytest.mark.parametrize(
    "name", ["qini", "auuc", "uplift_at_k", "r_loss", "dr_loss", "calibration_error"]
)
def test_scorers_take_the_control(name, mails):
    X, y, arms = mails
    kept = arms != "Womens E-Mail"
    scorer = metrics.make_causal_scorer(name, **MENS)
    same = metrics.make_causal_scorer(name, T0="No E-Mail", T1="Mens E-Mail")
    value = scorer(Known(), X, y, treatment=arms)
    assert value == same(Known(), X, y, treatment=arms)
    assert value == scorer(Known(), X[kept], y[kept], treatment=arms[kept])
    ready = getattr(metrics, f"{name}_scorer")
    with pytest.raises(ValueError, match=r"which of the arms \['Mens E-Mail', 'No E"):
        ready(Known(), X, y, treatment=arms)
    with pytest.raises(ValueError, match="both name the arm"):
        metrics.make_causal_scorer(name, T0="a", control="b")


def test_scorers_read_the_order_of_categories(mails):
    X, y, arms = mails
    kept = arms != "Womens E-Mail"
    X, y = X[kept].reset_index(drop=True), y[kept]
    ordered = pd.Categorical(arms[kept], ["No E-Mail", "Mens E-Mail"], ordered=True)
    right = metrics.make_causal_scorer("qini", **MENS)(Known(), X, y, treatment=ordered)
    known = Known().set_params(treatment="arm")
    known.arms_ = ()
    assert metrics.qini_scorer(known, X, y, treatment=ordered) == right
    assert metrics.qini_scorer(known, X.assign(arm=ordered), y) == right


def test_displays_select_two_arms(mails):
    X, y, arms = mails
    kept = arms != "Womens E-Mail"
    tau = Known().effect(X[kept], "No E-Mail")
    treated = arms[kept] == "Mens E-Mail"
    pipe = make_pipeline(FunctionTransformer(), Known())
    found = UpliftCurveDisplay.from_estimator(
        pipe, X, y, treatment=arms, propensity=np.full(len(y), 0.5), **MENS
    )
    right = UpliftCurveDisplay.from_predictions(
        y[kept], tau, treated, propensity=np.full(kept.sum(), 0.5)
    )
    assert found.area == right.area
    np.testing.assert_array_equal(found.band, right.band)
    named = UpliftCurveDisplay.from_predictions(
        y[kept], tau, arms[kept], control="No E-Mail", n_bootstrap=0
    )
    assert named.area == metrics.auuc_score(y[kept], tau, treated)
    found = CalibrationDisplay.from_estimator(Known(), X, y, treatment=arms, **MENS)
    right = CalibrationDisplay.from_estimator(
        Known(), X[kept], y[kept], treatment=arms[kept], **MENS
    )
    pd.testing.assert_frame_equal(found.table, right.table)
    assert found.error < 0.05
    outcomes = np.column_stack([np.zeros(len(y)), 1 + X["x"]])
    found = CalibrationDisplay.from_estimator(
        Known(), X, y, treatment=arms, outcomes=outcomes, **MENS
    )
    assert found.error < 0.05
    for display in (UpliftCurveDisplay, CalibrationDisplay):
        draw = display.from_estimator
        with pytest.raises(ValueError, match=r"which of the arms \['Mens E-Mail', 'No"):
            draw(Known(), X, y, treatment=arms)
        with pytest.raises(ValueError, match="is compared with 'No E-Mail'"):
            draw(Known(), X, y, treatment=arms, control="No E-Mail")
        with pytest.raises(ValueError, match="T1='Kids' is not an arm"):
            draw(Known(), X, y, treatment=arms, T0="No E-Mail", T1="Kids")
        with pytest.raises(ValueError, match="no row of one of the arms"):
            draw(Known(), X[~kept], y[~kept], treatment=arms[~kept], **MENS)
        with pytest.raises(ValueError, match="and there are 900 rows"):
            draw(Known(), X, y, treatment=arms[:5], **MENS)


def test_other_displays_follow_the_control(experiment):
    X, y, t = two(experiment)
    arms = np.array(["No E-Mail", "Mens E-Mail"])[t]
    model = by_graph(control="No E-Mail").fit(X, y, treatment=arms)
    frame = EffectDisplay.from_estimator(model).frame
    assert frame.index.tolist() == ["Mens E-Mail against No E-Mail"]
    assert frame["estimate"].item() == model.ate()
    given = (X, y, arms)
    one = SensitivityDisplay.from_estimator(model, *given)
    other = SensitivityDisplay.from_estimator(model, *given, control="Mens E-Mail")
    assert one.values.iloc[0, 0] == pytest.approx(model.ate(), abs=0.1)
    assert other.values.iloc[0, 0] == pytest.approx(-model.ate(), abs=0.1)
    chance = np.where(t == 1, 0.6, 0.4)
    with pytest.raises(ValueError, match="The arms are 'Mens E-Mail', 'No E-Mail'"):
        OverlapDisplay.from_predictions(chance, arms)
    shown = OverlapDisplay.from_predictions(chance, np.where(t == 1, "drug", "placebo"))
    assert list(shown.arms) == ["placebo", "drug"]
    columns = np.column_stack([chance, 1 - chance])
    shown = OverlapDisplay.from_predictions(columns, arms)
    assert list(shown.arms) == ["Mens E-Mail", "No E-Mail"]


def test_checks_and_summaries_follow_the_control(experiment):
    X, y, t = two(experiment)
    arms = np.array(["No E-Mail", "Mens E-Mail"])[t]
    model = by_graph(control="No E-Mail").fit(X, y, treatment=arms)
    assert "Mens E-Mail against No E-Mail" in str(model.summary())
    how = dict(methods=("subset",), n_simulations=3, random_state=0)
    found = refute(model, X, y, arms, **how).to_frame().loc["subset"]
    assert found[["estimate", "refuted"]].to_numpy() == pytest.approx(1.5, abs=0.15)
    assert model.sensitivity(*(X, y, arms)).estimate == pytest.approx(1.5, abs=0.15)
    unnamed = by_graph().fit(X, y, treatment=arms)
    for check in (
        lambda: unnamed.sensitivity(X, y, arms),
        lambda: refute(unnamed, X, y, arms, methods=("subset",), n_simulations=3),
        lambda: negative_control(unnamed, X, {"y": y}, arms),
    ):
        with pytest.raises(ValueError, match=r"\['Mens E-Mail', 'No E-Mail'\]"):
            check()


def test_lists_follow_the_control():
    rng = np.random.default_rng(0)
    n = 400
    X = pd.DataFrame({"user": rng.integers(0, 20, n), "item": rng.integers(0, 10, n)})
    t = rng.integers(0, 2, n)
    y = t * np.where(X["item"] == 3, 5.0, -1.0) + 0.1 * rng.normal(size=n)
    arms = np.array(["sleeping", "awake"])[t]
    quick = dict(user="user", item="item", effect_learner="t", random_state=0)
    right = CausalDNNRecommender(**quick).fit(X, y, treatment=t)
    named = CausalDNNRecommender(**quick, control="sleeping").fit(X, y, treatment=arms)
    unnamed = CausalDNNRecommender(**quick).fit(X, y, treatment=arms)
    with pytest.raises(ValueError, match=r"which of the arms \['awake', 'sleeping'\]"):
        recommend(unnamed, k=1)
    both = recommend(unnamed, k=1, exclude_seen=False, T0="sleeping", T1="awake")
    for top in (both, recommend(named, k=1, exclude_seen=False)):
        assert (top["item"] == 3).mean() > 0.9
    assert (recommend(right, k=1, exclude_seen=False)["item"] == 3).mean() > 0.9
    by = dict(by="outcome", exclude_seen=False)
    assert (recommend(unnamed, k=1.0, T1="awake", **by)["item"] == 3).mean() > 0.9
    for k in (0, 1.5, "2", True, None, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"k is .*: a whole number, at least 1"):
            recommend(named, k=k)


# -- policies --------------------------------------------------------------------------


def test_a_policy_chooses_among_many_arms():
    rng = np.random.default_rng(0)
    n = 1800
    X, arm = rng.normal(size=(n, 2)), rng.integers(0, 60, n)
    y = 5.0 * (arm == 7)
    for treatment, best in (
        (arm, 7),
        (np.char.add("item ", arm.astype(str)), "item 7"),
    ):
        policy = CounterfactualPolicy(random_state=0, max_epochs=12)
        policy.fit(X, y, treatment=treatment, propensity=np.full(n, 1 / 60))
        assert len(policy.arms_) == 60
        assert policy.arms_[policy.predict_proba(X).mean(axis=0).argmax()] == best
    with pytest.raises(ValueError, match="continuous treatment has no arms"):
        policy.fit(X, y, treatment=arm + 0.5, propensity=np.full(n, 1 / 60))


# -- alpha -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def takes_alpha(experiment):
    X, y, t = two(experiment)
    dose = X["x"].to_numpy() + np.random.default_rng(0).normal(size=len(y))
    graphs, nets = (
        by_graph().fit(X, y, treatment=t),
        by_networks().fit(X, y, treatment=t),
    )
    doses = DoCalculusEffect(treatment="t", random_state=0).fit(X, y, treatment=dose)
    frame, tau, half = X.assign(t=t, y=y), X["x"].to_numpy(), np.full(len(y), 0.5)
    sensitivity = graphs.sensitivity(X, y, t)
    calls = {
        "discover": lambda a: CausalGraph.discover(frame, n_bootstrap=0, alpha=a),
        "falsify": lambda a: CausalGraph("t -> x -> y").falsify(frame, alpha=a),
        "dose_response": lambda a: doses.dose_response(alpha=a),
        "average_derivative": lambda a: doses.average_derivative(alpha=a),
        "doses ate_interval": lambda a: doses.ate_interval(alpha=a),
        "doses effect_interval": lambda a: doses.effect_interval(X, alpha=a),
        "summary": lambda a: graphs.summary(alpha=a),
        "att_interval": lambda a: graphs.att_interval(alpha=a),
        "refute": lambda a: refute(graphs, X, y, t, alpha=a),
        "negative_control": lambda a: negative_control(graphs, X, {"y": y}, t, alpha=a),
        "robustness_value": lambda a: sensitivity.robustness_value(alpha=a),
        "bounds": lambda a: sensitivity.bounds(alpha=a),
        "contour": lambda a: sensitivity.contour(alpha=a),
        "to_frame": lambda a: sensitivity.to_frame(alpha=a),
        "effect_calibration": lambda a: metrics.effect_calibration(tau, y, alpha=a),
        "rate": lambda a: metrics.rate(tau, y, alpha=a),
        "slope": lambda a: metrics.slope([(1.0, 0.1)] * 3, alpha=a),
        "normal": lambda a: metrics.normal_interval(y, alpha=a),
        "bootstrap": lambda a: metrics.bootstrap_interval(y, alpha=a),
        "bernstein": lambda a: metrics.bernstein_interval(
            half, lower=0, upper=1, alpha=a
        ),
        "sequence": lambda a: metrics.confidence_sequence(y, alpha=a),
        "ips sequence": lambda a: metrics.ips_confidence_sequence(half, half, alpha=a),
        "UpliftCurveDisplay": lambda a: UpliftCurveDisplay.from_estimator(
            graphs, X, y, treatment=t, n_bootstrap=0, alpha=a
        ),
        "CalibrationDisplay": lambda a: CalibrationDisplay.from_estimator(
            graphs, X, y, treatment=t, alpha=a
        ),
        "EffectDisplay": lambda a: EffectDisplay.from_estimator(nets, alpha=a),
        "SensitivityDisplay": lambda a: SensitivityDisplay.from_sensitivity(
            sensitivity, alpha=a
        ),
    }
    for name in ("normal", "bootstrap", "bernstein", "sequence"):
        calls[f"policy_value {name}"] = lambda a, name=name: metrics.policy_value(
            y, t, [0, 1], propensity=half, interval=name, alpha=a
        )
    for name, model in (("networks", nets), ("graphs", graphs)):
        calls[f"{name} ate"] = lambda a, model=model: model.ate_interval(alpha=a)
        calls[f"{name} rows"] = lambda a, model=model: model.effect_interval(X, alpha=a)
        calls[f"{name} table"] = lambda a, model=model: model.ate_table(alpha=a)
    return calls


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, 95, np.nan, np.inf, "0.05", [0.05]])
def test_alpha_is_between_0_and_1_everywhere(alpha, takes_alpha):
    for name, call in takes_alpha.items():
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1, got"):
            call(alpha)
            pytest.fail(f"{name} took alpha={alpha!r}")
