"""Whose each feature is, what is assumed, and how what is asked for is read."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_causalrec import CausalDNNRecommender, explain, recommend
from sklearn_causalrec.interactions import make_preprocessor
from sklearn_causalrec.ranking import PopularityCap, rerank

ROLES = dict(user="customer", item="product")
NEW_ITEMS = pd.DataFrame({"product": [100, 101, 102], "price": [-2.0, 0.0, 2.0]})


def quick(**options):
    options = {**ROLES, "effect_learner": "t", "random_state": 0} | options
    return CausalDNNRecommender(**options)


def make_log(n, n_users, n_items, seed=0):
    """Effects are price times how active the customer is at that time."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"customer": np.arange(n) % n_users})
    X["product"] = rng.permutation(np.arange(n) % n_items)
    X["age"] = rng.normal(size=n_users)[X["customer"]]
    X["price"] = rng.normal(size=n_items)[X["product"]]
    t = rng.integers(0, 2, n)
    return X, t, rng


@pytest.fixture(scope="module")
def one_row_a_user():
    X, t, rng = make_log(600, 600, 30)
    y = X["price"].to_numpy() * t + X["age"].to_numpy() + 0.1 * rng.normal(size=600)
    return X, t, y


@pytest.fixture(scope="module")
def log():
    X, t, rng = make_log(900, 45, 20)
    X["hour"], X["active"] = rng.uniform(0, 24, 900), rng.normal(size=900)
    y = X["active"] * X["price"] * t + 0.1 * rng.normal(size=900)
    return X, t, y.to_numpy()


@pytest.fixture(scope="module")
def model(log):
    X, t, y = log
    return quick(max_epochs=15).fit(X, y, treatment=t)


# -- whose each feature is -------------------------------------------------------


def assert_dearer_is_better(model):
    lists = recommend(model, [1, 2], NEW_ITEMS, k=3)
    assert lists["product"].tolist() == [102, 101, 100] * 2
    assert (lists.groupby("customer")["score"].agg(np.ptp) > 2).all()


def test_with_one_row_a_user_new_items_get_scores_of_their_own(one_row_a_user):
    X, t, y = one_row_a_user
    model = quick(max_epochs=20).fit(X, y, treatment=t)
    assert model.catalogue_.owner.to_dict() == {"age": "user", "price": "item"}
    assert_dearer_is_better(model)


def test_a_first_batch_of_one_row_a_user_settles_nothing(one_row_a_user):
    X, t, y = one_row_a_user
    model = quick()
    first = np.flatnonzero(~X["product"].duplicated())  # and one row an item
    model.partial_fit(X.iloc[first], y[first], treatment=t[first])
    assert set(model.catalogue_.owner) == {"item"}
    assert not model.catalogue_.certain.any()
    for _ in range(20):
        model.partial_fit(X, y, treatment=t)
    assert model.catalogue_.owner.to_dict() == {"age": "user", "price": "item"}
    assert_dearer_is_better(model)


@pytest.mark.parametrize(
    "told",
    [
        dict(user_features=["age"]),
        dict(item_features=["price"], user_features=["age"]),
        dict(towers={"user": ["age"], "item": ["price"]}),
    ],
)
def test_owners_can_be_told(told):
    X, t, rng = make_log(300, 300, 300)
    model = quick(max_epochs=1, **told).fit(X, rng.normal(size=300), treatment=t)
    assert model.catalogue_.owner.to_dict() == {"age": "user", "price": "item"}
    assert quick(max_epochs=1).fit(
        X, rng.normal(size=300), treatment=t
    ).catalogue_.owner.to_dict() == {"age": "item", "price": "item"}


