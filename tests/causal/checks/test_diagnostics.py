from itertools import combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_causalrec.causal.checks.diagnostics import (
    balance,
    effective_sample_size,
    influential_rows,
    overlap,
    rows_to_overturn,
)

numbers = st.lists(st.floats(-5, 5), min_size=3, max_size=8)


def test_balance_by_hand():
    X = pd.DataFrame({"age": [1.0, 2, 3, 5, 6, 7], "flag": [True] * 3 + [False] * 3})
    arm = np.array(["a", "b", "a", "b", "a", "b"])
    weights = np.array([1, 2, 1, 0, 0, 2])
    found = balance(X, arm, weights)
    first, second = np.array([1, 3, 6]), np.array([2, 5, 7])
    spread = np.sqrt((first.var() + second.var()) / 2)
    assert found.loc["age", "before"] == pytest.approx((14 - 10) / 3 / spread)
    assert found.loc["age", "after"] == pytest.approx((4.5 - 2) / spread)
    # Shares of True: 2/3 and 1/3.
    assert found.loc["flag", "before"] == pytest.approx(-(1 / 3) / np.sqrt(2 / 9))
    assert found.loc["flag", "after"] == pytest.approx((0.5 - 1) / np.sqrt(2 / 9))
    assert list(balance(X, arm)) == ["before"]


def test_levels_and_missing_values_are_balanced_one_by_one():
    X = pd.DataFrame(
        {
            "city": pd.Categorical(["x", "x", "y", "z", "y", None]),
            "income": [1.0, np.nan, 2, 3, np.nan, 4],
        }
    )
    arm = np.array([0, 0, 0, 1, 1, 1])
    found = balance(X, arm)
    assert set(found.index) == {
        *("city = x", "city = y", "city = z", "city missing"),
        *("income", "income missing"),
    }
    dummies = pd.get_dummies(X["city"], prefix="city", prefix_sep=" = ").astype(float)
    for name in dummies:
        d = dummies[name].to_numpy()
        spread = np.sqrt((d[:3].var() + d[3:].var()) / 2)
        expected = (d[3:].mean() - d[:3].mean()) / spread
        assert found.loc[name, "before"] == pytest.approx(expected)
    assert found.loc["income", "before"] == pytest.approx(
        (3.5 - 1.5) / np.sqrt(0.25), abs=1e-12
    )
    assert found.loc["income missing", "before"] == 0

    few = balance(X, arm, max_levels=1)
    assert "city: other" in few.index and "city = z" not in few.index


def test_weights_that_balance_do():
    """Inverse true propensities leave only sampling noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    p = 1 / (1 + np.exp(-x))
    arm = rng.binomial(1, p)
    X = pd.DataFrame({"x": x, "sign": np.where(x > 0, "up", "down")})
    found = balance(X, arm, np.where(arm == 1, 1 / p, 1 / (1 - p)))
    assert (found["before"].abs() > 0.5).all()
    assert (found["after"].abs() < 0.05).all()


def test_more_arms_show_the_worst_pair():
    X = np.array([[0.0], [2], [1], [3], [5], [7]])
    arm = np.array([0, 0, 1, 1, 2, 2])
    found = balance(X, arm)
    assert found.loc["x0", "before"] == pytest.approx(5.0)


def test_columns_that_do_not_vary():
    X = pd.DataFrame({"same": [3.0] * 4, "apart": [1.0, 1, 2, 2]})
    found = balance(X, [0, 0, 1, 1], [1, 2, 3, 4])
    assert found.loc["same"].tolist() == [0, 0]
    assert found.loc["apart"].tolist() == [np.inf, np.inf]


def test_polars_and_pandas_agree():
    data = {"x": [1.0, 2, 3, 4], "city": ["a", "b", "a", "b"]}
    arm = [0, 0, 1, 1]
    pd.testing.assert_frame_equal(
        balance(pl.DataFrame(data), arm), balance(pd.DataFrame(data), arm)
    )


def test_balance_bad_input():
    X = np.zeros((3, 1))
    with pytest.raises(ValueError, match=r"one arm only, \[1\]"):
        balance(X, [1, 1, 1])
    with pytest.raises(ValueError, match=r"arm must have the shape \(3,\), got \(2,\)"):
        balance(X, [1, 0])
    with pytest.raises(ValueError, match=r"not negative, got -1.0"):
        balance(X, [1, 0, 1], [1, -1, 1])
    with pytest.raises(ValueError, match="rows and columns"):
        balance(np.zeros(3), [1, 0, 1])


@given(n=st.integers(1, 50), rest=st.integers(0, 50), scale=st.floats(1e-200, 1e200))
def test_equal_weights_count_their_rows(n, rest, scale):
    assert effective_sample_size([scale] * n + [0] * rest) == pytest.approx(n)


def test_effective_sample_size():
    assert effective_sample_size([1, 2, 3]) == pytest.approx(36 / 14)
    assert effective_sample_size([0, 0]) == 0


def test_overlap_by_hand():
    p = np.array([[0.5, 0.5], [0.98, 0.02], [0.2, 0.8], [0.9, 0.1]])
    found = overlap(p, [1, 1, 0, 1], clip=0.05)
    assert found["rows"].tolist() == [1, 3]
    assert found["smallest"].tolist() == [0.2, 0.02]
    assert found["largest"].tolist() == [0.98, 0.8]
    assert found["clipped"].tolist() == pytest.approx([0, 1 / 3])
    w = np.array([2, 20, 10])
    size = w.sum() ** 2 / (w**2).sum()
    assert found["effective_sample_size"].tolist() == pytest.approx([1, size])
    with pytest.raises(ValueError, match=r"got the shape \(4, 2\)"):
        overlap(p, [1, 1, 0, 1], arms=[0, 1, 2])


@given(influence=numbers)
def test_change_is_what_leaving_a_row_out_does(influence):
    s = np.array(influence)
    found = influential_rows(s, k=len(s) - 1)
    for position, row in found.iterrows():
        left = np.delete(s, position).mean() - s.mean()
        assert row["change"] == pytest.approx(left, abs=1e-9)
    assert found["change"].abs().is_monotonic_decreasing
    dropped = np.delete(s, found.index)
    assert found["without_all"].iloc[-1] == pytest.approx(dropped.mean(), abs=1e-9)


def test_influential_rows_carry_their_labels():
    found = influential_rows([1, 2, 90, 3], k=2, index=["a", "b", "c", "d"])
    assert found.index.tolist() == ["c", "a"]
    assert found["influence"].tolist() == [90, 1]
    with pytest.raises(ValueError, match="k must lie between 1 and 3, got 4"):
        influential_rows([1, 2, 90, 3], k=4)
    with pytest.raises(ValueError, match="influence is nan in row 1"):
        influential_rows([1, np.nan, 2], k=1)


whole = st.lists(st.integers(-5, 5), min_size=2, max_size=6)


@given(influence=whole, to=st.integers(-2, 2))
def test_fewest_rows_by_trying_all_subsets(influence, to):
    s = np.array(influence) - to
    side = 1 if s.sum() >= 0 else -1
    fewest = next(
        k
        for k in range(len(s) + 1)
        for kept in combinations(side * s, len(s) - k)
        if sum(kept) <= 0
    )
    assert rows_to_overturn(influence, to) == fewest


def test_rows_to_overturn_refits_to_the_other_sign():
    rng = np.random.default_rng(0)
    s = rng.normal(0.1, 1, size=1000)
    k = rows_to_overturn(s)
    assert 0 < k < 200
    ordered = np.sort(s)
    assert ordered[: 1000 - k].mean() <= 0 < ordered[: 1000 - k + 1].mean()
