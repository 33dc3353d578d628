"""Outcomes judged under the arm that each row had; predictions without one warn."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    RocCurveDisplay,
    get_scorer,
    make_scorer,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import (
    CausalDNNRecommender,
    CounterfactualPolicy,
    DoCalculusEffect,
    metrics,
)
from sklearn_causalrec._utils import judging
from sklearn_causalrec.baselines import GlobalMean
from sklearn_causalrec.metrics.outcome_scorers import READY_MADE

QUICK = dict(
    effect_learner="t", hidden_layer_sizes=(32,), max_epochs=40, random_state=0
)
REMEDY = "make_outcome_scorer"


def make_log(n=1500, seed=0):
    """Arms that turn the outcome round: one arm's prediction is no other's."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    t = rng.integers(0, 2, n)
    y = np.where(t == 1, 1, -1) * 2 * X["a"].to_numpy() + 3 * t
    return X, y + 0.3 * rng.normal(size=n), t


@pytest.fixture(scope="module")
def log():
    X, y, t = make_log()
    model = CausalDNNRecommender(**QUICK).fit(X, y, treatment=t)
    labels = np.where(y > y.mean(), "yes", "no")
    classifier = CausalDNNRecommender(task="classification", **QUICK)
    classifier.fit(X, labels, treatment=t)
    return X, y, t, labels, model, classifier


@pytest.fixture
def errors():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f"(?s).*{REMEDY}")
        yield


