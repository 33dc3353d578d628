"""Estimators on tiny data: the same numbers in any container, ids of any kind."""

from functools import cache, partial

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
)
from sklearn_causalrec._testing.fuzz import forms
from sklearn_causalrec._testing.fuzz.logs import IDS

ROWS = 24
_TINY = dict(
    hidden_layer_sizes=(4,),
    embedding_dim=2,
    max_epochs=1,
    effect_learner="t",
    random_state=0,
)
_recommender = partial(CausalDNNRecommender, **_TINY)
_policy = partial(
    CounterfactualPolicy, hidden_layer_sizes=(4,), max_epochs=1, random_state=0
)
_graph_effect = partial(
    DoCalculusEffect,
    CausalGraph("w -> t; w -> y; t -> y"),
    treatment="t",
    outcome="y",
    outcome_model=LinearRegression(),
    treatment_model=LogisticRegression(),
    effect_model=None,
    cv=2,
    strategy="adjustment",
    random_state=0,
)


def _data(rng):
    t = np.append([0, 1, 0, 1], rng.integers(0, 2, ROWS - 4)).astype(float)
    return {
        "X": (rng.normal(size=(ROWS, 2)) * 4).round() / 4,
        "y": (rng.normal(size=ROWS) * 4).round() / 4,
        "treatment": t,
        "propensity": np.full(ROWS, 0.5),
        "sample_weight": rng.integers(1, 4, ROWS).astype(float),
    }


def _answers(estimator, X):
    if isinstance(estimator, CounterfactualPolicy):
        return estimator.predict_proba(X)
    if isinstance(estimator, DoCalculusEffect):
        return np.array([estimator.ate(), *estimator.ate_interval()])
    several = len(estimator.arms_) > 1
    effect = [estimator.effect(X)] if several else []
    return np.column_stack([estimator.predict(X), *effect])


def _fit(make, data, given):
    """The answers of an estimator that is fitted with what is given."""
    rows = {key: data[key] for key in ("y", "treatment")} | given
    if make is _graph_effect:
        X = pd.DataFrame({"t": rows["treatment"], "w": rows.get("w", data["X"][:, 0])})
        return _answers(make().fit(X, rows["y"]), X)
    X = rows.pop("X", data["X"])
    return _answers(make().fit(X, rows.pop("y"), **rows), X)


def _vectors(fuzzer):
    rng = fuzzer.rng
    data = _data(rng)
    arguments = {
        "CausalDNNRecommender": (_recommender, ["y", "treatment", "propensity",
                                                "sample_weight"]),
        "CounterfactualPolicy": (_policy, ["y", "treatment", "propensity"]),
        "DoCalculusEffect": (_graph_effect, ["y", "treatment", "w"]),
    }  # fmt: skip
    name = str(rng.choice(sorted(arguments), p=[0.5, 0.2, 0.3]))
    make, known = arguments[name]
    argument = known[rng.integers(len(known))]
    kinds = ["SAME", "SAME", "NEVER", "MISSING", "TIMES", "ODD"]
    kind = kinds[rng.integers(len(kinds))]
    form, to_form = forms.a_form(rng, getattr(forms, kind))
    plain = data["X"][:, 0] if argument == "w" else data[argument]
    extra = {"propensity": data["propensity"]} if make is _policy else {}
    given = to_form(plain)
    if make is _graph_effect and argument != "y":
        try:  # as a frame's column, where it can be one; a scalar fills the column
            pd.DataFrame({"t": given, "w": plain})
        except (ValueError, TypeError):
            return
        if not pd.api.types.is_list_like(given):
            return

    def check(answers):
        if kind == "SAME":
            labels = argument == "treatment" or argument == "w"
            if labels and form in forms.OTHER_LABELS | {"complex", "category"}:
                return None
            want = _fit(make, data, {**extra, argument: plain})
            if not np.allclose(answers, want, atol=1e-5):
                return f"{name}({argument}={form}) differs from float64"
        elif kind == "TIMES" and argument not in ("treatment", "w"):
            return f"{name} accepts {argument}={form}"
        elif kind == "NEVER":
            if argument == "sample_weight" and form in ("scalar", "no dimension"):
                return None  # scikit-learn's: the same for all rows
            return f"{name} accepts {argument}={form}"
        elif kind == "MISSING" and argument not in ("propensity", "w"):
            return f"{name} accepts {argument}={form}"

    fuzzer.call(
        f"{name}({argument}={form})",
        lambda: _fit(make, data, {**extra, argument: given}),
        check,
        unchanged=[given],
    )


