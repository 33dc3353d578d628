"""Graphs of ONNX against the estimators that they were made from."""

import json
import subprocess
import sys
import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    DoCalculusEffect,
    baselines,
    to_onnx,
)

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
SMALL = dict(
    hidden_layer_sizes=(8,), embedding_dim=4, max_epochs=2, n_folds=2, random_state=0
)
ITEMS = list("abcdefgh")
SIZES = (1, 2, 7, 64, 300)


def make_log(n=300, seed=0, arms=2, length=6):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"user": rng.integers(0, 20, n), "item": rng.choice(ITEMS, n)})
    X["age"], X["price"] = rng.normal(size=n), rng.normal(size=n)
    counts = rng.integers(0, length + 1, n)
    X["past"] = [list(rng.choice(ITEMS, k)) for k in counts]
    X["ago"] = [list(rng.exponential(5, k)) for k in counts]
    t = rng.integers(0, arms, n)
    return X, (X["age"] + t * (1 + X["price"]) + rng.normal(size=n)).to_numpy(), t


def inputs_of(model, X):
    """What the graph reads of rows, made without the package."""
    feed = {"features": X[["age", "price"]].to_numpy(float)}
    for role in ("user", "item"):
        if getattr(model, role) is not None:
            feed[role] = X[role].to_numpy(dtype=object if role == "item" else np.int64)
    if model.history is not None:
        length = model.history_length
        past = [cell[-length:] for cell in X["past"]]
        feed["history"] = np.array(
            [cell + ["?"] * (length - len(cell)) for cell in past], dtype=object
        )
        feed["history_length"] = np.array([len(cell) for cell in past])
        if not isinstance(model.history, str):
            ago = [list(cell[-length:]) for cell in X["ago"]]
            feed["history_values"] = np.array(
                [cell + [7.0] * (length - len(cell)) for cell in ago], np.float32
            )[:, :, None]
    return feed


def check_graph(model, *, effects=True, tolerance=1e-5):
    """Outcomes and effects of five batch sizes; ids and items that are new, too."""
    proto = to_onnx(model)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = {value.name for value in session.get_inputs()}
    arms = model.arms_.tolist()
    control = 0 if model.control_ is None else arms.index(model.control_)
    for n in SIZES:
        X, _, _ = make_log(n, seed=n)
        if model.user is not None:
            X.loc[0, "user"] = 10**12
            X.loc[n - 1, "item"] = "new"
        rows = X[list(model.feature_names_in_)]
        feed = {k: v for k, v in inputs_of(model, X).items() if k in names}
        found = dict(zip(("outcome", "effect"), session.run(None, feed)))
        for j, arm in enumerate(arms):
            given = {} if len(arms) == 1 else {"treatment": arm}
            want = (
                model.predict_proba(rows, **given)[:, 1]
                if model.task == "classification"
                else model.predict(rows, **given)
            )
            np.testing.assert_allclose(found["outcome"][:, j], want, atol=tolerance)
            if effects and j != control:
                want = model.effect(rows, T0=arms[control], T1=arm)
                np.testing.assert_allclose(found["effect"][:, j], want, atol=tolerance)
    assert ("effect" in {o.name for o in session.get_outputs()}) == effects
    return proto


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# An export takes seconds; "dnn" and "mf" are in the tests below.
@pytest.mark.parametrize("encoder", ["lstm", "gru", "transformer"])
def test_encoders_of_histories(encoder):
    X, y, t = make_log()
    model = CausalDNNRecommender(
        **SMALL, user="user", item="item", encoder=encoder, effect_learner="t",
        history=["past", "ago"], history_length=5,
    )  # fmt: skip
    check_graph(model.fit(X, y, treatment=t))


def test_the_second_stage_of_ids_and_probabilities():
    X, y, t = make_log(1200)
    model = CausalDNNRecommender(
        **SMALL, user="user", item="item", history="past", task="classification"
    )
    X = X.drop(columns="ago")
    check_graph(model.fit(X, (y > 0).astype(int), treatment=t))