def test_both_lists_leave_the_rest_to_the_context(log):
    X, t, y = log
    options = dict(user_features=["active"], item_features=["price"], max_epochs=1)
    told = quick(**options).fit(X, y, treatment=t).catalogue_
    assert told.owner.to_dict() == {
        "age": "context",
        "price": "item",
        "hour": "context",
        "active": "user",
    }
    last = X.groupby("customer")["active"].last()  # changes with time: the last counts
    np.testing.assert_allclose(told.user_table[:-1, 3], last, rtol=1e-6)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (dict(user_features=["agee"]), "user_features names 'agee'"),
        (dict(user_features=["age"], item_features=["age"]), "'age' is in user_feat"),
        (dict(user_features=["age"], towers={"item": ["age"]}), "'age' is in user_fea"),
    ],
)
def test_owners_are_told_once(log, told, message):
    X, t, y = log
    with pytest.raises(ValueError, match=message):
        quick(max_epochs=1, **told).fit(X, y, treatment=t)


# -- columns of frames, and the rest ---------------------------------------------


def pairs_of(lists, X, **columns):
    for of, key in (("age", "customer"), ("price", "product")):
        lists = lists.merge(X[[key, of]].drop_duplicates(), on=key)
    return lists.assign(**columns)[list(X.columns)]


def test_users_frames_may_carry_what_varies_within_a_user(log, model):
    X, _, _ = log
    assert model.catalogue_.owner[["hour", "active"]].eq("context").all()
    users = pd.DataFrame({"customer": [3, 4], "active": [2.0, -2.0]})
    options = dict(k=20, exclude_seen=False, context={"hour": 5.0})
    lists = recommend(model, users, **options)
    rows = pairs_of(lists.merge(users), X, hour=5.0)
    rows["active"] = rows["customer"].map(users.set_index("customer")["active"])
    np.testing.assert_allclose(lists["score"], model.effect(rows), rtol=1e-4, atol=1e-4)
    best = lists.groupby("customer")["product"].first()
    prices = X.drop_duplicates("product").set_index("product")["price"]
    assert prices[best[3]] > prices.quantile(0.8)
    assert prices[best[4]] < prices.quantile(0.2)


@pytest.mark.parametrize("form", [dict, pd.Series, lambda row: pd.DataFrame([row])])
def test_context_is_a_dict_or_a_row(model, form):
    found = recommend(model, [3], k=3, context=form({"hour": 5.0, "active": 1.0}))
    users = pd.DataFrame({"customer": [3], "hour": [5.0], "active": [1.0]})
    pd.testing.assert_frame_equal(found, recommend(model, users, k=3))


def test_a_row_of_the_log_is_context_but_for_its_user_and_item(log, model):
    row = log[0].iloc[[7]]
    users = pd.DataFrame({"customer": [3], "active": [1.0]})
    expected = recommend(model, users, context={"hour": row["hour"].item()})
    for context in (row, row.iloc[0]):
        pd.testing.assert_frame_equal(
            recommend(model, users, context=context), expected
        )


def test_explain_says_what_was_assumed(log, model):
    X, _, _ = log
    users = pd.DataFrame({"customer": [3, 900], "active": [1.0, 1.0]})
    why = explain(model, users, pd.DataFrame({"product": [5, 77]}), exclude_seen=False)
    assumed = why.set_index(["customer", "product"])["assumed"]
    hour = {"hour": pytest.approx(X["hour"].mean(), rel=1e-5)}
    age = X.groupby("customer")["age"].last().mean()
    price = X.groupby("product")["price"].last().mean()
    age, price = (
        {"age": pytest.approx(age, abs=1e-5)},
        {"price": pytest.approx(price, abs=1e-5)},
    )
    assert assumed[3, 5] == hour
    assert assumed[900, 5] == hour | age
    assert assumed[3, 77] == hour | price
    assert assumed[900, 77] == hour | age | price
    nothing = explain(model, users, context={"hour": 3.0}, k=1)["assumed"]
    assert nothing.iloc[0] == {}


