"""Metrics: numpy's word for the plain call, and the same result for every form."""

import inspect
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from sklearn_causalrec import metrics as m
from sklearn_causalrec._testing.fuzz import forms

_LABELS = {"users", "items", "log_items", "log_users", "treatment", "action"}
_MAY_BE_INFINITE = {"confidence_sequence", "ips_confidence_sequence"}
_MAY_BE_MISSING = {"effect_calibration", "policy_value", "slate_policy_value"}


@dataclass
class _Call:
    """A metric, the columns it takes, its other arguments, and what numpy says."""

    metric: object
    columns: dict
    options: dict
    oracle: object = None


def _data(rng):
    n = int(rng.integers(5, 30))

    def quarters(low, high):
        return rng.integers(4 * low, 4 * high, n) / 4

    treatment = rng.integers(0, 2, n).astype(float)
    treatment[:2] = 0, 1
    return {
        "y": quarters(-4, 4),
        "binary": np.append([0.0, 1.0], rng.integers(0, 2, n - 2)),
        "effect": quarters(-3, 3),
        "other": quarters(-3, 3),
        "treatment": treatment,
        "chance": rng.choice([0.25, 0.5, 0.75], n),
        "relevance": rng.integers(0, 4, n).astype(float),
        "id": rng.integers(0, 4, n).astype(float),
        "share": rng.integers(0, 5, n) / 4,
    }


def _dr_scores(d, mu):
    treated = d["treatment"] == 1
    taken = d["chance"]
    factual = np.where(treated, mu[:, 1], mu[:, 0])
    sign = np.where(treated, 1, -1)
    return mu[:, 1] - mu[:, 0] + sign * (d["y"] - factual) / taken


def _r_loss(d):
    treated = d["treatment"] == 1
    chance = np.where(treated, d["chance"], 1 - d["chance"])
    return np.mean((d["y"] - d["other"] - (treated - chance) * d["effect"]) ** 2)


def _qini(d):
    """Gains at the ends of ties, counted row by row."""
    treated, y, effect = d["treatment"] == 1, d["y"], d["effect"]
    shares, gains = [0.0], [0.0]
    for level in np.unique(effect)[::-1]:
        top = effect >= level
        n1, n0 = (top & treated).sum(), (top & ~treated).sum()
        lost = y[top & ~treated].sum() * n1 / n0 if n0 else 0.0
        shares.append(top.mean())
        gains.append((y[top & treated].sum() - lost) / treated.sum())
    return np.trapezoid(gains, shares) - gains[-1] / 2


def _dcg(d, k):
    total = []
    for user in np.unique(d["id"]):
        gain, score = d["effect"][d["id"] == user], d["other"][d["id"] == user]
        discount = [1 / np.log2(i + 2) if i < k else 0.0 for i in range(len(gain))]
        start, value = 0, 0.0
        for level in np.unique(score)[::-1]:
            tied = gain[score == level]
            value += tied.sum() * np.mean(discount[start : start + len(tied)])
            start += len(tied)
        total.append(value)
    return np.mean(total)


def _ips(d, policy):
    chosen = policy[np.arange(len(d["y"])), d["treatment"].astype(int)]
    return np.mean(chosen / d["chance"] * d["y"])


