"""What an estimate rests on is said: overlap, weights, gaps, heterogeneity."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
    decide,
)
from sklearn_causalrec.baselines import GlobalMean
from sklearn_causalrec.causal import Sensitivity
from sklearn_causalrec.datasets import make_event_log
from sklearn_causalrec.effects.overlap import common_support
from sklearn_causalrec.encoding.exposure import arm_probabilities
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.interactions import build_examples, make_preprocessor
from sklearn_causalrec.privacy import Pseudonymizer

SMALL = dict(
    max_epochs=8, hidden_layer_sizes=(32,), n_folds=3, random_state=0, device="cpu"
)
TREES = dict(
    outcome_model=HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=8),
    treatment_model=HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=6),
)


def study(n=2500, seed=0):
    """Confounded by a; the effect is 1 + b."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    chance = 1 / (1 + np.exp(-X["a"].to_numpy()))
    t = rng.binomial(1, chance)
    tau = 1 + X["b"].to_numpy()
    y = X["a"].to_numpy() + tau * t + rng.normal(size=n)
    return X, y, t, tau, np.where(t == 1, chance, 1 - chance)


def estimators(**options):
    deep = CausalDNNRecommender(**SMALL, **options)
    return [deep, DoCalculusEffect(treatment="t", random_state=0, cv=3)]


@pytest.fixture(params=[0, 1], ids=["recommender", "do-calculus"])
def model(request):
    return estimators()[request.param]


def fit(model, X, y, t, **given):
    return model.fit(X, y, treatment=pd.Series(t, name="t"), **given)


# -- overlap ---------------------------------------------------------------------------


def test_arms_that_a_column_decides_are_told_of(model):
    X, y, _, _, _ = study()
    t = (X["a"] > 0).astype(int).to_numpy()
    with pytest.warns(UserWarning, match=r"poor overlap: in \d+ of 2500 rows, mostly"):
        fit(model, X, y, t).ate()
    assert model.common_support().mean() < 0.3
    if isinstance(model, CausalDNNRecommender):
        assert model.overlap_["clipped"] > 0.7


def test_controls_that_could_not_be_treated_are_told_of(model):
    """As in the study of job training: most of the controls are unlike any treated."""
    rng = np.random.default_rng(0)
    t = np.repeat([1, 0], [200, 2300])
    X = pd.DataFrame({"b": rng.normal(size=2500)})
    X["age"] = np.where(t == 1, rng.normal(25, 3, 2500), rng.normal(40, 8, 2500))
    y = X["age"].to_numpy() + t + rng.normal(size=2500)
    with pytest.warns(UserWarning, match=r"mostly at age > .*common_support\(\).*att"):
        fit(model, X, y, t).ate()
    low, high = model.att_interval()
    assert low < 1 < high and high - low < 2
    keep = model.common_support(0.05)
    assert 0.05 < keep.mean() < 0.6
    assert X["age"][keep].max() < X["age"].max()


def test_arms_that_overlap_are_not(model):
    X, y, _, _, _ = study()
    t = np.random.default_rng(1).integers(0, 2, len(y))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(model, X, y, t).ate()
    assert model.common_support(0.1).mean() > 0.98


def test_without_a_second_stage_the_heads_tell():
    X, y, _, _, _ = study(1000)
    options = {**SMALL, "learning_rate": 0.02, "early_stopping": False, "clip": 0.2}
    deep = CausalDNNRecommender(**options, effect_learner="t")
    with pytest.warns(UserWarning, match="poor overlap"):
        fit(deep, X, y, (X["a"] > 0).astype(int).to_numpy())
    assert deep.effect_varies_ is None
    assert deep.common_support(0.3).mean() < 0.9


@pytest.mark.filterwarnings("ignore:poor overlap")
def test_effect_on_the_treated(model):
    X, y, t, _, _ = study()
    y = y + t * X["a"].to_numpy()  # so that the treated have more of it
    tau = (1 + X["b"] + X["a"]).to_numpy()
    fit(model, X, y, t)
    for T0, T1 in ((0, 1), (1, 0)):
        truth = tau[t == T1].mean() * (T1 - T0)
        assert model.att(T0, T1) == pytest.approx(truth, abs=0.2)
        low, high = model.att_interval(0.01, T0, T1)
        assert low < truth < high and high - low < 0.8
    with pytest.raises(ValueError, match="alpha"):
        model.att_interval(alpha=95)