def test_assumed_values_are_in_the_units_of_the_log(log):
    X, t, y = log
    X = X.assign(hour=1.7e9 + 60 * X["hour"])
    model = quick(max_epochs=1).fit(X, y, treatment=t)
    assumed = explain(model, [3], k=1, context={"active": 0.0})["assumed"].iloc[0]
    assert assumed == {"hour": pytest.approx(X["hour"].mean(), abs=1.0)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(context={"huor": 1.0}), "context names 'huor'"),
        (dict(context={"price": 1.0}), "feature of the item .*pass it with items="),
        (dict(context={"hour": np.nan}), "context: 'hour' is nan"),
        (dict(context={"hour": "3"}), "'hour' holds numbers as text"),
        (dict(context=pd.DataFrame({"hour": [1, 2]})), "context has 2 rows"),
        (dict(context={"active": 1.0}), "'active', which is in users as well"),
        (
            dict(users=pd.DataFrame({"customer": [1], "price": [1]})),
            "'price' came with",
        ),
        (dict(users=pd.DataFrame({"customer": [1], "age": [np.nan]})), "'age' is nan"),
        (dict(items=NEW_ITEMS.assign(price=np.nan)), "'price' is nan for the item 100"),
        (dict(items=NEW_ITEMS.assign(price=np.inf)), "'price' is inf for the item 100"),
        (dict(users=[1, None]), "user column has a missing id in row 1"),
        (dict(users=pd.DataFrame({"id": [1]})), "without the column 'customer'"),
    ],
)
def test_frames_that_cannot_be_read_are_refused(model, options, message):
    users = pd.DataFrame({"customer": [1], "active": [1.0]})
    with pytest.raises(ValueError, match=message):
        recommend(model, **{"users": users} | options)


def test_each_id_has_one_row(model):
    items = NEW_ITEMS.iloc[[0, 0, 1]]
    assert len(recommend(model, [1], items)) == 2
    assert len(recommend(model, [1, 1], [5, 5, 6], exclude_seen=False)) == 2
    items = items.assign(price=[1.0, 2.0, 3.0])
    with pytest.raises(
        ValueError, match=r"item 100 has several rows in items, \[0, 1\]"
    ):
        recommend(model, [1], items)


# -- pairs left out --------------------------------------------------------------


def listed(model, **options):
    lists = recommend(model, k=20, **options)
    return set(zip(lists["customer"], lists["product"]))


def test_seen_means_shown(log, model):
    X, t, y = log
    everything = listed(model, exclude_seen=False)
    assert len(everything) == 45 * 20

    def pairs(rows):
        return set(zip(X["customer"][rows], X["product"][rows]))

    assert listed(model) == everything - pairs(t == 1)
    assert listed(model, exclude_seen="rated") == everything - pairs(y > 0)
    with pytest.raises(ValueError, match="exclude_seen is 'shown'"):
        listed(model, exclude_seen="shown")


def test_seen_by_arms_of_text(log):
    X, t, y = log
    arms = np.where(t == 1, "shown", "control")
    model = quick(max_epochs=1).fit(X, y, treatment=arms)
    found = listed(model, T0="control", T1="shown")
    assert len(found) == 45 * 20 - len(X[t == 1].drop_duplicates(list(ROLES.values())))


@pytest.mark.parametrize(
    "exclude",
    [
        [(40, 3), (41, 5)],
        np.array([[40, 3], [41, 5]]),
        {(40, 3), (41, 5)},
        pd.DataFrame({"product": [3, 5], "why": "old", "customer": [40, 41]}),
        pd.MultiIndex.from_tuples([(40, 3), (41, 5)], names=["customer", "product"]),
    ],
)
def test_pairs_to_exclude(model, exclude):
    asked = dict(users=[40, 41], items=[3, 5], exclude_seen=False)
    assert listed(model, exclude=exclude, **asked) == {(40, 5), (41, 3)}


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ([(3, 40), (5, 41)], r"looks like pairs \(item, user\)"),
        (
            [(3, 1)],
            r"looks like pairs \(item, user\)",
        ),  # ids of both, and not asked for
        (np.array([[1, 3, 0]]), r"exclude holds \[1, 3, 0\] in row 0"),
        ([1, 3], "exclude holds 1 in row 0"),
        ([("1", 3)], r"user \(exclude\) id '1' is not of the kind"),
        (pd.DataFrame({"user": [1], "item": [3]}), "exclude lacks the columns"),
    ],
)
def test_pairs_in_another_form_are_refused(model, exclude, message):
    with pytest.raises(ValueError, match=message):
        recommend(model, [1, 41], exclude=exclude)