def _calls(rng, d):
    n, k = len(d["y"]), int(rng.integers(1, 6))
    mu = np.column_stack([d["other"], d["other"] + 1])
    policy = np.column_stack([d["share"], 1 - d["share"]])
    arms = {"y": "y", "treatment": "treatment", "propensity": "chance"}
    ranked = {"y_score": "effect", "users": "id"}
    effects = {"effect_pred": "effect", "scores": "y"}
    interval = str(rng.choice(["normal", "bootstrap", "bernstein", "sequence"]))
    names = [
        "dm",
        "ips",
        "snips",
        "dr",
        "sndr",
        "switch_dr",
        "dr_os",
        "sg_ips",
        "sg_dr",
    ]
    kinds = {"categories": {0: "a", 1: "b", 2: "a", 3: "b"}}
    bounds = {"lower": 0.0, "upper": 1.0}
    half = n // 2 * 2
    slates = {
        "y": d["binary"][:half].reshape(-1, 2),
        "policy": d["chance"][:half].reshape(-1, 2),
        "propensity": d["chance"][:half][::-1].reshape(-1, 2),
    }
    return [
        _Call(m.pehe, {"effect_true": "effect", "effect_pred": "other"}, {},
              lambda: np.sqrt(np.mean((d["effect"] - d["other"]) ** 2))),
        _Call(m.ate_error, {"effect_true": "effect", "effect_pred": "other"}, {},
              lambda: abs(np.mean(d["effect"] - d["other"]))),
        _Call(m.doubly_robust_scores, arms, {"outcomes": mu},
              lambda: _dr_scores(d, mu)),
        _Call(m.dr_loss, arms | {"effect_pred": "effect"}, {"outcomes": mu},
              lambda: np.mean((_dr_scores(d, mu) - d["effect"]) ** 2)),
        _Call(m.r_loss, arms | {"effect_pred": "effect", "outcome": "other"}, {},
              lambda: _r_loss(d)),
        _Call(m.joint_loss, arms | {"effect_pred": "effect", "outcome": "other"},
              {"outcome_pred": mu}),
        _Call(m.qini_score, {"y": "y", "effect_pred": "effect",
                             "treatment": "treatment"}, {}, lambda: _qini(d)),
        _Call(m.auuc_score, arms | {"effect_pred": "effect"}, {}),
        _Call(m.qini_curve, arms | {"effect_pred": "effect"}, {}),
        _Call(m.uplift_curve, arms | {"effect_pred": "effect"}, {}),
        _Call(m.uplift_at_k, arms | {"effect_pred": "effect"}, {"k": 1.0}),
        _Call(m.qini_score, {"y": "binary", "effect_pred": "effect",
                             "treatment": "treatment"},
              {"convention": str(rng.choice(["scikit-uplift", "causalml"]))}),
        _Call(m.effect_calibration, effects, {"n_bins": k}),
        _Call(m.calibration_error, effects, {"n_bins": k}),
        _Call(m.calibration_line, effects, {}),
        _Call(m.toc_curve, {"priority": "effect", "scores": "y"}, {}),
        _Call(m.rate, {"priority": "effect", "scores": "y"}, {"n_bootstrap": 10}),
        _Call(m.cdcg, {"effect": "effect", "y_score": "other", "users": "id"},
              {"k": k}, lambda: _dcg(d, k)),
        _Call(m.causal_precision_at_k, {"effect": "effect", **ranked}, {"k": k}),
        _Call(m.ndcg_at_k, {"y_true": "relevance", "propensity": "chance", **ranked},
              {"k": k}),
        _Call(m.recall_at_k, {"y_true": "binary", **ranked}, {"k": k}),
        _Call(m.mean_reciprocal_rank, {"y_true": "binary", **ranked}, {}),
        _Call(m.mean_average_precision, {"y_true": "binary", **ranked}, {}),
        _Call(m.coverage, {"items": "id"}, {"catalogue": [0, 1, 2, 3, 4]},
              lambda: len(set(d["id"])) / 5),
        _Call(m.novelty, {"items": "id", "users": "relevance", "log_items": "id",
                          "propensity": "chance"}, {}),
        _Call(m.miscalibration, {"items": "id", "users": "relevance",
                                 "log_items": "id", "log_users": "relevance"}, kinds),
        _Call(m.effective_sample_size, {"weight": "chance"}, {},
              lambda: d["chance"].sum() ** 2 / (d["chance"] ** 2).sum()),
        _Call(m.normal_interval, {"values": "y"}, {"alpha": 0.1},
              lambda: d["y"].mean()
              + np.array([-1, 1]) * norm.isf(0.05) * d["y"].std(ddof=1) / n**0.5),
        _Call(m.bootstrap_interval, {"values": "y", "weight": "chance"},
              {"n_bootstrap": 20}),
        _Call(m.bernstein_interval, {"values": "share"}, bounds),
        _Call(m.confidence_sequence, {"values": "y"}, {}),
        _Call(m.confidence_sequence, {"values": "share"},
              {"method": "bernstein", **bounds}),
        _Call(m.ips_confidence_sequence, {"y": "share", "weight": "chance"}, {}),
        _Call(m.policy_value, {"y": "y", "action": "treatment",
                               "propensity": "chance"},
              {"policy": policy, "estimator": "ips"}, lambda: _ips(d, policy)),
        _Call(m.policy_value, {"y": "y", "action": "treatment",
                               "propensity": "chance"},
              {"policy": policy, "outcome": mu, "estimator": str(rng.choice(names)),
               "interval": interval, "n_bootstrap": 10, "clip": "slope"}),
        _Call(m.slate_policy_value, {}, {**slates, "n_bootstrap": 10}),
    ]  # fmt: skip


