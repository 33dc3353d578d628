"""Features of the recommender: as they are meant, and without loss in float32."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec import CausalDNNRecommender, recommend


def log(n=1500, seed=0):
    """The effect is 2; without adjustment for z it is about 3.3."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n).round(3)
    t = rng.binomial(1, 1 / (1 + np.exp(-1.5 * z)))
    return z, t, 2 * t + 1.5 * z + rng.normal(size=n)


def fitted(X, t, y, **options):
    options = dict(random_state=0, n_folds=3) | options
    return CausalDNNRecommender(**options).fit(X, y, treatment=t)


FORMS = {
    "object": lambda z: pd.DataFrame({"z": pd.Series(z, dtype=object)}),
    "array of objects": lambda z: z.astype(object)[:, None],
    "Decimal": lambda z: pd.DataFrame({"z": [Decimal(str(v)) for v in z]}),
    "nullable": lambda z: pd.DataFrame({"z": pd.array(z, dtype="Float64")}),
    "big-endian": lambda z: z.astype(">f8")[:, None],
    "datetime": lambda z: pd.DataFrame(
        {"z": pd.Timestamp("2024-01-01 12:00") + pd.to_timedelta(z, unit="min")}
    ),
    "timedelta": lambda z: pd.DataFrame({"z": pd.to_timedelta(z, unit="h")}),
    "polars": lambda z: pl.DataFrame({"z": z}),
    "seconds since 1970": lambda z: (1.7e9 + 600 * z)[:, None],
    "far": lambda z: pd.DataFrame({"z": 1e12 + 1e4 * z}),
}


@pytest.fixture(scope="module")
def plain():
    z, t, y = log()
    return fitted(z[:, None], t, y)


@pytest.mark.parametrize("form", FORMS)
def test_a_confounder_is_adjusted_for_however_it_is_stored(form, plain):
    z, t, y = log()
    X = FORMS[form](z)
    model = fitted(X, t, y)
    low, high = model.ate_interval()
    assert low < 2 < high < 2.5  # and not the 3.3 of no adjustment
    assert (low, high) == pytest.approx(plain.ate_interval(), abs=1e-3)
    assert model.ate() == pytest.approx(plain.ate(), abs=1e-4)
    assert model.score(X, y, t) == pytest.approx(
        plain.score(z[:, None], y, t), abs=1e-3
    )


def test_an_outcome_far_from_zero_is_told_apart():
    z, t, y = log()
    near = fitted(z[:, None], t, y)
    far = fitted(z[:, None], t, 1e12 + 1e4 * y)
    assert far.score(z[:, None], 1e12 + 1e4 * y, t) > 0.7
    assert far.ate() / 1e4 == pytest.approx(near.ate(), abs=0.02)
    np.testing.assert_allclose(
        far.effect(z[:, None]) / 1e4, near.effect(z[:, None]), atol=0.1
    )
    predicted = far.predict(z[:, None])
    assert len(np.unique(predicted)) > 1000


@pytest.mark.parametrize("stored", [str, float])
def test_numbers_as_text_are_asked_about(stored):
    z, t, y = log(300)
    X = pd.DataFrame({"z": z.astype(stored)})
    if stored is float:
        X["z"] = X["z"].astype("category")
    with pytest.raises(ValueError, match=r"'z' holds .*pd.to_numeric\(X\['z'\]"):
        fitted(X, t, y)
    if stored is str:
        with pytest.raises(ValueError, match="Column 0 holds numbers as text"):
            fitted(X.to_numpy(dtype=str), t, y)


def test_text_is_refused_by_name():
    z, t, y = log(300)
    X = pd.DataFrame({"z": z, "town": "Bonn"})
    with pytest.raises(ValueError, match="'town' holds 'Bonn', which is not a number"):
        fitted(X, t, y)
    X["town"] = [1, "Bonn"] * 150
    with pytest.raises(ValueError, match="'town' mixes kinds: 1 is a number and"):
        fitted(X, t, y)


def test_new_rows_and_frames_of_users_are_centered_alike():
    z, t, y = log()
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"user": rng.integers(0, 60, len(z)), "item": 0})
    X["item"] = rng.integers(0, 30, len(z))
    X["born"] = 1.7e9 + 100.0 * (X["user"] % 7)
    options = dict(user="user", item="item", effect_learner="t")
    model = fitted(X, t, y, **options)
    assert np.ptp(model.catalogue_.user_table[:-1, 0]) == pytest.approx(600)
    users = pd.DataFrame({"user": ["new", "newer"], "born": [1.7e9, 1.7e9 + 600]})
    lists = recommend(model, users, k=2, by="outcome")
    assert lists["user"].unique().tolist() == ["new", "newer"]
    head = X.head(5)
    np.testing.assert_allclose(model.predict(head), model.predict(X)[:5], rtol=1e-5)


def test_a_role_of_a_whole_number_is_a_name_where_there_are_names():
    z, t, y = log(600)
    X = pd.DataFrame({1: t, 0: z})
    model = CausalDNNRecommender(treatment=1, random_state=0, max_epochs=3).fit(X, y)
    assert model.arms_.tolist() == [0, 1]
    array = CausalDNNRecommender(treatment=0, random_state=0, max_epochs=3)
    array.fit(X.to_numpy(), y)
    assert array.ate() == model.ate()


def test_the_outcome_and_the_treatment_are_no_features():
    z, t, y = log(300)
    X = pd.DataFrame({"z": z, "buys": y})
    with pytest.raises(ValueError, match="outcome 'buys' is also a column of X"):
        fitted(X, t, X["buys"])
    with pytest.raises(ValueError, match="column 'buys' of X equals the outcome"):
        fitted(X, t, y)
    with pytest.raises(ValueError, match="column 1 of X equals the outcome"):
        fitted(X.to_numpy(), t, y)
    with pytest.raises(ValueError, match="column 'shown' of X equals the treatment"):
        fitted(pd.DataFrame({"z": z, "shown": t.astype(float)}), t, y)