def test_scores_are_those_of_factual_predictions(log, errors):
    X, y, t, labels, model, classifier = log
    value = metrics.outcome_r2_scorer(model, X, y, treatment=t)
    assert value == pytest.approx(r2_score(y, model.predict(X, treatment=t)))
    assert value > 0.9 > 0.2 > r2_score(y, model.predict(X))
    value = metrics.outcome_roc_auc_scorer(classifier, X, labels, treatment=t)
    chance = classifier.predict_proba(X, treatment=t)[:, 1]
    assert value == pytest.approx(roc_auc_score(labels == "yes", chance))
    assert value > 0.9
    assert (
        value - roc_auc_score(labels == "yes", classifier.predict_proba(X)[:, 1]) > 0.2
    )
    w = np.linspace(0, 1, len(y))
    value = metrics.outcome_r2_scorer(model, X, y, treatment=t, sample_weight=w)
    weighted = r2_score(y, model.predict(X, treatment=t), sample_weight=w)
    assert value == pytest.approx(weighted)


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_scorers(log, name, errors):
    X, y, t, labels, model, classifier = log
    scorer = getattr(metrics, f"outcome_{name}_scorer")
    assert repr(scorer) == f"make_outcome_scorer({name!r})"
    of_labels = name in ("accuracy", "average_precision", "neg_brier_score")
    of_labels |= name in ("neg_log_loss", "roc_auc")
    model, y = (classifier, labels == "yes") if of_labels else (model, y)
    if of_labels:
        model = CausalDNNRecommender(task="classification", **QUICK)
        model.fit(X, y, treatment=t)
    value = pickle.loads(pickle.dumps(scorer))(model, X, y, treatment=t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert value > get_scorer(name)(model, X, y)


def test_through_pipelines_searches_and_processes(log, errors):
    X, y, t, *_ = log
    pipe = make_pipeline(StandardScaler(), CausalDNNRecommender(**QUICK))
    scoring = {"r2": metrics.outcome_r2_scorer, "auuc": metrics.auuc_scorer}
    scoring["mae"] = metrics.make_outcome_scorer(
        make_scorer(mean_absolute_error, greater_is_better=False)
    )
    with config_context(enable_metadata_routing=True):
        found = cross_validate(
            pipe, X, y, cv=2, n_jobs=2, scoring=scoring, params={"treatment": t}
        )
        search = GridSearchCV(
            pipe,
            {"causaldnnrecommender__max_epochs": [1, 40]},
            cv=2,
            scoring=metrics.outcome_r2_scorer,
        ).fit(X, y, treatment=t)
    assert found["test_r2"].min() > 0.9
    assert -1 < found["test_mae"].max() < 0
    assert search.best_params_ == {"causaldnnrecommender__max_epochs": 40}
    assert metrics.outcome_r2_scorer(search, X, y, treatment=t) > 0.9


def test_a_column_of_the_arm_needs_no_routing(log, errors):
    X, y, t, *_ = log
    X = X.assign(shown=np.where(t == 1, "on", "off"))
    model = CausalDNNRecommender(treatment="shown", **QUICK)
    by_us = cross_val_score(model, X, y, cv=2, scoring=metrics.outcome_r2_scorer)
    plain = cross_val_score(model, X, y, cv=2, scoring="r2")
    np.testing.assert_allclose(by_us, plain)
    assert by_us.min() > 0.8


def test_other_estimators(log, errors):
    X, y, t, *_ = log
    line = LinearRegression().fit(X, y)
    assert metrics.outcome_r2_scorer(line, X, y) == pytest.approx(line.score(X, y))
    mean = GlobalMean().fit(X, y)
    assert metrics.outcome_r2_scorer(mean, X, y) == pytest.approx(0)
    one_arm = CausalDNNRecommender(**QUICK).fit(X, y)
    assert metrics.outcome_r2_scorer(one_arm, X, y) == pytest.approx(
        one_arm.score(X, y)
    )
    effect = DoCalculusEffect(random_state=0).fit(X, y, treatment=t)
    assert metrics.outcome_r2_scorer(effect, X, y, treatment=t) > 0.9
    with pytest.raises(ValueError, match="treatment is missing"):
        metrics.outcome_r2_scorer(effect, X, y)
    frame = X.assign(t=t)
    effect = DoCalculusEffect(treatment="t", random_state=0).fit(frame, y)
    assert metrics.outcome_r2_scorer(effect, frame, y) > 0.9
    policy = CounterfactualPolicy(max_epochs=1, random_state=0)
    policy.fit(X, y, treatment=t, propensity=np.full(len(y), 0.5))
    with pytest.raises(TypeError, match="predicts arms and no outcomes"):
        metrics.outcome_accuracy_scorer(policy, X, t)


def test_refusals(log):
    X, y, t, _, model, _ = log
    with pytest.raises(ValueError, match=r"treatment is missing\. Pass treatment="):
        metrics.outcome_r2_scorer(model, X, y)
    with pytest.raises(ValueError, match="treatment has 3 values"):
        metrics.outcome_r2_scorer(model, X, y, treatment=t[:3])
    with pytest.raises(TypeError, match="propensity"):
        metrics.outcome_r2_scorer(model, X, y, treatment=t, propensity=t)
    with pytest.raises(ValueError, match="roc_auk"):
        metrics.make_outcome_scorer("roc_auk")
    with pytest.raises(TypeError, match=r"make_scorer makes of a function"):
        metrics.make_outcome_scorer(r2_score)


# -- predictions without an arm --------------------------------------------------------


def judgements(log):
    X, y, _, labels, model, classifier = log
    return {
        "scorer": lambda: get_scorer("r2")(model, X, y),
        "cross_val_predict": lambda: cross_val_predict(
            FrozenEstimator(model), X, y, cv=2
        ),
        "cross_validate": lambda: cross_validate(
            FrozenEstimator(model), X, y, cv=2, scoring="r2"
        ),
        "several": lambda: cross_validate(
            FrozenEstimator(classifier),
            X,
            labels,
            cv=2,
            scoring=["roc_auc", "accuracy"],
        ),
        "permutation_importance": lambda: permutation_importance(
            model, X, y, scoring="r2", n_repeats=1
        ),
        "calibration": lambda: CalibratedClassifierCV(FrozenEstimator(classifier)).fit(
            X, labels
        ),
        "display": lambda: RocCurveDisplay.from_estimator(classifier, X, labels),
    }


@pytest.mark.parametrize(
    "how",
    [
        "scorer",
        "cross_val_predict",
        "cross_validate",
        "several",
        "permutation_importance",
        "calibration",
        "display",
    ],
)
def test_predictions_that_are_judged_without_an_arm_warn_once(log, how):
    with pytest.warns(UserWarning, match=REMEDY) as found:
        judgements(log)[how]()
    ours = [w for w in found if REMEDY in str(w.message)]
    assert {w.filename for w in ours} == {__file__}  # shown once: one place, one text
    assert len({str(w.message) for w in ours}) == 1


def test_predictions_that_the_user_asked_for_are_silent(log, errors):
    X, y, t, _, model, classifier = log
    model.predict(X), classifier.predict_proba(X)
    pipe = make_pipeline(StandardScaler(), CausalDNNRecommender(**QUICK))
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(pipe, {"causaldnnrecommender__max_epochs": [2]}, cv=2)
        search.fit(X, y, treatment=t)
        search.score(X, y, treatment=t)
    search.predict(X)
    partial_dependence(model, X, ["a"])
    cross_validate(
        FrozenEstimator(model),
        X,
        y,
        cv=2,
        scoring=lambda fitted, X, y: fitted.estimator.predict(X).mean(),
    )
    get_scorer("r2")(CausalDNNRecommender(**QUICK).fit(X, y), X, y)  # one arm
    columns = X.assign(shown=t)
    named = CausalDNNRecommender(treatment="shown", **QUICK).fit(columns, y)
    get_scorer("r2")(named, columns, y)


def test_a_calibrator_of_rows_that_name_their_arm(log):
    X, _, t, labels, *_ = log
    X = X.assign(shown=t)
    model = CausalDNNRecommender(task="classification", treatment="shown", **QUICK)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f"(?s).*{REMEDY}")
        calibrated = CalibratedClassifierCV(model, cv=2).fit(X, labels)
    for arm in (0, 1):
        chance = calibrated.predict_proba(X[t == arm])[:, 1]
        assert abs(chance.mean() - (labels[t == arm] == "yes").mean()) < 0.05