def _numbers(result):
    """The numbers of a result, to be compared."""
    if hasattr(result, "effective_sample_size"):
        return np.append(result.interval, result.value)
    if isinstance(result, pd.DataFrame):
        return result.to_numpy(float)
    return np.array(result, float)


def _close(result, want):
    return np.allclose(_numbers(result), want, rtol=1e-6, atol=1e-6, equal_nan=True)


def metrics(fuzzer):
    """One metric: a plain call, and some with one argument in another form.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    """
    rng = fuzzer.rng
    data = _data(rng)
    calls = _calls(rng, data)
    call = calls[rng.integers(len(calls))]
    name = call.metric.__name__
    plain = {key: data[column] for key, column in call.columns.items()} | call.options

    def right(result):
        # numpy's word is on the value of a policy, not on its interval.
        result = getattr(result, "value", result)
        if call.oracle is not None and not _close(result, call.oracle()):
            return f"{name} differs from numpy"

    may = name in _MAY_BE_INFINITE | _MAY_BE_MISSING
    result = fuzzer.call(f"{name}(plain {plain})", lambda: call.metric(**plain), right,
                         nan_ok=may)  # fmt: skip
    if result is None:
        return
    want = _numbers(result)
    for _ in range(5):
        if call.columns and rng.random() < 0.8:
            _other_form(fuzzer, call, plain, want, may)
        else:
            _other_scalar(fuzzer, call, plain)


def _other_form(fuzzer, call, plain, want, may):
    rng, name = fuzzer.rng, call.metric.__name__
    argument = sorted(call.columns)[rng.integers(len(call.columns))]
    kinds = ["SAME", "SAME", "NEVER", "MISSING", "TIMES", "ODD"]
    kind = kinds[rng.integers(len(kinds))]
    form, make = forms.a_form(rng, getattr(forms, kind))
    given = make(plain[argument])
    label = argument in _LABELS

    def check(result):
        if kind == "SAME":
            if label and form in forms.OTHER_LABELS | {"complex"}:
                return None
            if not _close(result, want):
                return f"{name}({argument}={form}) differs from float64"
        elif kind == "TIMES" and not label:
            return f"{name}: {argument} accepts {form}"
        elif kind in ("NEVER", "MISSING") and not (
            argument == "y_true" and kind == "MISSING"
        ):
            alone = len(call.columns) == 1 or argument in ("items", "log_items")
            if alone and form in ("one short", "one long", "empty"):
                return None
            return f"{name}: {argument} accepts {form}"
        return None

    fuzzer.call(
        f"{name}({argument}={form})",
        lambda: call.metric(**{**plain, argument: given}),
        check,
        nan_ok=may,
        unchanged=[given],
    )


def _other_scalar(fuzzer, call, plain):
    rng, name = fuzzer.rng, call.metric.__name__
    known = inspect.signature(call.metric).parameters
    names = [key for key in known if key not in call.columns and key != "X"]
    if not names:
        return
    argument = names[rng.integers(len(names))]
    value = forms.a_scalar(rng)

    def check(_):
        number = isinstance(value, int | float | np.number)
        truth = isinstance(value, bool)
        if argument == "alpha" and (not number or truth or not 0 < value < 1):
            return f"{name} accepts alpha={value!r}"

    if argument == "random_state" and value is None:
        return  # numpy's global generator is asked for
    if argument == "n_bootstrap" and isinstance(value, int) and value > 1000:
        return
    fuzzer.call(
        f"{name}({argument}={value!r})",
        lambda: call.metric(**{**plain, argument: value}),
        check,
        nan_ok=name in _MAY_BE_INFINITE | _MAY_BE_MISSING,
    )
