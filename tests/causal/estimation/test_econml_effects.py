"""EconML on arrays: closed forms, intervals, seeds, and what is refused."""

import pickle
import warnings

import numpy as np
import pytest
from econml.dml import LinearDML, NonParamDML
from econml.dr import DRLearner
from econml.metalearners import TLearner
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec.causal.estimation.econml_effects import (
    EconMLEffect,
    causal_forest,
    complete,
    linear_dml,
    linear_dr,
    seeded,
)

pytestmark = pytest.mark.filterwarnings("error")

LINE, LOGIT = LinearRegression(), LogisticRegression()
LINES = {"outcome_model": LINE, "treatment_model": LINE}
ARMS = {"outcome_model": LINE, "treatment_model": LOGIT}


@pytest.fixture(scope="module")
def dose():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(800, 1)), rng.normal(size=(800, 2))
    t = X[:, 0] + W[:, 0] + rng.normal(size=800)
    return t * (1 + X[:, 0] / 2) + W[:, 0] + rng.normal(size=800), t, X, W


@pytest.fixture(scope="module")
def arms():
    rng = np.random.default_rng(1)
    X, W = rng.normal(size=(900, 1)), rng.normal(size=(900, 2))
    t = np.digitize(0.5 * W[:, 0] + rng.normal(size=900), [-0.5, 0.5])
    return t * (1 + X[:, 0] / 2) + W[:, 0] + rng.normal(size=900), t, X, W


def test_robinson_in_closed_form(dose):
    """LinearDML without modifiers is a regression of residuals on residuals."""
    y, t, X, W = dose
    C, fold = np.column_stack([X, W]), np.arange(len(y)) % 4
    model = EconMLEffect(linear_dml(), **LINES).fit(y, t, None, C, fold)
    ry, rt = np.empty((2, len(y)))
    for k in range(4):
        learn, held = fold != k, fold == k
        ry[held] = y[held] - LINE.fit(C[learn], y[learn]).predict(C[held])
        rt[held] = t[held] - LINE.fit(C[learn], t[learn]).predict(C[held])
    assert model.ate() == pytest.approx(rt @ ry / (rt @ rt), rel=1e-9)
    assert model.effect(np.zeros((3, 0)), 1, 3) == pytest.approx([2 * model.ate()] * 3)


def test_effects_of_a_dose(dose):
    model = EconMLEffect(**LINES).fit(*dose)
    low, high = model.effect_interval([[-1.0], [1.0]])
    assert ((low < [0.5, 1.5]) & (high > [0.5, 1.5])).all()
    assert model.effect([[1.0]], 2, 0) == pytest.approx(-2 * model.effect([[1.0]]))
    low, high = model.ate_interval()
    assert low < model.ate() < high
    inner = model.ate_interval(dose[2])
    spread = model.effect().var() / len(dose[0])
    # the sample of rows adds the variance of its mean effect
    half = (inner[1] - inner[0]) / 2
    assert (high - low) / 2 == pytest.approx(np.sqrt(half**2 + 1.959964**2 * spread))
    wide = model.ate_interval(alpha=0.01)
    assert wide[0] < low and wide[1] > high


def test_default_models_do_not_warn_and_repeat(dose):
    found = [EconMLEffect(random_state=3).fit(*dose).ate_interval() for _ in range(2)]
    assert found[0] == found[1]
    assert found[0][0] < 1 < found[0][1]


def test_arms_against_each_other(arms):
    """Intervals between arms neither of which is the first; and of the way back."""
    model = EconMLEffect(discrete=True, **ARMS).fit(*arms)
    for t0, t1 in ((0, 1), (1, 2), (2, 0), (2, 1)):
        low, high = model.ate_interval(t0=t0, t1=t1)
        assert low < t1 - t0 < high
        assert low < model.ate(t0=t0, t1=t1) < high
        back = model.ate_interval(t0=t1, t1=t0)
        assert back == (pytest.approx(-high, abs=0.05), pytest.approx(-low, abs=0.05))
    copy = pickle.loads(pickle.dumps(model))
    assert copy.ate_interval(t0=1, t1=2) == model.ate_interval(t0=1, t1=2)


