import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    GroupKFold,
    TimeSeriesSplit,
    cross_val_score,
)

from sklearn_causalrec.interactions import (
    ColdItemSplit,
    ColdUserSplit,
    LastOutSplit,
    TimeSplit,
)

logs = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 8), st.integers(0, 30)),
    min_size=12,
    max_size=60,
).map(lambda rows: pd.DataFrame(rows, columns=["user", "item", "time"]))


def folds(splitter, X):
    return list(splitter.split(X, np.zeros(len(X)), groups=None))


@given(logs, st.integers(1, 3), st.sampled_from([1, 3, 0.1, 0.2]))
@settings(deadline=None)
def test_time_split_never_trains_on_the_future(X, n_splits, test_size):
    splitter = TimeSplit("time", test_size=test_size, n_splits=n_splits)
    time = X["time"].to_numpy()
    try:
        found = folds(splitter, X)
    except ValueError as error:
        assert "equal times" in str(error) or "can't be cut" in str(error)
        return
    assert len(found) == splitter.get_n_splits() == n_splits
    for train, test in found:
        assert time[train].max() < time[test].min()
    tested = np.concatenate([test for _, test in found])
    assert len(set(tested)) == len(tested)
    # The test sets run to the end: every row is before the first, or in one.
    assert len(found[0][0]) + len(tested) == len(X)


def test_time_split_of_ordered_rows_is_sklearns():
    X = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=20)})
    ours = folds(TimeSplit("time", test_size=3, n_splits=4), X)
    theirs = TimeSeriesSplit(4, test_size=3).split(X)
    for (train, test), (other_train, other_test) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(train, other_train)
        np.testing.assert_array_equal(test, other_test)


@given(logs, st.integers(1, 3))
@settings(deadline=None)
def test_last_out_tests_the_last_rows_of_every_user(X, n_last):
    rows = X.groupby("user").size()
    if rows.max() <= n_last:
        with pytest.raises(ValueError, match="nothing to test on"):
            folds(LastOutSplit("user", "time", n_last=n_last), X)
        return
    ((train, test),) = folds(LastOutSplit("user", "time", n_last=n_last), X)
    np.testing.assert_array_equal(np.sort(np.append(train, test)), np.arange(len(X)))
    for user, n in rows.items():
        mine = X.index[X["user"] == user]
        held = np.intersect1d(mine, test)
        assert len(held) == (n_last if n > n_last else 0)
        if len(held):
            rest = np.setdiff1d(mine, held)
            assert X["time"][rest].max() <= X["time"][held].min()


def test_last_out_of_a_share_of_the_rows():
    sizes = {"a": 1, "b": 2, "c": 5, "d": 6}
    user = np.repeat(list(sizes), list(sizes.values()))
    X = pd.DataFrame({"user": user, "time": np.arange(len(user))})
    ((_, test),) = folds(LastOutSplit("user", "time", n_last=0.2), X)
    assert X["user"][test].value_counts().to_dict() == {"b": 1, "c": 1, "d": 2}
    assert test.tolist() == [2, 7, 12, 13]


@given(logs, st.sampled_from(["user", "item"]), st.booleans())
@settings(deadline=None)
def test_cold_splits_share_no_id(X, role, shuffle):
    if X[role].nunique() < 2:
        return
    kind = {"user": ColdUserSplit, "item": ColdItemSplit}[role]
    state = 0 if shuffle else None
    splitter = kind(role, n_splits=2, shuffle=shuffle, random_state=state)
    found = folds(splitter, X)
    for train, test in found:
        assert not set(X[role][train]) & set(X[role][test])
        assert len(train) + len(test) == len(X)
    tested = np.sort(np.concatenate([test for _, test in found]))
    np.testing.assert_array_equal(tested, np.arange(len(X)))
    for again, once in zip(folds(splitter, X), found):
        np.testing.assert_array_equal(again[1], once[1])


def test_cold_split_is_group_k_fold():
    users = np.random.default_rng(0).integers(0, 9, 80)
    X = pd.DataFrame({"user": users})
    codes = pd.factorize(users)[0]
    for ours, theirs in zip(
        ColdUserSplit("user", n_splits=3).split(X),
        GroupKFold(3).split(X, groups=codes),
        strict=True,
    ):
        np.testing.assert_array_equal(ours[1], theirs[1])


SPLITTERS = [
    TimeSplit("time"),
    TimeSplit(2),
    LastOutSplit("user", "time"),
    ColdUserSplit("user", n_splits=2),
    ColdItemSplit("item", n_splits=2),
]


@pytest.fixture
def frame():
    rng = np.random.default_rng(1)
    return pd.DataFrame(rng.integers(0, 20, (50, 3)), columns=["user", "item", "time"])


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_splitters_are_scikit_learns(splitter, frame):
    assert isinstance(splitter, BaseCrossValidator)
    assert repr(splitter) == repr(clone(splitter, safe=False))
    y = np.arange(50.0)
    scores = cross_val_score(DummyRegressor(), frame, y, cv=splitter)
    assert len(scores) == splitter.get_n_splits()
    search = GridSearchCV(
        DummyRegressor(), {"strategy": ["mean", "median"]}, cv=splitter
    )
    search.fit(frame, y)
    assert search.n_splits_ == splitter.get_n_splits()