def test_lists_can_be_excluded_from_the_next_ones(model):
    first = recommend(model, [3, 4], k=4)
    second = recommend(model, [3, 4], k=4, exclude=first)
    assert len(first.merge(second, on=list(ROLES.values()))) == 0


# -- scores and ids --------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["dnn", "mf"])
def test_large_outcomes_have_scores_that_differ(log, encoder):
    X, t, y = log
    X = X[["customer", "product"]] if encoder == "mf" else X
    model = quick(encoder=encoder, max_epochs=2).fit(X, y + 1e8, treatment=t)
    lists = recommend(model, [1], k=20, by="outcome", exclude_seen=False)
    assert lists["score"].nunique() == 20


@pytest.fixture(scope="module")
def by_text(log):
    X, t, y = log
    X = X.assign(customer=X["customer"].astype(str))
    return quick(max_epochs=1).fit(X, y, treatment=t)


def test_ids_of_another_kind_are_asked_about(log, model, by_text):
    X, t, y = log
    with pytest.raises(ValueError, match=r"user id '1' .*numbers.*spelt alike"):
        recommend(model, ["1"])
    with pytest.raises(ValueError, match=r"user id 1 .*text.*spelt alike"):
        recommend(by_text, [1])
    with pytest.raises(ValueError, match=r"item id 'i1' .*spelt alike"):
        recommend(model, [1], NEW_ITEMS.assign(product=["i1", "i2", "i3"]))
    with pytest.raises(ValueError, match="spelt alike"):
        model.effect(X.assign(customer=X["customer"].astype(str)))
    with pytest.raises(ValueError, match="spelt alike"):
        by_text.partial_fit(X, np.zeros(len(X)), treatment=t)
    with pytest.raises(ValueError, match="ids mix kinds"):
        mixed = X["customer"].astype(object).where(X.index > 5, "a")
        quick().fit(X.assign(customer=mixed), y, treatment=t)
    # A word spells no number: with its features it is a new id, and alone an average.
    users = pd.DataFrame({"customer": ["new"], "age": [1.0]})
    assert len(recommend(model, users, k=3)) == 3
    with pytest.raises(ValueError, match="spelt alike"):
        recommend(model, ["new"])


def test_large_integers_stay_apart(log):
    X, t, y = log
    far = np.uint64(2**63 + 10)
    model = quick(max_epochs=2)
    model.fit(X.assign(customer=X["customer"].astype("uint64") + far), y, treatment=t)
    lists = recommend(model, k=1)
    assert sorted(lists["customer"]) == [int(far) + i for i in range(45)]
    one = recommend(model, [int(far) + 3], k=20, exclude_seen=False)
    other = recommend(model, [int(far) + 4], k=20, exclude_seen=False)
    assert not np.allclose(one["score"], other["score"])
    with pytest.raises(ValueError, match="floats skip whole numbers"):
        recommend(model, [float(far)])


def test_histories_spelt_otherwise_are_asked_about(log):
    X, t, y = log
    roles = dict(history="past", max_epochs=1)
    past = [[int(i)] for i in X["product"]]
    model = quick(**roles).fit(X.assign(past=past), y, treatment=t)
    users = pd.DataFrame({"customer": [1], "past": [[3]]})
    assert len(recommend(model, users, k=2)) == 2
    for spelling, message in ((["3"], "'3'.*spelt alike"), ([777], "777.*spelt alike")):
        with pytest.raises(ValueError, match=message):
            recommend(model, users.assign(past=[spelling]))
    as_text = X.assign(product="i" + X["product"].astype(str))
    for spelt in (past, [[str(i)] for i in X["product"]]):
        with pytest.raises(ValueError, match="spelt alike"):
            quick(**roles).fit(as_text.assign(past=spelt), y, treatment=t)