def test_effect_on_the_treated_of_three_arms():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(2400, 2)), columns=["a", "b"])
    t = rng.integers(0, 3, 2400)
    y = X["a"].to_numpy() + t + rng.normal(size=2400)
    deep = CausalDNNRecommender(**SMALL).fit(X, y, treatment=t)
    for T0, T1 in ((0, 1), (1, 2), (2, 0)):
        assert deep.att(T0, T1) == pytest.approx(T1 - T0, abs=0.2)


def test_rows_without_weight_are_not_kept():
    X, y, t, _, _ = study(1200)
    weight = np.arange(1200) % 3
    deep = fit(CausalDNNRecommender(**SMALL), X, y, t, sample_weight=weight)
    keep = deep.common_support()
    assert keep.shape == (1200,) and not keep[weight == 0].any()
    assert keep[weight > 0].mean() > 0.8


def test_common_support_of_probabilities():
    p = np.array([[0.5, 0.5], [0.95, 0.05], [0.2, 0.8]])
    assert common_support(p, 0.05).tolist() == [True, False, True]
    assert common_support(p, 0.05, 0.3).tolist() == [True, False, False]
    for least in (0, 0.5, 7):
        with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
            common_support(p, 0.05, least)
    with pytest.raises(ValueError, match="needs arms"):
        common_support(None, 0.05)


def test_known_probabilities_count_for_the_other_arms_too():
    rows = Rows(np.zeros((3, 0)), arm=np.array([0, 1, 1]))
    estimated = np.array([[0.6, 0.4], [0.5, 0.5], [0.3, 0.7]])
    rows.propensity = np.array([0.9, 0.25, np.nan])
    expected = [[0.9, 0.1], [0.75, 0.25], [0.3, 0.7]]
    np.testing.assert_allclose(arm_probabilities(rows, estimated), expected)
    three = np.array([[0.5, 0.3, 0.2]] * 3)
    found = arm_probabilities(rows, three)
    np.testing.assert_allclose(found[1], [0.75 * 5 / 7, 0.25, 0.75 * 2 / 7])


# -- weights and known probabilities ---------------------------------------------------


def test_weights_say_what_is_averaged_over(model):
    X, y, t, tau, _ = study()
    weight = np.exp(X["b"].to_numpy())  # so that the mean of 1 + b is 2
    fit(model, X, y, t, sample_weight=weight)
    truth = np.average(tau, weights=weight)
    low, high = model.ate_interval()
    assert low < truth < high and high - low < 0.5
    treated = np.average(tau[t == 1], weights=weight[t == 1])
    assert model.att() == pytest.approx(treated, abs=0.3)


@pytest.mark.parametrize("effect_model", ["auto", HistGradientBoostingRegressor()])
def test_a_weight_for_all_changes_nothing(effect_model):
    X, y, t, _, _ = study(800)
    plain, weighted = (
        fit(
            DoCalculusEffect(effect_model=effect_model, cv=2, random_state=0),
            X, y, t, **given,
        )
        for given in ({}, {"sample_weight": np.full(800, 3.0)})
    )  # fmt: skip
    assert weighted.ate() == pytest.approx(plain.ate(), abs=1e-8)
    assert weighted.ate_interval() == pytest.approx(plain.ate_interval(), abs=1e-8)
    assert weighted.att() == pytest.approx(plain.att(), abs=1e-8)
    assert weighted.ate(X) == pytest.approx(plain.ate(X), abs=1e-8)
    assert weighted.given_ == ("sample_weight",) and plain.given_ == ()