def test_the_effect_estimator_warns_too(log):
    X, y, t, *_ = log
    model = DoCalculusEffect(random_state=0).fit(X, y, treatment=t)
    with pytest.warns(UserWarning, match=REMEDY):
        get_scorer("r2")(model, X, y)


# -- routing forgotten -----------------------------------------------------------------


def forgotten():
    doubtful = CausalDNNRecommender(**QUICK | {"max_epochs": 1})
    policy = CounterfactualPolicy(max_epochs=1, random_state=0)
    return [doubtful, policy, DoCalculusEffect(random_state=0)]


def few(log, model):
    X, y, t, *_ = log
    params = {"treatment": t[:300]}
    if isinstance(model, CounterfactualPolicy):
        params["propensity"] = np.full(300, 0.5)
    return X[:300], y[:300], params


@pytest.mark.parametrize("model", forgotten(), ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("error_score", ["raise", np.nan, -1.0])
def test_forgotten_routing_raises_in_cross_validation(log, model, error_score):
    X, y, params = few(log, model)
    how = dict(cv=2, error_score=error_score)
    with pytest.raises(ValueError, match="treatment"):
        cross_validate(model, X, y, params=params, **how)
    with pytest.raises(ValueError, match="treatment"):
        cross_val_score(model, X, y, params=params, **how)
    with pytest.raises(ValueError, match="treatment"):
        GridSearchCV(model, {"random_state": [0]}, **how).fit(X, y, **params)
    pipe = make_pipeline(StandardScaler(), model)
    name = f"{type(model).__name__.lower()}__"
    params = {name + key: value for key, value in params.items()}
    with pytest.raises(ValueError, match="treatment"):
        cross_validate(pipe, X, y, params=params, **how)


def test_forgotten_routing_raises_out_of_processes_too(log):
    """Once: joblib starts its processes afresh after an error."""
    model = forgotten()[0]
    X, y, params = few(log, model)
    with pytest.raises(ValueError, match="treatment"):
        cross_validate(model, X, y, params=params, cv=2, n_jobs=2)


@pytest.mark.parametrize("error_score", ["raise", np.nan])
def test_forgotten_routing_of_an_outcome_scorer(log, error_score):
    X, y, _, _, model, _ = log
    with pytest.raises(ValueError, match="treatment is missing"):
        cross_val_score(
            FrozenEstimator(model),
            X,
            y,
            cv=2,
            scoring=metrics.outcome_r2_scorer,
            error_score=error_score,
        )


@pytest.mark.parametrize("name", ["pehe", "ate_error"])
def test_treatment_that_did_not_reach_fit_is_an_error_of_every_scorer(
    log, name, enable_routing
):
    X, y, t, *_ = log
    with pytest.raises(ValueError, match=r"not identified.*Fit with treatment="):
        cross_validate(
            CausalDNNRecommender(**QUICK | {"max_epochs": 1}),
            X,
            y,
            cv=2,
            scoring=getattr(metrics, f"{name}_scorer"),
            params={"true_effect": 2.0 * t},
        )


def test_what_the_model_itself_does_wrong_is_left_to_error_score(log):
    """A candidate that diverged gets the error_score of the search."""

    class Diverged(LinearRegression):
        def effect(self, X, T0=0, T1=1):
            return np.full(len(X), np.nan)

    X, y, t, *_ = log
    with config_context(enable_metadata_routing=True):
        with pytest.warns(UserWarning, match="effect_pred is nan"):
            found = cross_validate(
                Diverged(),
                X,
                y,
                cv=2,
                scoring=metrics.qini_scorer,
                params={"treatment": t},
            )
    assert np.isnan(found["test_score"]).all()


def test_no_score_is_readable():
    assert repr(judging._NoScore("why")) == "no score: why"
