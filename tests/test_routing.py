"""Treatment on its way through Pipeline, search and cross-validation.

Every cell of this table is a test:

    call                                routing off          routing on
    pipe.fit(X, y, rec__treatment=t)    works                TypeError
    pipe.fit(X, y, treatment=t)         ValueError           works
    pipe.score(X, y, treatment=t)       error, not silence   works
    cross_val_score, GridSearchCV       fit alone            works, sliced by fold
    treatment a column of X             works                works
"""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CausalDNNRecommender, effect


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X = rng.normal(5.0, 3.0, size=(600, 3))
    t = rng.binomial(1, 1 / (1 + np.exp(5 - X[:, 0])))
    y = X[:, 1] + 4 * t + rng.normal(size=600)
    return X, y, t


def make_pipe(**params):
    quick = dict(max_epochs=30, effect_learner="t", random_state=0)
    rec = CausalDNNRecommender(**quick | params)
    return Pipeline([("scaler", StandardScaler()), ("rec", rec)])


def test_fit_by_step_name_without_routing(log):
    X, y, t = log
    pipe = make_pipe().fit(X, y, rec__treatment=t)
    assert abs(effect(pipe, X).mean() - 4) < 0.5


def test_fit_by_step_name_with_routing(log, enable_routing):
    X, y, t = log
    with pytest.raises(TypeError, match="unexpected argument"):
        make_pipe().fit(X, y, rec__treatment=t)


def test_fit_by_name_without_routing(log):
    X, y, t = log
    with pytest.raises(ValueError, match=r"Pipeline.fit does not accept"):
        make_pipe().fit(X, y, treatment=t)


def test_fit_predict_and_score_with_routing(log, enable_routing):
    X, y, t = log
    pipe = make_pipe().fit(X, y, treatment=t)
    assert abs(effect(pipe, X).mean() - 4) < 0.5
    assert pipe.score(X, y, treatment=t) > 0.8
    under_0 = pipe.predict(X, treatment=np.zeros(len(X)))
    assert abs((pipe.predict(X) - under_0).mean() - 4) < 1


def test_score_never_drops_treatment_silently(log):
    X, y, t = log
    pipe = make_pipe().fit(X, y, rec__treatment=t)
    with pytest.raises(ValueError, match="pass treatment= to score"):
        pipe.score(X, y, treatment=t)


def test_cross_validation_without_routing_fits_and_says_why_it_cannot_score(log):
    X, y, t = log
    fitted = cross_validate(
        make_pipe(),
        X,
        y,
        cv=2,
        params={"rec__treatment": t},
        scoring=lambda est, X, y: effect(est, X).mean(),
    )
    assert np.abs(fitted["test_score"] - 4).max() < 1
    with pytest.raises(ValueError, match="pass treatment= to score"):
        cross_val_score(
            make_pipe(), X, y, cv=2, params={"rec__treatment": t}, error_score="raise"
        )


def test_cross_validation_with_routing_slices_treatment(log, enable_routing):
    X, y, t = log
    scores = cross_val_score(make_pipe(), X, y, cv=3, params={"treatment": t})
    assert scores.min() > 0.7
    many = cross_validate(
        make_pipe(),
        X,
        y,
        cv=2,
        params={"treatment": t, "propensity": np.full(len(y), 0.5)},
        return_train_score=True,
    )
    assert many["train_score"].min() > 0.7


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_with_routing(log, enable_routing, n_jobs):
    X, y, t = log
    grid = {"rec__learning_rate": [1e-6, 3e-3]}
    search = GridSearchCV(make_pipe(), grid, cv=2, n_jobs=n_jobs)
    search.fit(X, y, treatment=t)
    assert search.best_params_ == {"rec__learning_rate": 3e-3}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert abs(effect(search, X).mean() - 4) < 0.5
    assert search.score(X, y, treatment=t) > 0.8


def test_effect_is_not_a_method_of_pipeline_or_search(log):
    X, y, t = log
    pipe = make_pipe().fit(X, y, rec__treatment=t)
    with pytest.raises(AttributeError):
        pipe.effect(X)
    nested = Pipeline([("outer", StandardScaler()), ("inner", make_pipe())])
    nested.fit(X, y, inner__rec__treatment=t)
    assert abs(effect(nested, X).mean() - 4) < 0.5


@pytest.mark.parametrize("routing", [False, True])
def test_treatment_as_a_column_needs_no_routing(
    log, routing, quick_recommender, scale_columns
):
    X, y, t = log
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(shown=t)
    scale = scale_columns(["a", "b", "c"])
    rec = quick_recommender(treatment="shown", max_epochs=30)
    pipe = Pipeline([("scaler", scale), ("rec", rec)])
    with config_context(enable_metadata_routing=routing):
        assert cross_val_score(pipe, frame, y, cv=2).min() > 0.7
        grid = {"rec__dropout": [0.0, 0.1]}
        search = RandomizedSearchCV(pipe, grid, n_iter=2, cv=2).fit(frame, y)
    assert abs(effect(search, frame).mean() - 4) < 0.5


def test_a_scaled_treatment_column_keeps_its_two_arms(log):
    X, y, t = log
    with_t = np.column_stack([X, t])
    pipe = make_pipe(treatment=3).fit(with_t, y)
    assert abs(effect(pipe, with_t).mean() - 4) < 0.5
    assert pipe.score(with_t, y) > 0.8


def test_a_transformed_target_would_change_the_units(log):
    X, y, t = log
    rec = CausalDNNRecommender(max_epochs=2, treatment=3, effect_learner="t")
    scaled = TransformedTargetRegressor(rec, transformer=StandardScaler())
    scaled.fit(np.column_stack([X, t]), y)
    with pytest.raises(TypeError, match="units of y"):
        effect(scaled, X)


def test_clone_keeps_the_requests(enable_routing):
    rec = clone(CausalDNNRecommender())
    requests = rec.get_metadata_routing()
    assert requests.fit.requests["treatment"] is True
    assert requests.fit.requests["propensity"] is True
    assert requests.score.requests["treatment"] is True