def test_known_probabilities_stand_for_a_confounder_that_is_not_seen():
    X, y, t, _, taken = study(6000)
    biased = fit(DoCalculusEffect(cv=2, random_state=0), X[["b"]], y, t)
    assert biased.ate() > 1.5
    known = DoCalculusEffect(cv=2, random_state=0)
    fit(known, X[["b"]], y, t, propensity=taken)
    low, high = known.ate_interval()
    assert low < 1 < high and high - low < 0.5
    np.testing.assert_allclose(known.propensity_[np.arange(6000), t], taken)
    unknown = np.where(np.arange(6000) % 2, taken, np.nan)
    part = fit(DoCalculusEffect(cv=2, random_state=0), X, y, t, propensity=unknown)
    low, high = part.ate_interval()
    assert low < 1 < high
    np.testing.assert_allclose(part.propensity_[1::2, 0] + part.propensity_[1::2, 1], 1)


def test_a_certain_arm_is_no_division_by_zero():
    X, y, t, _, taken = study(1000)
    taken[:3] = 1.0
    found = fit(
        DoCalculusEffect(effect_model=None, cv=2, random_state=0),
        X, y, t, propensity=taken,
    )  # fmt: skip
    assert np.isfinite(found.ate_interval()).all()
    assert not found.common_support()[:3].any()


@pytest.mark.parametrize("given", ["sample_weight", "propensity"])
def test_who_does_not_read_rows_refuses_them(given):
    X, y, t, _, taken = study(600)
    data = pd.DataFrame({"t": t, "m": t + X["a"], "c": X["b"]})
    graph = CausalGraph("t -> m -> y; t <-> y; c -> y")
    values = {given: taken}
    model = DoCalculusEffect(graph, treatment="t", random_state=0)
    with pytest.raises(ValueError, match=f"{given} can be read where .*adjustment"):
        model.fit(data, pd.Series(y, name="y"), **values)
    assert not hasattr(model, "strategy_")
    dose = DoCalculusEffect(treatment="a", random_state=0)
    with pytest.raises(ValueError, match=f"{given} can be read where"):
        dose.fit(X, y, **values)
    fitted = fit(DoCalculusEffect(effect_model=None, cv=2), X, y, t, **values)
    with pytest.raises(ValueError, match=f"fitted with {given}.*refits"):
        fitted.refute(X, y, t)
    if given == "sample_weight":
        with pytest.raises(ValueError, match="do not read the sample_weight"):
            fitted.sensitivity()
        assert "without weights only" in str(fitted.summary())


def test_counts_are_not_taken_where_rows_have_weights():
    """Discrete columns are counted, unless there are weights to read."""
    rng = np.random.default_rng(0)
    c, t = rng.integers(0, 2, 2000), rng.integers(0, 2, 2000)
    y = (1 + 2 * c) * t + rng.normal(size=2000) > 1
    X = pd.DataFrame({"c": c, "t": t})
    model = DoCalculusEffect(treatment="t", cv=2, random_state=0)
    assert "plug-in" in model.fit(X, y.astype(int)).method_
    weighted = model.fit(X, y.astype(int), sample_weight=1.0 + c)
    assert "AIPW" in weighted.method_


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(sample_weight=np.zeros(300)), "at least one non-zero"),
        (dict(sample_weight=np.full(300, -1.0)), "[Nn]egative"),
        (dict(sample_weight=np.full(300, np.nan)), "nan in row 0"),
        (dict(sample_weight=np.ones(3)), "shape|inconsistent"),
        (dict(propensity=np.full(300, 2.0)), r"propensity is 2.0 in row 0"),
        (dict(propensity=np.zeros(300)), r"propensity is 0.0 in row 0"),
    ],
)
def test_wrong_rows_are_named(given, message):
    X, y, t, _, _ = study(300)
    with pytest.raises(ValueError, match=message):
        fit(DoCalculusEffect(), X, y, t, **given)


def test_a_propensity_without_arms_is_refused():
    X, y, _, _, taken = study(300)
    with pytest.raises(ValueError, match="given no treatment"):
        DoCalculusEffect().fit(X, y, propensity=taken)
    assert DoCalculusEffect(cv=2).fit(X, y, sample_weight=taken).predict(X).shape