def test_effects_that_are_moved_to_the_average_within_ids():
    X, y, t = make_log(600)
    model = CausalDNNRecommender(**SMALL, user="user", item="item")
    model.fit(X.drop(columns=["past", "ago"]), y, treatment=t)
    assert model.averages_within_ == ["user", "item"]
    assert abs(model.effects_.offset[1]) > 1e-3
    check_graph(model)


def test_ids_alone_and_one_arm():
    X, y, _ = make_log()
    model = CausalDNNRecommender(**SMALL, user="user", item="item", encoder="mf")
    check_graph(model.fit(X[["user", "item"]], y), effects=False)


def test_towers_with_gaps_and_far_outcomes():
    X, y, t = make_log()
    F = X[["age", "price"]].assign(price=X["price"].where(X["price"] > -1))
    model = CausalDNNRecommender(**SMALL, towers={"a": ["age"], "b": ["price"]})
    model.fit(F, 1e8 + y, treatment=t)
    check_graph(model, tolerance=1e-5 * model.log_encoder_.y_scale + 1e-7)


def test_several_arms_in_a_file_and_a_process_without_torch(tmp_path):
    X, y, t = make_log(1200, arms=3)
    arms = np.array(["none", "mail", "call"])[t]
    model = CausalDNNRecommender(**SMALL, n_estimators=2)
    model.fit(X[["age", "price"]], y, treatment=arms)
    proto = check_graph(model)
    (found,) = [p for p in proto.metadata_props if p.key == "sklearn_causalrec"]
    assert json.loads(found.value) == {
        "arms": ["call", "mail", "none"], "control": "none", "classes": None,
        "features": ["age", "price"], "task": "regression",
    }  # fmt: skip
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    code = (
        "import sys, numpy as np, onnxruntime\n"
        f"session = onnxruntime.InferenceSession({str(path)!r})\n"
        "X = np.array([[0.5, -1.0], [0.0, 2.0]])\n"
        "print(session.run(['effect'], {'features': X})[0][:, 1].tolist())\n"
        "assert not {'torch', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = pd.DataFrame({"age": [0.5, 0.0], "price": [-1.0, 2.0]})
    want = model.effect(rows, T1="mail")
    np.testing.assert_allclose(json.loads(done.stdout), want, atol=1e-5)


def test_what_has_no_graph(tmp_path):
    X, y, t = make_log()
    F = X[["age", "price"]]
    bias = baselines.UserItemBias(user="user", item="item").fit(X[["user", "item"]], y)
    with pytest.raises(TypeError, match="UserItemBias has no graph of ONNX"):
        to_onnx(bias, tmp_path / "m")
    effect = DoCalculusEffect(CausalGraph("t -> y"), treatment="t")
    with pytest.raises(TypeError, match="DoCalculusEffect has no graph"):
        to_onnx(effect)
    model = CausalDNNRecommender(**SMALL, effect_learner="t")
    pipe = make_pipeline(StandardScaler(), model)
    pipe.fit(F, y, causaldnnrecommender__treatment=t)
    with pytest.raises(TypeError, match=r"StandardScaler.*pipeline\[-1\]"):
        to_onnx(pipe)
    stage = CausalDNNRecommender(**SMALL).fit(F, y, treatment=t)

    class Odd:
        pass

    stage.effects_.stages[1]._effect_models[0][0] = Odd()
    stage.effects_.stages[1].weights_ = dict.fromkeys(
        stage.effects_.stages[1].weights_, 0.1
    )
    with pytest.raises(TypeError, match=r"Odd, which has no place.*effect=False"):
        to_onnx(stage, tmp_path / "m")
    assert not list(tmp_path.iterdir())
    days = [date(2024, 1, 1 + user) for user in X["user"]]
    dates = pd.DataFrame({"user": days, "item": X["item"]})
    model = CausalDNNRecommender(**SMALL, user="user", item="item")
    with pytest.raises(TypeError, match="user ids are date"):
        to_onnx(model.fit(dates, y))
    to_onnx(model.set_params(user=None, item=None).fit(F, y), tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
