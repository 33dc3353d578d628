"""Lists under constraints, against enumeration of all choices."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_causalrec import recommend
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.ranking import Budget, CategoryQuota, PopularityCap, rerank

ITEMS = list("abcde")
GENRE = dict(zip(ITEMS, ["x", "x", "y", "y", "z"]))
COST = dict(zip(ITEMS, [3.0, 1.0, 2.0, 0.5, 1.5]))


def candidates(seed, n_users=3, n_items=4, low=-1.0):
    rng = np.random.default_rng(seed)
    rows = [
        (user, item)
        for user in range(n_users)
        for item in rng.choice(ITEMS, n_items, replace=False)
    ]
    frame = pd.DataFrame(rows, columns=["user", "item"])
    return frame.assign(score=rng.uniform(low, 3, len(frame)).round(2))


def rows_of(frame, chosen=None):
    """(user, item, score) of the rows, by position."""
    rows = list(frame[["user", "item", "score"]].itertuples(index=False, name=None))
    return rows if chosen is None else [rows[i] for i in chosen]


def choices(frame, k):
    """All lists of at most k, one of every user, as tuples of (user, item, score)."""
    rows, own = rows_of(frame), []
    for user in frame["user"].unique():
        mine = [row for row in rows if row[0] == user]
        own.append([c for n in range(k + 1) for c in combinations(mine, n)])
    return [sum(lists, ()) for lists in product(*own)]


def total(rows):
    return sum(score for _, _, score in rows)


def keeps(rows, users, cap=None, at_most=None, kids=None, budget=None):
    items = [item for _, item, _ in rows]
    if cap is not None and max(map(items.count, items), default=0) > cap:
        return False
    for user in users:
        mine = [item for u, item, _ in rows if u == user]
        genre = [GENRE[item] for item in mine]
        if at_most is not None and max(map(genre.count, genre), default=0) > at_most:
            return False
        if kids is not None and genre.count("y") < kids:
            return False
        if budget is not None and sum(COST[item] for item in mine) > budget + 1e-9:
            return False
    return True


def constraints_of(cap=None, at_most=None, kids=None, budget=None):
    out = []
    if cap is not None:
        out.append(PopularityCap(cap))
    if at_most is not None:
        out.append(CategoryQuota(GENRE, at_most=at_most))
    if kids is not None:
        out.append(CategoryQuota(GENRE, "y", at_least=kids))
    if budget is not None:
        out.append(Budget(COST, budget))
    return out


CASES = [
    dict(cap=1), dict(cap=2), dict(at_most=1), dict(kids=1), dict(budget=3.0),
    dict(cap=2, at_most=1), dict(cap=2, kids=1), dict(cap=2, budget=4.0),
    dict(cap=2, at_most=1, budget=4.0), {},
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_choice_has_a_higher_score(case, seed):
    frame = candidates(seed)
    allowed = [c for c in choices(frame, 2) if keeps(c, range(3), **case)]
    lists = rerank(frame, k=2, constraints=constraints_of(**case), fill=False)
    assert keeps(rows_of(lists), range(3), **case)
    assert total(rows_of(lists)) == pytest.approx(max(map(total, allowed)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_filled_lists_are_as_long_as_can_be(case):
    frame = candidates(2)
    allowed = [c for c in choices(frame, 2) if keeps(c, range(3), **case)]
    most = max(map(len, allowed))
    best = max(total(c) for c in allowed if len(c) == most)
    lists = rerank(frame, k=2, constraints=constraints_of(**case), fill=True)
    assert len(lists) == most
    assert total(rows_of(lists)) == pytest.approx(best)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3),
    st.floats(0.5, 6),
)  # fmt: skip
def test_constraints_hold_and_beat_dropping(seed, k, cap, at_most, budget):
    frame = candidates(seed, n_users=6, n_items=5, low=0.0)
    case = dict(cap=cap, at_most=at_most, budget=budget)
    lists = rerank(frame, k=k, constraints=constraints_of(**case))
    assert keeps(rows_of(lists), range(6), **case)
    assert lists.groupby("user").size().max() <= k
    # Dropping: go down the scores, and leave out what would break a constraint.
    kept = []
    for row in sorted(rows_of(frame), key=lambda row: -row[2]):
        mine = [u for u, _, _ in kept].count(row[0])
        if mine < k and keeps([*kept, row], range(6), **case):
            kept.append(row)
    assert total(rows_of(lists)) >= total(kept) - 1e-9


def test_without_constraints_the_best_k():
    frame = candidates(3, n_users=5)
    lists = rerank(frame, k=2)
    best = frame.sort_values("score", ascending=False).groupby("user").head(2)
    assert set(zip(lists.user, lists.item)) == set(zip(best.user, best.item))
    assert lists["user"].tolist() == sorted(lists["user"])
    assert lists.groupby("user")["rank"].agg(list).map(lambda r: r == [1, 2]).all()
    assert (lists.groupby("user")["score"].diff().dropna() <= 0).all()


def test_on_the_lists_of_recommend(quick_recommender):
    log = make_exposure_log(300, n_users=40, n_items=30, random_state=0)
    model = quick_recommender(user="user", item="item", max_epochs=5).fit(
        log.X, log.y, treatment=log.treatment
    )
    top = recommend(model, k=20)
    items = pd.DataFrame({"item": range(30), "genre": np.arange(30) % 3})
    items["price"] = np.linspace(1, 4, 30)
    limits = {user: 6.0 + user % 2 for user in range(40)}
    lists = rerank(
        top,
        k=4,
        constraints=[
            PopularityCap(0.25),
            CategoryQuota("genre", at_most=2),
            CategoryQuota("genre", 0, at_least=1),
            Budget("price", limits),
        ],
        items=items,
    )
    assert list(lists.columns) == list(top.columns)
    about = lists.merge(items)
    assert lists["item"].value_counts().max() <= 10
    assert about.groupby(["user", "genre"]).size().max() <= 2
    assert about[about["genre"] == 0]["user"].nunique() == 40
    spent = about.groupby("user")["price"].sum()
    assert (spent <= pd.Series(limits)[spent.index] + 1e-9).all()
    assert (about.merge(top, on=["user", "item"])["score_x"]).notna().all()


def test_columns_of_the_candidates_and_polars():
    frame = candidates(4).assign(genre=lambda f: f["item"].map(GENRE))
    quota = [CategoryQuota("genre", at_most=1)]
    lists = rerank(pl.from_pandas(frame), k=2, constraints=quota)
    pd.testing.assert_frame_equal(lists, rerank(frame, k=2, constraints=quota))
    assert lists.groupby("user")["genre"].nunique().eq(2).all()
    free = frame.assign(genre=None)
    assert len(rerank(free, k=2, constraints=quota)) == 6
    assert rerank(frame.iloc[:0], k=2, constraints=quota).empty


def test_bad_calls():
    frame = candidates(5)

    def refused(message, *constraints, frame=frame, **options):
        options = {"k": 2, **options}
        with pytest.raises(ValueError, match=message):
            rerank(frame, constraints=constraints, **options)

    refused("k is 0", k=0)
    refused(r"lack the columns \['score'\]", frame=frame.drop(columns="score"))
    refused("drawn at random", frame=frame.assign(propensity=0.5))
    refused("is there twice", frame=pd.concat([frame, frame.iloc[:1]]))
    refused("score is nan in row 0", frame=frame.assign(score=np.nan))
    refused("lack the column 'item'", items=pd.DataFrame({"id": [1]}))
    refused("max_lists is 0", PopularityCap(0))
    refused("max_lists is 1.5", PopularityCap(1.5))
    refused("less than one", PopularityCap(0.1))
    refused("category='genre' is a column neither", CategoryQuota("genre", at_most=1))
    refused("category is not known for the item", CategoryQuota({"a": 1}, at_most=1))
    refused("at_least=1 of which category", CategoryQuota(GENRE, at_least=1))
    refused("at_least=3 is more than a list", CategoryQuota(GENRE, "x", at_least=3))
    refused("at_least=2 is above", CategoryQuota(GENRE, "x", at_least=2, at_most=1))
    refused("at_most is -1", CategoryQuota(GENRE, at_most=-1))
    refused("No candidate is of the category 'w'", CategoryQuota(GENRE, "w", 1))
    few = frame[(frame["user"] != 1) | (frame["item"].map(GENRE) != "y")]
    refused("User 1 has 0 candidates", CategoryQuota(GENRE, "y", 1), frame=few)
    refused("cost is not known for the item", Budget({"a": 1.0}, 3))
    refused("cost of the item", Budget({**COST, "b": -1.0}, 3))
    refused("limit is -2", Budget(COST, -2))
    refused("limit is not known for the user 2", Budget(COST, {0: 1, 1: 1}))
    refused(
        "No lists meet all constraints together",
        PopularityCap(1), CategoryQuota(GENRE, "y", at_least=1),
    )  # fmt: skip
