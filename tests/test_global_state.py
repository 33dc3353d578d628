"""No public call changes what all code of a process shares."""

import inspect
from importlib import import_module
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import sklearn_causalrec as package
from sklearn_causalrec import (
    baselines,
    causal,
    interactions,
    plot,
    privacy,
    ranking,
    serving,
)
from sklearn_causalrec._testing.faults import process_state
from sklearn_causalrec._testing.fuzz import metrics as metric_calls
from sklearn_causalrec._testing.fuzz import models, tables
from sklearn_causalrec.datasets import (
    load_acic2016,
    load_kuairec_slice,
    make_event_log,
    make_exposure_log,
    make_sequence_log,
)
from sklearn_causalrec.serving.server.keys import make_key

N = 60


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(N, 2)), columns=["a", "b"])
    t = np.arange(N) % 2
    return X, (X["a"] + t + rng.normal(size=N)).to_numpy(), t


@pytest.fixture(scope="module", autouse=True)
def loaded(data):
    """What libraries set when they are first loaded is not of our calls."""
    _summary(*data)


@pytest.fixture(scope="module")
def log():
    return make_event_log(60, n_users=12, n_items=8, dirt=0, random_state=0)


def _fit(X, y, t):
    model = package.DoCalculusEffect(
        outcome_model=LinearRegression(), treatment_model=LogisticRegression(), cv=2,
        effect_model=LinearRegression(), random_state=0,
    )  # fmt: skip
    return model.fit(X, y, treatment=t)


def _deep(X, y, t, **options):
    return package.CausalDNNRecommender(
        hidden_layer_sizes=(4,), max_epochs=1, n_folds=2, random_state=0, **options
    ).fit(X, y, treatment=t)


def _policy(X, y, t):
    model = package.CounterfactualPolicy(hidden_layer_sizes=(4,), max_epochs=1)
    model.set_params(random_state=0).fit(X, y, treatment=t, propensity=np.full(N, 0.5))
    return model.predict_proba(X), model.score(X, y, t, np.full(N, 0.5))


def _summary(X, y, t):
    model = _deep(X, y, t)
    model.ate_interval(), model.att(), model.common_support(), model.summary()
    return model.ate_table(), model.effect_interval(X), repr(model), model._repr_html_()


def _further(X, y, t):
    return _deep(X, y, t, effect_learner="t").partial_fit(X, y, treatment=t)


def _dose(X, y, t):
    model = package.DoCalculusEffect(treatment="b", cv=2, random_state=0)
    return model.fit(X, y).dose_response()


def _refuted(X, y, t):
    return causal.refute(_fit(X, y, t), X, y, t, n_simulations=3, random_state=0)


def _control(X, y, t):
    return causal.negative_control(_fit(X, y, t), X, {"a": y}, t)


def _difference(X, y, t):
    return package.outcome_difference_interval(X, y, t, X[:3], random_state=0)


def _graph(X, y, t):
    graph = package.CausalGraph("w -> x -> y; w -> y")
    estimand = graph.identify("y", "x")
    estimand._repr_html_(), estimand.to_latex(), list(graph.adjustment_sets("y", "x"))
    package.CausalGraph.from_networkx(graph.to_networkx()), graph.to_dot()
    return graph.transport("y", "x", differs="w")


def _discovered(X, y, t):
    return package.CausalGraph.discover(X.assign(c=y), n_bootstrap=0)


def _displays(X, y, t):
    model, half = _fit(X, y, t), np.full((N, 2), 0.5)
    graph = package.CausalGraph("a -> b")
    frame = pd.DataFrame({"estimate": [1.0], "low": [0.0], "high": [2.0]})
    sensitivity = model.sensitivity(X, y, t)
    plot.CausalGraphDisplay.from_graph(graph)
    plot.EffectDisplay.from_frame(frame)
    plot.BalanceDisplay.from_estimator(model)
    plot.OverlapDisplay.from_predictions(half, t)
    plot.SensitivityDisplay.from_sensitivity(sensitivity)
    plot.CalibrationDisplay.from_predictions(X["a"], y, n_bins=2)
    plot.UpliftCurveDisplay.from_predictions(y, X["a"], t, n_bootstrap=2)
    plot.PolicyValueDisplay.from_predictions(y, t, half, propensity=np.full(N, 0.5))
    deep = _deep(X, y, t, effect_learner="t")
    plot.TrainingCurveDisplay.from_estimator(deep)
    plot.NetworkDisplay.from_estimator(deep, X)
    plt.close("all")


