"""Every scorer over the log of the README: ids, text, routing on and off, processes."""

import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from sklearn_causalrec import CausalDNNRecommender, metrics
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.metrics.registry import METRICS

LISTS = {"ndcg", "recall", "mrr", "map"}  # of what is liked or not
SCORERS = {name: getattr(metrics, f"{name}_scorer") for name in METRICS}
ROLES = {"treatment": "shown", "propensity": "chance"}


@pytest.fixture(scope="module")
def log():
    log = make_exposure_log(1000, n_users=50, n_items=40, random_state=0)
    X = log.X.assign(shop=np.where(log.X["item"] % 3 == 0, "north", "south"))
    shown = np.asarray(log.treatment)
    given = {
        "treatment": shown,
        "propensity": np.clip(np.where(shown == 1, 0.4, 0.6), 0.05, 1),
        "true_effect": np.linspace(-1, 1, len(X)),
        "users": X["user"].to_numpy(),
    }
    return X, np.asarray(log.y), given


def make_pipe(**params):
    scaler = make_column_transformer(
        (StandardScaler(), make_column_selector("_x")),
        ("drop", ["shop"]),  # the scorers alone see it
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    rec = CausalDNNRecommender(
        user="user",
        item="item",
        effect_learner="t",
        max_epochs=2,
        hidden_layer_sizes=(8,),
        random_state=0,
        **params,
    )
    return Pipeline([("scaler", scaler), ("rec", rec)])


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("routing", [True, False])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_scorer_over_the_log_of_the_readme(log, task, routing, n_jobs):
    X, y, given = log
    scoring, roles, params = dict(SCORERS), {}, given
    if task == "classification":
        y = (y > np.median(y)).astype(int)
    else:
        scoring = {k: v for k, v in scoring.items() if k not in LISTS}
    if not routing:  # what is a column needs none; true effects can't be one
        X = X.assign(shown=given["treatment"], chance=given["propensity"])
        scoring = {k: v for k, v in scoring.items() if k not in ("pehe", "ate_error")}
        roles, params = ROLES, None
    with config_context(enable_metadata_routing=routing), warnings.catch_warnings():
        warnings.filterwarnings("error", message="Scoring failed")
        found = cross_validate(
            make_pipe(task=task, **roles),
            X,
            y,
            cv=2,
            scoring=scoring,
            params=params,
            n_jobs=n_jobs,
        )
    for name in scoring:
        assert np.isfinite(found[f"test_{name}"]).all(), name


@pytest.mark.parametrize("name", sorted(LISTS))
@pytest.mark.parametrize("error_score", ["raise", np.nan])
def test_an_outcome_that_is_no_relevance_is_an_error_and_never_nan(
    log, name, error_score, enable_routing
):
    X, y, given = log
    with pytest.raises(ValueError, match=r"y_true holds .*: relevance is"):
        cross_validate(
            make_pipe(),
            X,
            y,
            cv=2,
            scoring=SCORERS[name],
            params=given,
            error_score=error_score,
        )


def test_a_routed_search_chooses_by_effects_of_ids_and_text(log, enable_routing):
    X, y, given = log
    grid = {"rec__max_epochs": [1, 4]}
    names = ["r_loss", "dr_loss", "joint_loss", "rate", "calibration_error"]
    scoring = {name: SCORERS[name] for name in [*names, "causal_precision", "cdcg"]}
    search = GridSearchCV(make_pipe(), grid, scoring=scoring, refit="r_loss", cv=2)
    search.fit(X, y, **given)
    for name in scoring:
        scores = search.cv_results_[f"mean_test_{name}"]
        assert np.isfinite(scores).all() and np.ptp(scores) > 0, name


def test_a_model_of_outcomes_may_encode_by_targets(log, enable_routing):
    X, y, given = log
    model = make_pipeline(TargetEncoder(), LinearRegression())
    outcomes = metrics.cross_fit_outcomes(
        y, given["treatment"], 2, X[["user", "item"]], model
    )
    assert np.isfinite(outcomes).all()
