"""What came from data is text: in HTML, in SVG, in Markdown, and in spreadsheets."""

import ast
import csv
from io import BytesIO, StringIO
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from sklearn.linear_model import LinearRegression, LogisticRegression

import sklearn_causalrec
from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
    decide,
    explain_effect,
    report,
    segments,
)
from sklearn_causalrec.baselines import EASE
from sklearn_causalrec.causal import refute
from sklearn_causalrec.causal.discovery import DiscoveredGraph
from sklearn_causalrec.interactions import clean_log
from sklearn_causalrec.plot import (
    BalanceDisplay,
    CalibrationDisplay,
    CausalGraphDisplay,
    EffectDisplay,
    OverlapDisplay,
    SensitivityDisplay,
    TrainingCurveDisplay,
    UpliftCurveDisplay,
)
from sklearn_causalrec.privacy import (
    anonymity_report,
    data_inventory,
    model_card,
    spreadsheet_safe,
)

EVIL = "<img src=x onerror=alert(1)>"
SEEN = "&lt;img src=x onerror=alert(1)&gt;"
N = 160


@pytest.fixture(scope="module")
def world():
    """A log whose column, arm, outcome and users have such names, and a model of it."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(N, 2)), columns=[EVIL, "b"])
    arm = pd.Series(rng.integers(0, 2, N), name="shown")
    y = pd.Series(X["b"] + arm * (1 + X[EVIL]) + rng.normal(size=N), name=EVIL + "y")
    model = DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(), cv=2,
        effect_model=LinearRegression(), random_state=0,
    )  # fmt: skip
    arms = arm.map({0: "none", 1: EVIL}).rename("arm")
    named = DoCalculusEffect(**model.get_params(deep=False)).set_params(control="none")
    return {
        "X": X, "y": y, "arm": arm,
        "model": model.fit(X, y, treatment=arm),
        "arms": named.fit(X, y, treatment=arms),
        "ids": pd.DataFrame({"user": [EVIL, "u"] * 8, "item": [*"ijk", EVIL] * 4}),
    }  # fmt: skip


GRAPH = CausalGraph.from_edges([("x", "y"), (EVIL, "x"), (EVIL, "y")])


def discovered(_):
    graph = DiscoveredGraph.from_edges([], [], [EVIL, "y"])
    graph.undirected = ((EVIL, "---", "y"),)
    return graph


MADE = {
    "CausalGraph": lambda w: GRAPH,
    "Estimand": lambda w: GRAPH.identify("y", "x"),
    "Derivation": lambda w: GRAPH.identify("y", "x").derivation,
    "DiscoveredGraph": discovered,
    "EffectExplanation": lambda w: explain_effect(
        w["model"], w["X"][:4], background=w["X"], n_background=5, random_state=0
    ),
    "Decision": lambda w: decide(w["arms"], w["X"]),
    "Segments": lambda w: segments(w["model"], w["X"]),
    "Page": lambda w: report(w["model"], w["X"]),
    "Report": lambda w: w["model"].summary(),
    "Refutation": lambda w: refute(
        w["model"], w["X"], w["y"], w["arm"], n_simulations=3, methods=("placebo",),
        random_state=0,
    ),
    "ConfoundingBounds": lambda w: w["model"].sensitivity(
        w["X"], w["y"], w["arm"], benchmarks=[EVIL]
    ),
    "AnonymityReport": lambda w: anonymity_report(
        w["ids"].set_axis([EVIL, "item"], axis=1), [EVIL, "item"]
    ),
    "CleaningReport": lambda w: clean_log(
        pd.DataFrame({
            EVIL: [EVIL, "u", None], "item": ["i", "j", "j"],
            "time": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]),
        }), user=EVIL, item="item", time="time",
    )[1],
}  # fmt: skip


NAMELESS = {"Refutation"}  # it shows no name of the data


def test_the_table_has_every_class_that_shows_itself_as_html():
    found = {
        node.name
        for path in Path(sklearn_causalrec.__file__).parent.rglob("*.py")
        if "_testing" not in path.parts and "def _repr_html_" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(getattr(part, "name", "") == "_repr_html_" for part in node.body)
    }
    assert found == MADE.keys()


@pytest.mark.parametrize("name", MADE)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_html(name, world):
    made = MADE[name](world)
    assert name in [kind.__name__ for kind in type(made).__mro__]
    html = made._repr_html_()
    assert "<img" not in html.lower()
    assert SEEN in html or name in NAMELESS


@pytest.mark.parametrize(
    "estimator",
    [
        CausalDNNRecommender(user=EVIL, item="item"),
        CounterfactualPolicy(treatment=EVIL),
        DoCalculusEffect(f"'{EVIL}' -> y", treatment=EVIL),
        EASE(user=EVIL, item="item"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_html_of_estimators(estimator):
    html = estimator._repr_html_()
    assert "<img" not in html and "&lt;img src=x" in html


def test_accounts_of_a_recommender(world):
    model = EASE(user="user", item="item").fit(world["ids"])
    card = model_card(model, name=EVIL, description=EVIL, metrics={EVIL: 1.0})
    assert "<img" not in card + data_inventory(model)._repr_html_()
    assert card.count("&lt;img") >= 3


def displays(world):
    rng = np.random.default_rng(0)
    names = pd.Index([EVIL, "b"])
    half, t = np.full(40, 0.5), rng.integers(0, 2, 40)
    effect, y = rng.normal(size=(2, 40))
    effects = pd.DataFrame({"estimate": 1.0, "low": 0.0, "high": 2.0}, index=names)
    history = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [1.0, 0.5], "valid_score": [0.1, 0.2]}
    )
    yield CausalGraphDisplay.from_graph(GRAPH, treatment=EVIL, outcome="y")
    yield EffectDisplay.from_frame(effects, label=EVIL)
    yield BalanceDisplay(
        pd.DataFrame({"before": 0.1, "after": 0.0}, index=names)
    ).plot()
    yield OverlapDisplay(
        np.column_stack([half, half]), np.repeat([EVIL, "b"], 20), arms=[EVIL, "b"]
    ).plot()
    yield TrainingCurveDisplay(history, score_name=EVIL).plot()
    yield CalibrationDisplay.from_predictions(effect, y, n_bins=2, name=EVIL)
    yield UpliftCurveDisplay.from_predictions(y, effect, t, n_bootstrap=2, name=EVIL)
    yield SensitivityDisplay.from_sensitivity(MADE["ConfoundingBounds"](world))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_svg_of_displays(world):
    """Shapes and letters are drawn as paths or as text: both as one XML document."""
    for k, display in enumerate(displays(world)):
        for kind in ("path", "none") if k == 0 else ("none",):
            out = BytesIO()
            with rc_context({"svg.fonttype": kind}):
                display.figure_.savefig(out, format="svg")
            svg = out.getvalue().decode()
            assert "<img" not in svg and "&lt;img" in svg, type(display).__name__
            tags = {
                element.tag.split("}")[-1] for element in ElementTree.fromstring(svg)
            }
            assert not tags & {"img", "script"}
        plt.close(display.figure_)


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"]


@pytest.mark.parametrize("start", FORMULAS)
def test_no_cell_of_an_export_is_a_formula(start):
    frame = pd.DataFrame(
        {start: [start, "a=1", None], "n": [-1.5, 2, 3], "t": pd.Timestamp("2024")},
        index=pd.Index([start, "i", "j"], name=start),
    )  # fmt: skip
    before = frame.copy()
    text = spreadsheet_safe(frame).to_csv()
    pd.testing.assert_frame_equal(frame, before)
    rows = list(csv.reader(StringIO(text, newline="")))
    cells = [cell for row in rows for cell in row]
    marked = "'" + start.replace("\r", " ")
    assert cells.count(marked) == 4  # a name, the index and its name, a cell
    assert {"a=1", "-1.5", "2024-01-01"} <= set(cells)
    assert not [c for c in cells if c.startswith(("=", "+", "@", "\t", "\r", "＝"))]


def test_exports_of_other_frames():
    import polars as pl

    levels = pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("=a", "b")]))
    assert spreadsheet_safe(levels).columns.tolist() == [("'=a", "b")]
    kinds = pd.DataFrame({"c": pd.Categorical(["@x", "y"]), "n": [1, -2]})
    safe = spreadsheet_safe(kinds)
    assert safe["c"].tolist() == ["'@x", "y"] and safe["n"].dtype == np.int64
    assert spreadsheet_safe(pl.DataFrame({"a": ["=1"]}))["a"].tolist() == ["'=1"]
    with pytest.raises(TypeError, match="frame must be a pandas or polars"):
        spreadsheet_safe([1])