def _ratings(X, y, t):
    ids = pd.DataFrame({"user": np.arange(N) % 7, "item": np.arange(N) % 5})
    for kind in (baselines.GlobalMean, baselines.UserItemBias):
        kind(user="user", item="item").fit(ids, y).predict(ids)


def _reranked(X, y, t):
    rows = {"user": [1, 1, 2], "item": ["a", "b", "a"], "score": [0.2, 0.1, 0.3]}
    kinds = pd.DataFrame({"kind": ["u", "v"], "cost": 1.0}, index=["a", "b"])
    for constraints in (
        [ranking.PopularityCap(1)], [ranking.Budget("cost", 5)],
        [ranking.CategoryQuota("kind", at_most=1)],
        [ranking.MMR(pd.DataFrame(np.eye(2), index=["a", "b"], columns=["a", "b"]))],
    ):  # fmt: skip
        given = dict(items=kinds.rename_axis("item").reset_index())
        try:
            ranking.rerank(
                pd.DataFrame(rows), k=1, constraints=constraints, user="user",
                item="item", **given,
            )  # fmt: skip
        except (ValueError, TypeError):  # what it refuses leaves nothing, either
            pass


CALLS = {
    "CausalDNNRecommender": _summary,
    "CausalDNNRecommender.partial_fit": _further,
    "CounterfactualPolicy": _policy,
    "DoCalculusEffect": lambda X, y, t: _fit(X, y, t).summary(),
    "DoCalculusEffect.dose_response": _dose,
    "EffectRegressor": lambda X, y, t: (
        package.EffectRegressor(_deep(X, y, t)).predict(X)
    ),
    "effect": lambda X, y, t: package.effect(_fit(X, y, t), X),
    "outcome_difference_interval": _difference,
    "CausalGraph": _graph,
    "CausalGraph.discover": _discovered,
    "refute": _refuted,
    "negative_control": _control,
    "displays": _displays,
    "load_acic2016": lambda X, y, t: load_acic2016(),
    "load_kuairec_slice": lambda X, y, t: load_kuairec_slice(),
    "make_exposure_log": lambda X, y, t: make_exposure_log(50, random_state=0),
    "make_sequence_log": lambda X, y, t: make_sequence_log(50, random_state=0),
    "make_event_log": lambda X, y, t: make_event_log(50, random_state=0),
    "top_k": lambda X, y, t: ranking.top_k(
        lambda start, stop: np.zeros((stop - start, 3)), 2, 3, 2
    ),
    "rerank": _reranked,
    "baselines": _ratings,
    "ColdStart": lambda X, y, t: package.recommend(
        models._recommender(), k=2, cold_start=ranking.ColdStart("average")
    ),
    "spreadsheet_safe": lambda X, y, t: privacy.spreadsheet_safe(X),
    "to_onnx": lambda X, y, t: package.to_onnx(_deep(X, y, t, effect_learner="t")),
}  # fmt: skip


def unchanged(call, *args):
    before = process_state()
    call(*args)
    now = process_state()
    assert {key for key in before if now[key] != before[key]} == set()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_calls(name, data):
    unchanged(CALLS[name], *data)