# -- names, and pipelines --------------------------------------------------------


def test_lists_have_the_names_of_the_log(log, model):
    X, t, y = log
    lists = recommend(model, [3, 4], k=5)
    assert list(lists.columns) == ["customer", "product", "rank", "score"]
    assert list(explain(model, [3], k=5).columns[:2]) == ["customer", "product"]
    drawn = recommend(model, [3], k=5, explore="epsilon", random_state=0)
    assert list(drawn.columns[:2]) == ["customer", "product"]
    again = rerank(lists, k=2, constraints=[PopularityCap(1)])
    assert list(again.columns) == list(lists.columns)
    assert again["product"].is_unique
    by_name = rerank(lists[lists.columns[::-1]], k=2, user="customer", item="product")
    assert by_name["customer"].tolist() == [3, 3, 4, 4]
    with pytest.raises(ValueError, match="Name them"):
        rerank(lists, k=2, user="customer", item="customer")
    array = quick(user=0, item=1, max_epochs=1).fit(X.to_numpy(), y, treatment=t)
    assert list(recommend(array, [3], k=1).columns[:2]) == ["user", "item"]
    users = pd.DataFrame({0: [3], 2: [1.0]})
    assert recommend(array, users, k=1)["user"].tolist() == [3]
    named = X.rename(columns={"customer": "rank"})
    clash = quick(user="rank", max_epochs=1).fit(named, y, treatment=t)
    assert list(recommend(clash, [3], k=1).columns[:2]) == ["user", "item"]


def test_cold_start_through_a_pipeline(log):
    X, t, y = log
    X = X.assign(shown=t, kind=np.where(X["product"] % 2, "a", "b"), sample_weight=1.0)
    roles = dict(**ROLES, treatment="shown")
    proposed = make_preprocessor(X.assign(y=y), **roles, outcome=["y", "sample_weight"])
    pipeline = make_pipeline(proposed, quick(treatment="shown", max_epochs=20))
    pipeline.fit(X.assign(y=y), y)
    users = pd.DataFrame({"customer": [900, 901], "age": 0.0, "active": [2.0, -2.0]})
    items = NEW_ITEMS.assign(kind="a")
    lists = recommend(pipeline, users, items, k=3, context={"hour": 12.0})
    assert lists["product"].tolist() == [102, 101, 100, 100, 101, 102]
    with pytest.raises(ValueError, match=r"came without \['hour'\]"):
        recommend(pipeline, users, items)
    with pytest.raises(ValueError, match="'active', which is in users as well"):
        recommend(pipeline, users, items, context={"hour": 12.0, "active": 1.0})


def test_prefixes_of_a_pipeline_are_no_names_of_lists(log, scale_columns):
    X, t, y = log
    X = X.assign(shown=t)
    scaler = scale_columns(["age", "price", "hour", "active"])
    scaler.set_params(verbose_feature_names_out=True)
    roles = dict(zip(("user", "item", "treatment"), ("customer", "product", "shown")))
    roles = {role: f"remainder__{name}" for role, name in roles.items()}
    pipeline = make_pipeline(scaler, quick(**roles, max_epochs=2)).fit(X, y)
    assert list(recommend(pipeline, [1], k=2).columns[:2]) == ["customer", "product"]
    users = pd.DataFrame({"customer": [1], "age": [1.0], "active": [1.0]})
    lists = recommend(pipeline, users, NEW_ITEMS, k=2, context={"hour": 3.0})
    assert lists["customer"].tolist() == [1, 1]