# -- missing values --------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:poor overlap")
def test_missing_numbers_go_to_models_that_take_them():
    X, y, t, _, _ = study(5000)
    rng = np.random.default_rng(1)
    gaps = X.assign(a=X["a"].where(rng.random(5000) > 0.1))
    trees = DoCalculusEffect(**TREES, effect_model=None, cv=3, random_state=0)
    fit(trees, gaps, y, t)
    assert trees.given_ == ("missing values",)
    plain = fit(DoCalculusEffect(**TREES, effect_model=None, cv=3), X, y, t)
    assert trees.ate() == pytest.approx(plain.ate(), abs=0.2)
    rows = DoCalculusEffect(
        **TREES, effect_model=HistGradientBoostingRegressor(max_iter=20), cv=3
    )
    assert np.isfinite(fit(rows, gaps, y, t).effect(gaps)).all()


def test_missing_values_are_refused_where_a_model_does_not_take_them():
    X, y, t, _, _ = study(300)
    X.loc[4, "a"] = np.nan
    for options in ({}, TREES, {"outcome_model": TREES["outcome_model"]}):
        with pytest.raises(ValueError, match=r"'a', row 4.*effect_model=None"):
            fit(DoCalculusEffect(**options), X, y, t)
    trees = DoCalculusEffect(**TREES, effect_model=None, treatment="t")
    with pytest.raises(ValueError, match="infinity: column 'b', row 2"):
        trees.fit(X.assign(b=X["b"].where(X.index != 2, np.inf), t=t), y)
    with pytest.raises(ValueError, match="the treatment 't' is missing in row 1"):
        trees.fit(X.assign(t=np.where(X.index == 1, np.nan, t)), y)
    words = X.assign(t=t, town=np.where(X.index == 3, None, "Bonn"))
    with pytest.raises(ValueError, match="column 'town', row 3"):
        trees.fit(words, y)


# -- weights travel --------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples():
    log = make_event_log(400, n_users=30, n_items=20, dirt=0, random_state=0)
    return build_examples(
        log.tidy_events, log.impressions, user="user", item="item", time="time",
        event="event", outcome="purchase", window="7D", treatment="shown",
        propensity="propensity", users=log.user_table, negative_fraction=0.5,
        random_state=0,
    )  # fmt: skip


def documented(examples, model=None):
    roles = dict(user="user", item="item", time="time", treatment="treatment")
    preprocessor = make_preprocessor(
        examples, **roles, propensity="propensity", outcome=["outcome", "sample_weight"]
    )
    model = model or CausalDNNRecommender(
        **roles, propensity="propensity", effect_learner="t", max_epochs=2,
        random_state=0, device="cpu",
    )  # fmt: skip
    return make_pipeline(preprocessor, model)


