"""Scorers through Pipeline, cross_validate, multi-metric and GridSearchCV."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_causalrec import CausalDNNRecommender, metrics
from sklearn_causalrec.metrics.nuisances import cross_fit_nuisances
from sklearn_causalrec.metrics.registry import METRICS

SCORERS = {f"{name}_scorer": getattr(metrics, f"{name}_scorer") for name in METRICS}
LISTS = {"ndcg_scorer", "recall_scorer", "mrr_scorer", "map_scorer"}


class Linear(RegressorMixin, BaseEstimator):
    """A line an arm: quick, and known when the outcomes are lines."""

    __metadata_request__fit = {"treatment": True, "propensity": True}
    __metadata_request__predict = {"treatment": True}

    def __init__(self, gain=1.0, treatment=None, propensity=None, user=None):
        self.gain = gain
        self.treatment = treatment
        self.propensity = propensity
        self.user = user

    def _features(self, X):
        if isinstance(X, pd.DataFrame):
            roles = [self.treatment, self.propensity, self.user]
            X = X.drop(columns=[role for role in roles if role is not None])
        return np.asarray(X)

    def fit(self, X, y, treatment=None, propensity=None):
        t = X[self.treatment] if treatment is None else treatment
        t, X, y = np.asarray(t), self._features(X), np.asarray(y, float)
        self.arms_ = np.unique(t)
        self.lines_ = [LinearRegression().fit(X[t == a], y[t == a]) for a in self.arms_]
        return self

    def predict(self, X, treatment=None):
        arm = 1 if treatment is None else list(self.arms_).index(treatment)
        return self.lines_[arm].predict(self._features(X))

    def effect(self, X, T0=0, T1=1):
        low, high = (line.predict(self._features(X)) for line in self.lines_)
        return self.gain * (high - low)


class Labels(ClassifierMixin, Linear):
    def fit(self, X, y, treatment=None, propensity=None):
        self.classes_ = np.unique(y)
        return super().fit(X, np.asarray(y) == self.classes_[1], treatment)

    def predict_proba(self, X, treatment=None):
        p = super().predict(X, treatment)
        return np.column_stack([1 - p, p])


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    n = 600
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    e = 1 / (1 + np.exp(-X["a"].to_numpy()))
    t = rng.binomial(1, e)
    effect = 1 + X["b"].to_numpy()
    y = 2 * X["a"].to_numpy() + t * effect + 0.1 * rng.normal(size=n)
    return {
        "X": X,
        "y": y,
        "treatment": t,
        "propensity": np.where(t == 1, e, 1 - e),
        "true_effect": effect,
        "users": rng.integers(0, 20, n),
    }


def metadata(log, *names):
    return {name: log[name] for name in names}


ALL = ("treatment", "propensity", "true_effect", "users")


def test_scores_are_those_of_the_metrics(log):
    X, y, t, p = log["X"], log["y"], log["treatment"], log["propensity"]
    pipe = make_pipeline(StandardScaler(), Linear())
    with config_context(enable_metadata_routing=True):
        pipe.fit(X, y, treatment=t)
    effect = pipe[-1].effect(pipe[:-1].transform(X))
    given = dict(treatment=t, propensity=p)
    for name in "qini", "auuc":
        metric = getattr(metrics, f"{name}_score")
        value = SCORERS[f"{name}_scorer"](pipe, X, y, **given)
        assert value == pytest.approx(metric(y, effect, t, propensity=p))
    value = metrics.make_causal_scorer("uplift_at_k", k=50)(pipe, X, y, **given)
    assert value == pytest.approx(metrics.uplift_at_k(y, effect, t, k=50, propensity=p))
    truth = log["true_effect"]
    value = metrics.pehe_scorer(pipe, X, y, true_effect=truth)
    assert value == pytest.approx(-metrics.pehe(truth, effect))
    value = metrics.policy_value_scorer(pipe, X, y, **given)
    best = np.column_stack([effect <= 0, effect > 0]).astype(float)
    assert value == pytest.approx(metrics.policy_value(y, t, best, propensity=p).value)


@pytest.mark.parametrize("name", sorted(set(SCORERS) - LISTS - {"policy_value_scorer"}))
def test_every_effect_scorer_prefers_the_right_effects(name, log):
    """Against effects of the wrong sign, which rank rows the wrong way round."""
    X, y = log["X"], log["y"]
    given = metadata(log, *ALL)
    right = Linear().fit(X, y, log["treatment"])
    wrong = Linear(gain=-1.0).fit(X, y, log["treatment"])
    scorer = SCORERS[name]
    assert scorer(right, X, y, **given) > scorer(wrong, X, y, **given)


def test_every_scorer_goes_through_cross_validation(log, enable_routing):
    X, y = log["X"], (log["y"] > 0).astype(int)
    pipe = make_pipeline(StandardScaler(), Labels())
    found = cross_validate(
        pipe, X, y, cv=3, scoring=SCORERS, params=metadata(log, *ALL)
    )
    for name in SCORERS:
        assert np.isfinite(found[f"test_{name}"]).all(), name
    # Sliced by fold: by hand, the last of them.
    train, test = list(KFold(3).split(X))[2]
    by_hand = clone(pipe).fit(
        X.iloc[train], y[train], treatment=log["treatment"][train]
    )
    for name in "qini_scorer", "r_loss_scorer", "ndcg_scorer", "policy_value_scorer":
        given = {key: log[key][test] for key in ALL}
        value = SCORERS[name](by_hand, X.iloc[test], y[test], **given)
        # A classifier's folds are stratified; with KFold they are these.
        again = cross_validate(
            pipe, X, y, cv=KFold(3), scoring=SCORERS[name], params=metadata(log, *ALL)
        )
        assert again["test_score"][2] == pytest.approx(value)


class OffByThree(Linear):
    """Right effects beside outcomes of either arm that are three too high."""

    def predict(self, X, treatment=None):
        return super().predict(X, treatment) + 3


def test_joint_loss_judges_outcomes_of_both_arms(log):
    X, y, t = log["X"], log["y"], log["treatment"]
    for arms in (t, np.where(t == 1, "mail", "control")):
        given = {"treatment": arms, "propensity": log["propensity"]}
        right, off = (kind().fit(X, y, arms) for kind in (Linear, OffByThree))
        r_loss = metrics.r_loss_scorer(right, X, y, **given)
        assert metrics.r_loss_scorer(off, X, y, **given) == r_loss
        of_arm = (right.predict(X, arms[i]) for i in (t.argmax(), t.argmin()))
        factual = np.where(t == 1, *of_arm)
        squared = np.mean((y - factual) ** 2)
        for model, error in ((right, squared), (off, np.mean((y - factual - 3) ** 2))):
            value = metrics.joint_loss_scorer(model, X, y, **given)
            assert value == pytest.approx((r_loss - error) / 2)


def test_joint_loss_of_a_classifier_reads_probabilities(log):
    X, y = log["X"], np.where(log["y"] > 0, "yes", "no")
    given = metadata(log, "treatment", "propensity")
    t = log["treatment"]
    model = Labels().fit(X, y, t)
    chance = np.where(t == 1, *(model.predict_proba(X, a)[:, 1] for a in (1, 0)))
    squared = np.mean(((y == "yes") - chance) ** 2)
    r_loss = metrics.r_loss_scorer(model, X, y, **given)
    value = metrics.joint_loss_scorer(model, X, y, **given)
    assert value == pytest.approx((r_loss - squared) / 2)


def test_grid_search_also_in_two_processes(log, enable_routing):
    pipe = make_pipeline(StandardScaler(), Linear())
    grid = {"linear__gain": [-1.0, 0.0, 1.0, 3.0]}
    for scoring, n_jobs in (
        (metrics.r_loss_scorer, 2),
        (metrics.dr_loss_scorer, None),
        (metrics.joint_loss_scorer, None),
        (metrics.calibration_error_scorer, None),
    ):
        search = GridSearchCV(pipe, grid, scoring=scoring, cv=2, n_jobs=n_jobs)
        search.fit(log["X"], log["y"], **metadata(log, "treatment", "propensity"))
        assert search.best_params_ == {"linear__gain": 1.0}
    scoring = {"qini": metrics.qini_scorer, "r2": "r2"}
    search = GridSearchCV(pipe, grid, scoring=scoring, refit="qini", cv=2)
    search.fit(log["X"], log["y"], treatment=log["treatment"])
    assert search.best_params_["linear__gain"] > 0
    assert np.isfinite(search.cv_results_["mean_test_r2"]).all()
    value = metrics.qini_scorer(search, log["X"], log["y"], treatment=log["treatment"])
    assert np.isfinite(value)


@pytest.mark.parametrize("routing", [True, False])
@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("error_score", ["raise", np.nan])
def test_missing_treatment_raises_and_is_never_nan(log, routing, many, error_score):
    X = log["X"].assign(shown=log["treatment"])
    scorer = metrics.make_causal_scorer("qini")
    scoring = {"qini": scorer, "r2": "r2"} if many else scorer
    with config_context(enable_metadata_routing=routing), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"treatment is missing. Pass treatment="):
            cross_validate(
                FittedElsewhere(),
                X,
                log["y"],
                scoring=scoring,
                cv=2,
                error_score=error_score,
            )
        with pytest.raises(ValueError, match="treatment is missing"):
            GridSearchCV(
                FittedElsewhere(),
                {"gain": [1.0]},
                scoring=scoring,
                refit="qini" if many else True,
                cv=2,
                error_score=error_score,
            ).fit(X, log["y"])
        with pytest.raises(ValueError, match="treatment is missing"):
            cross_val_score(FittedElsewhere(), X, log["y"], scoring=scorer, cv=2)


class FittedElsewhere(Linear):
    """Knows the arms by itself, so that only the scorer misses them."""

    __metadata_request__fit = {"treatment": False, "propensity": False}

    def fit(self, X, y):
        self.arms_ = np.array([0, 1])
        self.lines_ = [LinearRegression().fit(X, y) for _ in range(2)]
        return self


def test_missing_treatment_raises_outside_of_cross_validation(log):
    model = Linear().fit(log["X"], log["y"], log["treatment"])
    for name in set(SCORERS) - LISTS - {"pehe_scorer", "ate_error_scorer"}:
        given = {"users": log["users"]}
        with pytest.raises(ValueError, match="treatment is missing"):
            SCORERS[name](model, log["X"], log["y"], **given)
    with pytest.raises(ValueError, match="propensity is missing"):
        metrics.policy_value_scorer(
            model, log["X"], log["y"], treatment=log["treatment"]
        )
    with pytest.raises(ValueError, match="true_effect is missing"):
        metrics.pehe_scorer(model, log["X"], log["y"])
    with pytest.raises(ValueError, match="users is missing"):
        metrics.ndcg_scorer(model, log["X"], log["y"], treatment=log["treatment"])
    with pytest.raises(ValueError, match="treatment is missing"):
        metrics.ndcg_scorer(model, log["X"], log["y"], users=log["users"])
    with pytest.raises(TypeError, match="sample_weight"):
        metrics.qini_scorer(model, log["X"], log["y"], sample_weight=log["y"])


def test_columns_with_a_role_need_no_routing(log):
    X = log["X"].assign(
        shown=log["treatment"], chance=log["propensity"], user=log["users"]
    )
    model = Linear(treatment="shown", propensity="chance", user="user")
    scoring = {"qini": metrics.qini_scorer, "r": metrics.r_loss_scorer}
    scoring["cdcg"] = metrics.cdcg_scorer
    found = cross_validate(model, X, log["y"], scoring=scoring, cv=2)
    with config_context(enable_metadata_routing=True):
        given = metadata(log, "treatment", "propensity", "users")
        routed = cross_validate(
            Linear(), log["X"], log["y"], scoring=scoring, cv=2, params=given
        )
    for key in "qini", "cdcg":
        np.testing.assert_allclose(
            found[f"test_{key}"], routed[f"test_{key}"], atol=0.1
        )
    np.testing.assert_allclose(found["test_qini"], routed["test_qini"])


def test_other_users_of_scorers(log, enable_routing):
    pipe = make_pipeline(FunctionTransformer(), Linear())
    given = metadata(log, "treatment")
    sizes = [0.5, 1.0]
    _, _, scores = learning_curve(
        pipe,
        log["X"],
        log["y"],
        cv=2,
        train_sizes=sizes,
        scoring=metrics.auuc_scorer,
        params=given,
    )
    assert np.isfinite(scores).all()
    score, _, p = permutation_test_score(
        pipe,
        log["X"],
        log["y"],
        cv=2,
        n_permutations=3,
        scoring=metrics.auuc_scorer,
        params=given,
    )
    assert score > 0 and p <= 1


@pytest.mark.parametrize("name", SCORERS)
def test_scorers_pickle_and_print(name, log):
    scorer = SCORERS[name]
    again = pickle.loads(pickle.dumps(scorer))
    assert repr(again) == repr(scorer) == f"make_causal_scorer({scorer.name!r})"
    model = Labels().fit(log["X"], log["y"] > 0, log["treatment"])
    given = metadata(log, *ALL)
    y = log["y"] > 0
    assert again(model, log["X"], y, **given) == scorer(model, log["X"], y, **given)


def test_classes_and_arms_of_any_name(log):
    y, t = log["y"] > 0, log["treatment"]
    by_number = Labels().fit(log["X"], y.astype(int), t)
    by_name = Labels().fit(log["X"], np.where(y, "yes", "no"), np.where(t, "on", "off"))
    plain = metrics.auuc_scorer(by_number, log["X"], y.astype(int), treatment=t)
    named = metrics.auuc_scorer(
        by_name, log["X"], np.where(y, "yes", "no"), treatment=np.where(t, "on", "off")
    )
    assert named == pytest.approx(plain)


def test_two_of_three_arms(log):
    t = log["treatment"].copy()
    t[:100] = 2
    model = Linear().fit(log["X"][100:], log["y"][100:], t[100:])
    kept = metrics.qini_scorer(model, log["X"], log["y"], treatment=t)
    alone = metrics.qini_scorer(
        model, log["X"][100:], log["y"][100:], treatment=t[100:]
    )
    assert kept == pytest.approx(alone)
    with pytest.raises(ValueError, match="no row of one of the arms"):
        metrics.qini_scorer(model, log["X"], log["y"], treatment=np.full(600, 2))


def test_lists_count_what_was_shown_with_its_propensity(log):
    rng = np.random.default_rng(1)
    X = log["X"]
    y = (X["a"] + rng.normal(size=600) > 0).to_numpy().astype(float)
    model = Linear().fit(X, y, log["treatment"])
    given = metadata(log, "treatment", "propensity", "users")
    value = metrics.make_causal_scorer("recall", k=5)(model, X, y, **given)
    shown = log["treatment"] == 1
    expected = metrics.recall_at_k(
        np.where(shown, y, np.nan),
        model.predict(X),
        log["users"],
        k=5,
        propensity=np.where(shown, log["propensity"], 1),
    )
    assert value == pytest.approx(expected)


def test_with_the_recommender(log, enable_routing):
    quick = dict(max_epochs=3, effect_learner="t", hidden_layer_sizes=(8,))
    model = CausalDNNRecommender(**quick, random_state=0)
    scoring = {"auuc": metrics.auuc_scorer, "policy": metrics.policy_value_scorer}
    found = cross_validate(
        make_pipeline(StandardScaler(), model),
        log["X"],
        log["y"],
        cv=2,
        scoring=scoring,
        params=metadata(log, "treatment", "propensity"),
    )
    assert np.isfinite(found["test_auuc"]).all()
    assert np.isfinite(found["test_policy"]).all()


def test_a_row_without_treatment_is_an_error_too(log, enable_routing):
    t = log["treatment"].astype(float)
    model = FittedElsewhere().fit(log["X"], log["y"])
    with pytest.raises(ValueError, match="treatment has 599 values"):
        metrics.qini_scorer(model, log["X"], log["y"], treatment=t[1:])
    t[7] = np.nan
    with pytest.raises(ValueError, match="treatment is missing in row 7"):
        cross_validate(
            FittedElsewhere(),
            log["X"],
            log["y"],
            cv=KFold(2),
            scoring={"qini": metrics.qini_scorer},
            return_train_score=True,
            params={"treatment": t},
        )


def test_nuisances_are_found_where_they_are_unknown():
    rng = np.random.default_rng(2)
    n = 3000
    X = pd.DataFrame({"x": rng.normal(size=n), "shop": rng.choice(["p", "q"], n)})
    e = 1 / (1 + np.exp(-X["x"] - (X["shop"] == "p")))
    shown = rng.uniform(size=n) < e
    y = (X["x"] + 2 * (X["shop"] == "q") + shown).to_numpy()
    taken = np.where(shown, e, 1 - e)
    half = np.where(np.arange(n) % 2, taken, np.nan)
    outcomes, fitted = cross_fit_nuisances(X, y, shown)
    _, mixed = cross_fit_nuisances(X, y, shown, half)
    np.testing.assert_array_equal(mixed[1::2], taken[1::2])
    np.testing.assert_array_equal(mixed[::2], fitted[::2])
    assert np.abs(fitted - taken).mean() < 0.05
    assert np.abs(outcomes[:, 1] - outcomes[:, 0] - 1).mean() < 0.15
    with pytest.raises(ValueError, match="An arm has 2 rows"):
        cross_fit_nuisances(X[:9], y[:9], np.arange(9) < 2)


def test_unknown_names():
    with pytest.raises(ValueError, match="There is no scorer 'gini'"):
        metrics.make_causal_scorer("gini")