SAME_X = {
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "long double": lambda X: X.astype(np.longdouble),
    "big-endian": lambda X: X.astype(">f8"),
    "objects": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "Fortran": np.asfortranarray,
    "backwards": lambda X: X[::-1].copy()[::-1],
    "frame": lambda X: pd.DataFrame(X, columns=["a", "b"]),
    "frame, index of zeros": lambda X: pd.DataFrame(X, [0] * ROWS, ["a", "b"]),
    "frame of objects": lambda X: pd.DataFrame(X, columns=["a", "b"], dtype=object),
    "names that are numbers": lambda X: pd.DataFrame(X, columns=[7, 3]),
    "Float64": lambda X: pd.DataFrame(X, columns=["a", "b"], dtype="Float64"),
    "matrix": np.asmatrix,
    "tensor": torch.tensor,
    "csr": sp.csr_matrix,
    "csc": sp.csc_array,
}
NEVER_X = {
    "NaN": lambda X: np.where(X > 0, np.nan, X),
    "infinity": lambda X: np.where(X > 0, np.inf, X),
    "masked": lambda X: np.ma.array(X, mask=X > 0),
    "imaginary": lambda X: X + 1j,
    "one dimension": lambda X: X[:, 0],
    "cube": lambda X: X[:, :, None],
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "None": lambda X: None,
    "ragged": lambda X: [[1]] + [[1, 2]] * (ROWS - 1),
    "two columns of a name": lambda X: pd.DataFrame(X, columns=["a", "a"]),
    "names of two kinds": lambda X: pd.DataFrame(X, columns=["a", 1]),
    "structured": lambda X: np.zeros(ROWS, dtype=[("a", "f8")]),
}


def _features(fuzzer):
    rng = fuzzer.rng
    data = _data(rng)
    same = rng.random() < 0.6
    form, to_form = forms.a_form(rng, SAME_X if same else NEVER_X)
    X = to_form(data["X"])

    def check(answers):
        if not same:
            return f"fit accepts X={form}"
        if not np.allclose(answers, _fit(_recommender, data, {}), atol=1e-5):
            return f"fit(X={form}) differs from float64"

    fuzzer.call(
        f"CausalDNNRecommender(X={form})",
        lambda: _fit(_recommender, data, {"X": X}),
        check,
        unchanged=[X],
    )


def _ids(fuzzer):
    rng = fuzzer.rng
    data = _data(rng)
    user, to_user = forms.a_form(rng, IDS)
    item, to_item = forms.a_form(rng, IDS)
    X = pd.DataFrame(
        {
            "user": pd.Series(to_user(rng.integers(0, 5, ROWS))),
            "item": pd.Series(to_item(rng.integers(0, 5, ROWS))),
            "x": data["X"][:, 0],
        }
    )

    def call():
        model = _recommender(user="user", item="item")
        model.fit(X, data["y"], treatment=data["treatment"])
        return model.recommend(k=2, exclude_seen=False), _answers(model, X)

    def check(result):
        lists, _ = result
        for role in ("user", "item"):
            if not set(lists[role].tolist()) <= set(X[role].tolist()):
                return f"recommend lists a {role} that the log does not have"

    fuzzer.call(f"recommend({user} users, {item} items)", call, check, unchanged=[X])


@cache
def _fitted():
    rng = np.random.default_rng(0)
    data = _data(rng)
    X = pd.DataFrame(rng.integers(0, 5, (ROWS, 2)), columns=["user", "item"])
    X["x"] = data["X"][:, 0]
    model = _recommender(user="user", item="item")
    return model.fit(X, data["y"], treatment=data["treatment"]), X


def _odd_calls(fuzzer):
    rng = fuzzer.rng
    model, X = _fitted()
    a, b = forms.a_scalar(rng), forms.a_scalar(rng)
    labels = forms.a_form(rng, IDS)[1](rng.integers(0, 5, 5))
    calls = {
        "predict": lambda: model.predict(X, treatment=a),
        "effect": lambda: model.effect(X, T0=a, T1=b),
        "effect_interval": lambda: model.effect_interval(X, alpha=a),
        "ate": lambda: model.ate(a),
        "recommend(k)": lambda: model.recommend(k=a),
        "recommend(by)": lambda: model.recommend(by=a),
        "recommend(min_effect)": lambda: model.recommend(min_effect=a),
        "recommend(users)": lambda: model.recommend(users=labels),
        "recommend(items)": lambda: model.recommend(items=labels, exclude_seen=False),
        "recommend(exclude)": lambda: model.recommend(exclude=[a, b]),
    }
    name = str(rng.choice(sorted(calls)))
    fuzzer.call(f"{name} with {a!r}, {b!r}, {labels!r}", calls[name])


_STEPS = [_vectors, _features, _ids, _odd_calls]


def fits(fuzzer):
    """One step over the estimators.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    """
    step = fuzzer.rng.choice(len(_STEPS), p=[0.5, 0.15, 0.15, 0.2])
    _STEPS[step](fuzzer)
