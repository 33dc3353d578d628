import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec.metrics import (
    auuc_score,
    calibration_error,
    doubly_robust_scores,
    effect_calibration,
    policy_value,
    qini_curve,
    slate_policy_value,
    uplift_curve,
)
from sklearn_causalrec.plot import (
    CalibrationDisplay,
    PolicyValueDisplay,
    UpliftCurveDisplay,
)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


class Effects(BaseEstimator):
    """Effects are the first column, as the pipeline hands it over."""

    arms_ = np.array([0, 1])

    def fit(self, X, y=None):
        return self

    def effect(self, X, T0=0, T1=1):
        return X[:, 0]

    def predict(self, X, treatment=None):
        return X[:, 0] * (treatment or 0)


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 2))
    t = rng.integers(0, 2, 800)
    y = X[:, 1] + t * X[:, 0] + rng.normal(size=800)
    return X, y, t


@pytest.fixture(scope="module")
def doubled():
    return make_pipeline(FunctionTransformer(lambda X: 2 * X), Effects()).fit([[0.0]])


def test_uplift_curve_is_the_metrics(log, doubled):
    X, y, t = log
    display = UpliftCurveDisplay.from_estimator(doubled, X, y, treatment=t)
    expected = uplift_curve(y, X[:, 0], t)
    np.testing.assert_allclose(display.line_.get_xydata().T, expected)
    assert display.area == pytest.approx(auuc_score(y, X[:, 0], t))
    assert (
        display.ax_.get_legend().get_texts()[0].get_text().startswith("Effects, area")
    )
    random = display.ax_.lines[1]
    np.testing.assert_allclose(random.get_ydata(), [0, expected.gain[-1]])
    low, high = display.band
    assert (low <= expected.gain).all() and (expected.gain <= high).all()

    again = UpliftCurveDisplay.from_predictions(y, -X[:, 0], t, ax=display.ax_)
    assert again.figure_ is display.figure_
    assert again.line_.get_color() != display.line_.get_color()
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels.count("random order") == 1 and len(labels) == 3


def test_uplift_band_is_the_spread_over_samples():
    ends, bands = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, t = rng.normal(size=300), rng.integers(0, 2, 300)
        y = t * x + rng.normal(size=300)
        display = UpliftCurveDisplay.from_predictions(y, x, t, n_bootstrap=30)
        ends.append(display.curve.gain[150])
        low, high = display.band
        bands.append((high[150] - low[150]) / 2 / 1.96)
        plt.close(display.figure_)
    assert np.mean(bands) == pytest.approx(np.std(ends), rel=0.35)


def test_qini_with_propensities_and_without_a_band(log):
    X, y, t = log
    p = np.full(800, 0.5)
    display = UpliftCurveDisplay.from_predictions(
        y, X[:, 0], t, propensity=p, kind="qini", n_bootstrap=0
    )
    expected = qini_curve(y, X[:, 0], t, propensity=p)
    np.testing.assert_allclose(display.line_.get_ydata(), expected.gain)
    assert display.band is None and not display.ax_.collections
    assert "a row shown" in display.ax_.get_ylabel()
    with pytest.raises(ValueError, match="kind is 'lift'"):
        UpliftCurveDisplay.from_predictions(y, X[:, 0], t, kind="lift")


def test_calibration_draws_its_table(log, doubled):
    X, y, t = log
    scores = doubly_robust_scores(y, t)
    display = CalibrationDisplay.from_predictions(X[:, 0], scores, n_bins=5)
    table = effect_calibration(X[:, 0], scores, n_bins=5)
    points, _, (bars,) = display.container_
    np.testing.assert_allclose(points.get_xdata(orig=False), table["predicted"])
    np.testing.assert_allclose(points.get_ydata(orig=False), table["estimated"])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, table[["low", "high"]].to_numpy())
    assert display.error == pytest.approx(calibration_error(X[:, 0], scores, n_bins=5))

    outcomes = np.column_stack([X[:, 1], X.sum(axis=1)])
    wide = CalibrationDisplay.from_estimator(
        doubled, X, y, treatment=t, outcomes=outcomes, ax=display.ax_
    )
    right = doubly_robust_scores(y, t, outcomes=outcomes)
    expected = effect_calibration(2 * X[:, 0], right)
    np.testing.assert_allclose(wide.table.to_numpy(float), expected.to_numpy(float))
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels.count("as predicted") == 1
    assert any(label.startswith("Effects, calibration error") for label in labels)


def test_calibration_finds_its_own_nuisances(log):
    X, y, t = log
    display = CalibrationDisplay.from_estimator(Effects(), X, y, treatment=t, n_bins=4)
    table = display.table
    assert (abs(table["estimated"] - table["predicted"]) < 4 * table["stderr"]).all()


def test_policy_values_side_by_side():
    rng = np.random.default_rng(1)
    action = rng.integers(0, 2, 300)
    y = rng.binomial(1, 0.2 + 0.3 * action)
    given = dict(policy=[0.2, 0.8], propensity=np.full(300, 0.5))
    result = policy_value(y, action, **given)
    display = PolicyValueDisplay.from_predictions(y, action, reference=0.44, **given)
    ax = display.ax_
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == list(result.table.index)
    drawn = {
        names[round(line.get_ydata()[0])]: line.get_xdata()
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_ydata()[0] == line.get_ydata()[1]
    }
    for name, (low, high) in drawn.items():
        assert (low, high) == tuple(result.table.loc[name, ["low", "high"]])
    assert len(drawn) == 9
    vertical = [line.get_xdata()[0] for line in ax.lines[-2:]]
    assert vertical == pytest.approx([y.mean(), 0.44])
    assert "effective sample size" in ax.get_legend().get_title().get_text()


def test_policy_value_of_an_estimator_and_of_slates(log):
    X, y, t = log
    display = PolicyValueDisplay.from_estimator(
        Effects(), X, y, t, propensity=np.full(800, 0.5), estimators=["dr", "ips"]
    )
    best = np.column_stack([X[:, 0] <= 0, X[:, 0] > 0]).astype(float)
    expected = policy_value(y, t, best, propensity=np.full(800, 0.5))
    assert display.result.value == pytest.approx(expected.value)
    p = np.full((50, 2), 0.5)
    slates = slate_policy_value(np.ones((50, 2)), p, propensity=p)
    assert len(PolicyValueDisplay(slates).plot().ax_.get_yticks()) == 2