def test_named_arms(arms):
    y, t, X, W = arms
    names = np.array(["a", "b", "c"])[t]
    model = EconMLEffect(linear_dr(), **ARMS).fit(y, names, X, W)
    plain = EconMLEffect(linear_dr(), **ARMS).fit(y, t, X, W)
    assert model.ate(t0="a", t1="c") == pytest.approx(plain.ate(t0=0, t1=2))
    assert model.ate_interval(t0="b", t1="c") == pytest.approx(
        plain.ate_interval(t0=1, t1=2)
    )


def test_forest_of_two_arms_has_a_doubly_robust_average(arms):
    y, t, X, W = arms
    t = (t > 0) * 1
    y = t * (1 + X[:, 0]) + W[:, 0] + np.random.default_rng(0).normal(size=len(y))
    model = EconMLEffect(causal_forest(discrete=True, n_estimators=40), **ARMS)
    model.fit(y, t, X, W)
    low, high = model.ate_interval()
    assert low < 1 < high and high - low < 0.5
    assert model.ate(t0=1, t1=0) == -model.ate()
    assert model.ate_interval(t0=1, t1=0) == (-high, -low)


def test_estimator_of_the_user_is_untouched(dose):
    mine = LinearDML(model_y=LINE, model_t=LINE, cv=3)
    model = EconMLEffect(mine, random_state=5).fit(*dose)
    assert mine.random_state is None and not hasattr(mine, "ortho_learner_model_final_")
    assert model.estimator_.random_state == 5 and model.estimator_.cv == 3


def test_open_models_and_seeds_are_filled():
    forest = make_pipeline(StandardScaler(), RandomForestRegressor(5))
    done = seeded(forest, 7)
    assert done[-1].random_state == 7 and forest[-1].random_state is None
    kept = seeded(RandomForestRegressor(random_state=1), 7)
    assert kept.random_state == 1
    filled = complete(LinearDML(model_y=LINE), None, forest, 7)
    assert filled.model_y is not LINE and isinstance(filled.model_y, LinearRegression)
    assert filled.model_t[-1].random_state == 7
    arms = complete(LinearDML(discrete_treatment=True), None, None, 0)
    assert all(hasattr(m, "predict_proba") for m in arms.model_t)
    assert not any(hasattr(m, "predict_proba") for m in arms.model_y)


def test_estimators_without_intervals_say_so(dose, arms):
    point = NonParamDML(model_y=LINE, model_t=LINE, model_final=LinearRegression())
    model = EconMLEffect(point).fit(*dose)
    assert np.isfinite(model.effect()).all()
    y, t, X, _ = arms
    both = EconMLEffect(TLearner(models=LINE)).fit(y, t, X)
    for fitted in (model, both):
        with pytest.raises(ValueError, match="bootstrap"):
            fitted.ate_interval()


def test_any_discrete_estimator(arms):
    y, t, X, W = arms
    model = EconMLEffect(DRLearner(), **ARMS).fit(y, t, X, W)
    assert model.ate(t0=0, t1=2) == pytest.approx(2, abs=0.4)
    assert model.effect_interval([[0.0]], t0=0, t1=1)[0].shape == (1,)


def test_bad_input_is_named(dose):
    y, t, X, W = dose
    holes = W.copy()
    holes[3, 1] = np.nan
    for args, text in (
        ((y, t[:-1], X), "800 rows and the treatment 799"),
        ((y, t, X[:-1]), "800 rows and X 799"),
        ((y, np.ones(800), X), "1.0 in every row"),
        ((y, t, X, holes), "Column 1 of W has missing"),
    ):
        with pytest.raises(ValueError, match=text):
            EconMLEffect().fit(*args)
    with pytest.raises(ValueError, match="needs effect modifiers"):
        EconMLEffect(causal_forest()).fit(y, t, None, W)
    with pytest.raises(ValueError, match="knows no controls"):
        EconMLEffect(TLearner(models=LINE)).fit(y, (t > 0) * 1, X, W)


def test_no_warning_escapes_with_column_vectors(arms):
    y, t, X, W = arms
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EconMLEffect(discrete=True).fit(y, t, X, W).effect_interval()
