"""The table of metrics, and a metric of somebody else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import metrics
from sklearn_causalrec.metrics.outcome_scorers import READY_MADE
from sklearn_causalrec.metrics.registry import METRICS, SECTIONS, Metric

DOCS = Path(__file__).parents[2] / "docs"

# All that somebody else writes: one function, and one line that registers it.
THEIR_MODULE = """
import numpy as np
from sklearn_causalrec.metrics import register_metric

def gain_of_best(y, effect_pred, treatment, *, share=0.5):
    best = effect_pred >= np.quantile(effect_pred, 1 - share)
    return y[best & treatment].mean() - y[best & ~treatment].mean()

register_metric("gain_of_best", needs=("y", "effect_pred", "treatment"))(gain_of_best)
"""


class Lines(RegressorMixin, BaseEstimator):
    """A line an arm."""

    __metadata_request__fit = {"treatment": True}

    def __init__(self, gain=1.0):
        self.gain = gain

    def fit(self, X, y, treatment):
        self.arms_ = np.array([0, 1])
        self.lines_ = [
            LinearRegression().fit(X[treatment == t], y[treatment == t]) for t in (0, 1)
        ]
        return self

    def predict(self, X, treatment=1):
        return self.lines_[treatment].predict(X)

    def effect(self, X, T0=0, T1=1):
        return self.gain * (self.predict(X, T1) - self.predict(X, T0))


@pytest.fixture
def log():
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(600, 2)), rng.integers(0, 2, 600)
    return X, X[:, 0] + t * (1 + X[:, 1]) + 0.1 * rng.normal(size=600), t


@pytest.fixture
def registry():
    known = dict(METRICS)
    yield METRICS
    for name in [name for name in METRICS if name not in known]:
        del METRICS[name]
        vars(metrics).pop(f"{name}_scorer", None)


@pytest.fixture
def theirs(tmp_path, monkeypatch, registry):
    """Their module, imported."""
    (tmp_path / "their_metric.py").write_text(THEIR_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    import their_metric

    yield their_metric
    del sys.modules["their_metric"]


def test_a_metric_of_somebody_else_has_a_scorer(theirs, log, enable_routing):
    X, y, t = log
    pipe = make_pipeline(StandardScaler(), Lines())
    assert "gain_of_best_scorer" in metrics.__all__
    found = cross_validate(
        pipe,
        X,
        y,
        cv=KFold(3),
        scoring={
            "ready": metrics.gain_of_best_scorer,
            "fifth": metrics.make_causal_scorer("gain_of_best", share=0.2),
        },
        params={"treatment": t},
    )
    train, test = list(KFold(3).split(X))[1]
    model = Lines().fit(X[train], y[train], t[train])
    for name, share in (("ready", 0.5), ("fifth", 0.2)):
        by_hand = theirs.gain_of_best(
            y[test], model.effect(X[test]), t[test] == 1, share=share
        )
        assert found[f"test_{name}"][1] == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="treatment is missing"):
        metrics.gain_of_best_scorer(model, X, y)


def test_a_metric_of_somebody_else_in_other_processes(theirs, log, enable_routing):
    """Where nobody has imported their module before."""
    get_reusable_executor().shutdown(wait=True)  # of earlier tests, with another path
    X, y, t = log
    search = GridSearchCV(
        Lines(),
        {"gain": [-1.0, 1.0]},
        scoring=metrics.gain_of_best_scorer,
        cv=2,
        n_jobs=2,
    ).fit(X, y, treatment=t)
    assert search.best_params_ == {"gain": 1.0}


def test_losses_nuisances_and_names_of_parameters(registry, log):
    """A mapping names parameters; a loss changes its sign; models are handed on."""
    X, y, t = log

    @metrics.register_metric(
        "distance",
        needs={"guess": "effect_pred", "target": "scores"},
        greater_is_better=False,
    )
    def distance(guess, target, *, power=2):
        return np.mean(np.abs(guess - target) ** power)

    model = Lines().fit(X, y, t)
    given = dict(treatment=t, propensity=np.full(600, 0.5))
    options = dict(model=LinearRegression(), cv=2)
    value = metrics.make_causal_scorer("distance", **options)(model, X, y, **given)
    dr_loss = metrics.make_causal_scorer("dr_loss", **options)(model, X, y, **given)
    assert value == pytest.approx(dr_loss)
    absolute = metrics.make_causal_scorer("distance", power=1, **options)
    assert 0 > absolute(model, X, y, **given) > -1


def test_registration_refuses(registry):
    with pytest.raises(ValueError, match="needs 'price', which scorers don't know"):
        metrics.register_metric("revenue", needs=("y", "price"))(np.mean)
    with pytest.raises(ValueError, match="'qini' is qini_score already"):
        metrics.register_metric("qini", needs=("y",))(np.mean)
    assert "revenue" not in registry
    with pytest.raises(AttributeError, match="no attribute 'revenue_scorer'"):
        metrics.revenue_scorer  # noqa: B018


def rows(section):
    for row in SECTIONS[section]:
        yield row.fn if isinstance(row, Metric) else row


def test_public_names_are_those_of_the_table():
    names = {each.__name__ for section in SECTIONS for each in rows(section)}
    names |= {f"{name}_scorer" for name in METRICS}
    names |= {f"outcome_{name}_scorer" for name in READY_MADE}
    names |= {"make_causal_scorer", "make_outcome_scorer", "register_metric"}
    assert names == set(metrics.__all__) == set(dir(metrics))
    everything = {}
    exec("from sklearn_causalrec.metrics import *", everything)
    assert names <= set(everything)


def test_docs_list_the_table():
    api = (DOCS / "api.rst").read_text()
    for section in SECTIONS:
        listed = re.search(
            rf"^{section}:\n\n\.\. autosummary::\n    :toctree: generated\n\n"
            r"((?:    \w+\n)+)",
            api,
            re.MULTILINE,
        )[1].split()
        assert listed == [each.__name__ for each in rows(section)]


def test_guide_and_docstring_name_every_scorer():
    guide = (DOCS / "objectives_and_metrics.md").read_text()
    table = [line.split("|") for line in guide.splitlines() if line.startswith("| ")]
    table = table[[line[1].strip() for line in table].index("you ask") + 1 :]
    listed, scored = (
        set(re.findall(r"`(\w+)`", " ".join(row[column] for row in table)))
        for column in (2, 3)
    )
    of_outcomes = {f"outcome_{name}" for name in READY_MADE}
    assert scored - of_outcomes == set(METRICS)
    assert [name for name in of_outcomes if f"`{name}_scorer`" not in guide] == []
    assert {row.fn.__name__ for row in METRICS.values()} <= listed
    doc = metrics.make_causal_scorer.__doc__
    assert [name for name in METRICS if f'"{name}"' not in doc] == []


def test_code_of_the_guide_runs():
    guide = (DOCS / "objectives_and_metrics.md").read_text()
    names = {}
    with config_context():  # set_config of the guide ends here
        for block in re.findall(
            r"^```python\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE
        ):
            exec(block, names)
    plt.close("all")
    assert names["found"].importances_mean.shape == (12,)


def test_import_is_light():
    code = (
        "import sys, sklearn_causalrec.metrics as m; m.qini_scorer; m.policy_value\n"
        "heavy = {'torch', 'skorch', 'econml', 'networkx', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