def test_polars_and_arrays(frame):
    in_polars = folds(TimeSplit("time"), pl.from_pandas(frame))
    in_array = folds(TimeSplit(2), frame.to_numpy())
    for ours in in_polars, in_array:
        for (train, test), (a, b) in zip(ours, folds(TimeSplit("time"), frame)):
            np.testing.assert_array_equal(train, a)
            np.testing.assert_array_equal(test, b)


@pytest.mark.parametrize(
    "splitter, match",
    [
        (TimeSplit("when"), "time='when' is not a column of X. Its columns are"),
        (TimeSplit("time", test_size=0.5, n_splits=2), "can't be cut"),
        (TimeSplit("time", test_size=0), "can't be cut"),
        (LastOutSplit("user", "time", n_last=0), "n_last is 0"),
        (LastOutSplit("user", "time", n_last=1.5), "n_last is 1.5"),
        (LastOutSplit("user", "time", n_last=99), "nothing to test on"),
    ],
)
def test_bad_input(splitter, match, frame):
    with pytest.raises(ValueError, match=match):
        folds(splitter, frame)


def test_missing_ids_and_equal_times_are_named(frame):
    frame = frame.astype({"user": object})
    frame.loc[3, "user"] = None
    with pytest.raises(ValueError, match="user column 'user' is missing in row 3"):
        folds(ColdUserSplit("user"), frame)
    with pytest.raises(ValueError, match="equal times"):
        folds(TimeSplit("time"), pd.DataFrame({"time": np.ones(9)}))
    with pytest.raises(ValueError, match="an array: give a position"):
        folds(TimeSplit("time"), np.ones((9, 1)))


MOMENTS = pd.to_datetime(
    ["2024-09-30", "2024-12-01", "2024-10-02", "2024-11-15", "2024-09-02", "2023-12-31"]
)
WRITTEN = {
    "datetimes": MOMENTS,
    "zoned": MOMENTS.tz_localize("Asia/Tokyo"),
    "month first": MOMENTS.strftime("%m/%d/%Y"),
    "day first": MOMENTS.strftime("%d.%m.%Y"),
    "names": MOMENTS.strftime("%d %b %Y"),
    "ISO 8601": MOMENTS.strftime("%Y-%m-%d"),
    "stamps": MOMENTS.strftime("%Y%m%d").astype(int),
    "text stamps": MOMENTS.strftime("%Y%m%d"),
    "months": MOMENTS.strftime("%Y%m").astype(int),
    "dates": MOMENTS.date,
    "periods": MOMENTS.to_period("D"),
    "durations": MOMENTS - MOMENTS[0],
    "seconds": MOMENTS.astype("datetime64[s]").astype("int64"),
    "nanoseconds": MOMENTS.astype("datetime64[ns]").astype("int64"),
    "counts as text": [str(n) for n in (MOMENTS - MOMENTS.min()).days],
    "arrow": pd.Series(MOMENTS, dtype="timestamp[us][pyarrow]"),
}


@pytest.mark.parametrize("form", WRITTEN)
def test_times_split_in_any_form_as_they_mean(form):
    X = pd.DataFrame({"user": "a", "time": WRITTEN[form]})
    expected = MOMENTS if form != "months" else MOMENTS.to_period("M").to_timestamp()
    plain = X.assign(time=expected)
    for splitter in (TimeSplit("time", test_size=2), LastOutSplit("user", "time")):
        for ours, right in zip(folds(splitter, X), folds(splitter, plain)):
            for rows, those in zip(ours, right):
                np.testing.assert_array_equal(rows, those)


def test_the_year_counts_before_the_month():
    # Sorted as text, December 2023 would be tested on, and October 2024 trained on.
    X = pd.DataFrame({"time": ["12/20/2023", "12/31/2023", "01/15/2024", "10/02/2024"]})
    ((train, test),) = folds(TimeSplit("time", test_size=2), X)
    assert train.tolist() == [0, 1] and test.tolist() == [2, 3]


def test_times_that_can_be_read_in_two_ways_are_refused():
    for times, message in (
        (["01/02/2024", "03/04/2024", "05/06/2024"], "'time' is '01/02/2024' in row 0"),
        (["2024-01-01", "31/12/2024", "05/06/2024"], "'time' is written in several"),
        (["w1", "w2", "w10"], "'time' is 'w1' in row 0, which is no time"),
        ([1.7e9, 1.7e12, 1.8e9], "'time' mixes units since 1970"),
        ([True, False, True], "'time' holds bool"),
        ([1, pd.NaT, 3], "missing in row 1"),
    ):
        X = pd.DataFrame({"user": "a", "time": times})
        for splitter in (TimeSplit("time", test_size=1), LastOutSplit("user", "time")):
            with pytest.raises(ValueError, match=message):
                folds(splitter, X)


def test_ordered_categories_are_in_their_order():
    weeks = pd.Categorical(["w2", "w10", "w1"], ["w1", "w2", "w10"], ordered=True)
    ((_, test),) = folds(TimeSplit("time", test_size=1), pd.DataFrame({"time": weeks}))
    assert test.tolist() == [1]


def test_nanoseconds_apart_are_apart():
    X = pd.DataFrame({"time": [2**62 + 1, 2**62, 2**62 + 3, 2**62 + 2]})
    ((_, test),) = folds(TimeSplit("time", test_size=1), X)
    assert test.tolist() == [2]