@pytest.mark.parametrize("part", [models, tables], ids=["models", "tables"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_questions_to_fitted_models_and_tables(part):
    for question, _ in part._asked():
        unchanged(lambda question=question: question.ask(**question.plain))


@pytest.mark.filterwarnings("ignore")
def test_metrics():
    rng = np.random.default_rng(0)
    data = metric_calls._data(rng)
    for call in metric_calls._calls(rng, data):
        given = {key: data[column] for key, column in call.columns.items()}
        unchanged(lambda call=call, given=given: call.metric(**given, **call.options))


def test_from_raw_logs_to_examples(log, tmp_path):
    roles = dict(user="user", item="item", time="time")

    def work():
        _, report = interactions.clean_log(log.events, **roles)
        report._repr_html_()
        examples = interactions.build_examples(
            log.tidy_events, log.impressions, **roles, event="event", window="7D",
            outcome="purchase", treatment="shown", propensity="propensity",
            users=log.user_table, negative_fraction=0.5, random_state=0,
        )  # fmt: skip
        steps = interactions.make_preprocessor(
            examples, **roles, treatment="treatment", propensity="propensity",
            outcome=["outcome", "sample_weight"],
        )  # fmt: skip
        steps.fit_transform(examples, examples["outcome"])
        for splitter in (interactions.TimeSplit(2), interactions.ColdUserSplit(2)):
            list(splitter.split(examples))

    unchanged(work)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_servers_and_their_logs(tmp_path):
    fastapi = pytest.importorskip("fastapi")
    path = tmp_path / "m"
    package.save(models._recommender(), path)

    def work():
        host = serving.ModelHost(path)
        host.reload(force=True)
        decisions = serving.DecisionLog(tmp_path / "log")
        app = serving.create_app(host, decisions=decisions)
        assert isinstance(app, fastapi.FastAPI)
        decisions.close()
        with pytest.raises(FileNotFoundError):  # there are none so far
            serving.read_decisions(tmp_path / "log")

        keys = tmp_path / "keys.json"
        key, _ = make_key(keys, "shop", ["recommend"])
        serving.KeyRing(keys).caller(key)
        serving.AuditLog(tmp_path / "audit").close()

    unchanged(work)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_logs_on_disk(tmp_path):
    pytest.importorskip("pyarrow")
    log = make_exposure_log(300, n_users=20, n_items=20, random_state=0)
    path = tmp_path / "log.parquet"
    log.X.assign(y=log.y, shown=log.treatment).to_parquet(path)
    model = package.CausalDNNRecommender(
        user="user", item="item", max_epochs=2, effect_learner="t", random_state=0
    )

    def work():
        model.fit(path, "y", treatment="shown")
        ranking.write_predictions(model, path, tmp_path / "effects.parquet")
        ranking.write_lists(model, tmp_path / "lists.parquet", k=2)

    unchanged(work)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_private_training(data):
    pytest.importorskip("opacus", reason="the extra private")
    X, y, t = data
    budget = privacy.PrivacyBudget(
        3.0, 1e-3, unit="row", ranges=(-4, 4), outcome=(-6, 6)
    )

    def work():
        model = _deep(X, y, t, effect_learner="t", private=budget)
        assert isinstance(model.privacy_spent_, privacy.PrivacySpent)
        privacy.total_spent([model.privacy_spent_])
        privacy.public_copy(model).predict(X, treatment=1)

    work()  # Opacus sets what it needs when it is first loaded
    unchanged(work)


def test_the_watch_sees_changes(monkeypatch):
    state = np.random.get_state()  # noqa: NPY002
    with pytest.raises(AssertionError):
        unchanged(np.random.random)
    np.random.set_state(state)  # noqa: NPY002
    for change, back in [
        (lambda: np.seterr(all="ignore"), lambda: np.seterr(all="warn")),
        (lambda: plt.rcParams.update({"font.size": 3}), plt.rcdefaults),
    ]:
        with pytest.raises(AssertionError):
            unchanged(change)
        back()


# Results, errors and settings, which the calls above make.
MADE = """
    NotIdentifiableError NotTransportableError UndecidedError ModelFileError Estimand
    Transport EffectBounds CompiledScorer EffectExplanation Decision Segments Page
    PolicyTree Report AnonymityReport CleaningReport Catalogue ColumnRoles Log IdIndex
    ExposureWorld Exploration
"""


def test_every_public_function_is_called():
    """Its name is in this file or in the questions, or it is made by what is."""
    here = Path(__file__).read_text()
    texts = here + inspect.getsource(models) + inspect.getsource(tables)
    rooms = ["", ".privacy", ".serving", ".explaining", ".baselines", ".causal",
             ".ranking", ".datasets", ".plot"]  # fmt: skip
    missing = []
    for room in rooms:
        module = import_module(f"sklearn_causalrec{room}")
        for name in module.__all__:
            if callable(getattr(module, name)) and name not in texts:
                missing.append(f"{room}.{name}")
    assert sorted(missing) == []