def test_weights_through_the_documented_pipeline(examples):
    y, weight = examples["outcome"], examples["sample_weight"]
    assert weight.nunique() > 1
    pipeline = documented(examples)
    named = {"causaldnnrecommender__sample_weight": weight}
    expected = pipeline.fit(examples, y, **named).predict(examples)
    unweighted = documented(examples).fit(examples, y).predict(examples)
    assert not np.allclose(expected, unweighted)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = documented(examples).fit(examples, y, sample_weight=weight)
        np.testing.assert_array_equal(routed.predict(examples), expected)
        found = cross_validate(
            documented(examples), examples, y, cv=2, error_score="raise",
            params={"sample_weight": weight},
        )  # fmt: skip
        assert np.isfinite(found["test_score"]).all()
        search = GridSearchCV(
            documented(examples), {"causaldnnrecommender__l2": [1, 2]}, cv=2
        )
        search.fit(examples, y, sample_weight=weight)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    "estimator",
    [
        CausalDNNRecommender(),
        CounterfactualPolicy(),
        DoCalculusEffect(),
        GlobalMean(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_weights_are_asked_for(estimator):
    with sklearn.config_context(enable_metadata_routing=True):
        requests = estimator.get_metadata_routing()
        for method in ("fit", "score"):
            assert getattr(requests, method).requests["sample_weight"] is True


def test_weights_of_nuisance_models_are_not_routed():
    X, y, t, _, _ = study(400)
    with sklearn.config_context(enable_metadata_routing=True):
        found = fit(
            DoCalculusEffect(effect_model=None, cv=2, random_state=0),
            X, y, t, sample_weight=np.ones(400),
        )  # fmt: skip
    assert np.isfinite(found.ate())


# -- rows that were not shown ----------------------------------------------------------


def test_columns_that_only_decisions_have_are_told_of():
    log = make_event_log(400, n_users=30, n_items=20, dirt=0, random_state=0)
    options = dict(
        user="user", item="item", time="time", event="event", outcome="purchase",
        window="7D", treatment="shown", propensity="propensity", random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"columns \['device'\] are missing .* tell"):
        examples = build_examples(
            log.tidy_events, log.impressions, **options, n_unexposed=2
        )
    # And whoever proposes them all the same is told by the overlap.
    X = pd.get_dummies(examples[["device"]], dtype=float)
    with pytest.warns(UserWarning, match="poor overlap.*mostly at device"):
        CausalDNNRecommender(**{**SMALL, "max_epochs": 30}).fit(
            X, examples["outcome"], treatment=examples["treatment"]
        ).ate()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        build_examples(log.tidy_events, log.impressions, **options)


# -- heterogeneity ---------------------------------------------------------------------


def test_effects_that_do_not_vary_are_said_to(model):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(6000, 3)), columns=["a", "b", "c"])
    t = rng.integers(0, 2, 6000)
    y = rng.binomial(1, 0.009 + 0.004 * t)  # a rare outcome
    if isinstance(model, CausalDNNRecommender):
        model.set_params(task="classification", hidden_layer_sizes=(128, 64))
        model.set_params(max_epochs=5, n_folds=2)
    fit(model, X, y, t)
    assert np.ptp(model.effect(X)) < 1e-9
    assert model.effect_varies_.tolist() == [False, False]
    assert model.ate_table()["varies"].tolist() == [False]
    if isinstance(model, DoCalculusEffect):
        assert "No heterogeneity was found" in str(model.summary())


@pytest.mark.filterwarnings("ignore:poor overlap")
def test_effects_that_vary_are_said_to(model):
    X, y, t, _, _ = study()
    fit(model, X, y, t)
    assert model.effect_varies_.tolist() == [False, True]
    assert model.ate_table()["varies"].tolist() == [True]
    if isinstance(model, DoCalculusEffect):
        assert "No heterogeneity" not in str(model.summary())
        model.set_params(effect_model=None)
        assert fit(model, X, y, t).effect_varies_ is None
        assert model.ate_table()["varies"].tolist() == [None]
        model.set_params(effect_model=HistGradientBoostingRegressor(max_iter=5))
        assert fit(model, X, y, t).effect_varies_.tolist() == [False, True]


# -- numbers that nothing can be counted with ------------------------------------------


def test_columns_too_large_to_be_squared_are_refused():
    X, y, t, _, _ = study()
    X = X.copy()
    X.iloc[7, 0] = 1e308
    with pytest.raises(ValueError, match=r"column 'a' is 1e\+308 in row 7"):
        fit(DoCalculusEffect(random_state=0), X, y, t)


@pytest.mark.parametrize("name", ["margin", "cost"])
def test_money_too_large_to_be_added_up_is_refused(name):
    X, y, t, _, _ = study()
    lines = dict(outcome_model=LinearRegression(), treatment_model=LogisticRegression())
    model = fit(DoCalculusEffect(random_state=0, **lines), X[:200], y[:200], t[:200])
    with pytest.raises(ValueError, match=f"{name} is .* in row 0: squares"):
        decide(model, X[:200], **{name: 1e308})


def test_an_error_that_is_nothing_beside_the_estimate_is_refused():
    with pytest.raises(ValueError, match="stderr is 1e-320, which is nothing beside"):
        Sensitivity.from_regression(1.0, 1e-320, 100)
    assert Sensitivity.from_regression(1.0, 0.1, 100).robustness_value() < 1


def test_a_number_is_no_list_of_columns():
    with pytest.raises(TypeError, match=r"columns is .*: pass a list"):
        Pseudonymizer(columns=np.array(0.05), key=bytes(range(32))).fit(study()[0])
