import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_causalrec import CausalDNNRecommender, explain, reasons, recommend
from sklearn_causalrec.baselines import EASE, UserItemBias
from sklearn_causalrec.datasets import make_sequence_log
from sklearn_causalrec.explaining.words import CAUSAL, LANGUAGES, n_words, reason


@pytest.fixture(scope="module")
def top(shop_model):
    return recommend(shop_model, users=[0, 1, 2], k=4)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_pair_has_a_short_reason_with_its_figures(
    shop, shop_model, top, language
):
    told = reasons(shop_model, top, language=language)
    assert len(told) == len(top) == told["reason"].str.len().gt(0).sum()
    assert told["reason"].map(n_words).le(25).all()
    assert told["reason"].map(CAUSAL[language].search).notna().all()
    pd.testing.assert_frame_equal(told[list(top)], top)
    other = reasons(shop_model, top, by="outcome")
    rest = other["outcome"] - other[["adds_user", "adds_item"]].sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-3)
    # the score is the effect; what groups add sums to it but for one constant
    np.testing.assert_allclose(told["effect"], top["score"], rtol=1e-5)
    rest = told["effect"] - told[["adds_user", "adds_item"]].sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-3)
    X = shop.world.features(top["user"].to_numpy(), top["item"].to_numpy())
    low, high = shop_model.effect_interval(X)
    np.testing.assert_allclose(told["low"], low, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(told["high"], high, rtol=1e-3, atol=1e-4)
    unclear = told["low"].lt(0) & told["high"].gt(0)
    may = {"en": "may", "zh": "可能"}[language]
    assert told["reason"].str.contains(may).tolist() == unclear.tolist()


def test_reasons_do_not_depend_on_what_else_is_asked(shop_model, top):
    alone = reasons(shop_model, top.iloc[5:6])["reason"].tolist()
    assert alone == reasons(shop_model, top)["reason"].tolist()[5:6]


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_arm_has_no_causal_verb(one_arm, language):
    top = recommend(one_arm, users=[0, 1, 2, 3], k=5, by="outcome")
    told = reasons(one_arm, top, language=language)
    assert "effect" not in told and told["reason"].map(n_words).le(25).all()
    assert told["reason"].map(CAUSAL[language].search).isna().all()
    # matrix factorisation names items that the user acted on
    rated = one_arm.catalogue_.rated.toarray()
    ids = one_arm.log_encoder_.items.ids
    for user, past in zip(told["user"], told["because"]):
        assert all(rated[user, ids.get_loc(item)] for item in past)
    assert told["because"].map(len).max() == 2


def test_ease_names_what_explain_names():
    rng = np.random.default_rng(0)
    log = pd.DataFrame({"user": np.repeat(np.arange(40), 6)})
    log["item"] = [f"item {i}" for i in rng.integers(0, 25, len(log))]
    log = log.drop_duplicates()
    model = EASE(user="user", item="item", l2=5.0).fit(log)
    top = recommend(model, [3, 4], k=3, by="outcome")
    told = reasons(model, top, names={"item 3": "A very long title of an old film"})
    exact = explain(model, [3, 4], k=3, by="outcome")["because"]
    assert told["because"].tolist() == [found[:2] for found in exact]
    first = told["because"][0][0]
    assert first in told["reason"][0] or "A very long…" in told["reason"][0]
    assert told["reason"].map(CAUSAL["en"].search).isna().all()
    new = reasons(model, recommend(model, [99], k=1, by="outcome"))
    assert new["reason"][0] == "It is popular with all users."
    bias = UserItemBias(user="user", item="item").fit(log, rng.normal(size=len(log)))
    said = reasons(bias, recommend(bias, [3], k=1, by="outcome"))["reason"][0]
    assert said.startswith("Expected outcome of shown rows")


def test_the_history_names_what_the_score_rests_on():
    log = make_sequence_log(700, n_users=60, n_items=12, length=5, random_state=0)
    log.X = log.X.drop(columns="history_gaps")
    model = CausalDNNRecommender(
        item="item", user="user", history="history", encoder="dnn", max_epochs=15,
        effect_learner="t", random_state=0,
    ).fit(log.X, log.y, treatment=log.treatment)  # fmt: skip
    top = recommend(model, k=2, exclude_seen=False).head(12)
    told = reasons(model, top)
    assert {"adds_user", "adds_item", "adds_history"} <= set(told)
    past = log.X.groupby("user")["history"].last()
    checked = 0
    for _, row in told.iterrows():
        assert set(row["because"]) <= set(past[row["user"]])
        if len(row["because"]) and len(past[row["user"]]) > 1:
            # by hand: the same pair without the item that is named first
            mine = list(past[row["user"]])
            if mine.count(row["because"][0]) > 1:
                continue
            pair = log.X.head(1).assign(user=row["user"], item=row["item"])
            whole, fewer = pair.copy(), pair.copy()
            whole["history"] = [mine]
            fewer["history"] = [[i for i in mine if i != row["because"][0]]]
            drop = model.predict(whole, 1)[0] - model.predict(fewer, 1)[0]
            assert drop > 0
            checked += 1
    assert checked >= 3
    whole = told["effect"] - told.filter(like="adds_").sum(axis=1)
    np.testing.assert_allclose(whole, whole[0], atol=1e-3)


def test_through_a_pipeline(shop, scale_columns, quick_recommender):
    pipe = make_pipeline(
        scale_columns([c for c in shop.X if "_x" in c]),
        quick_recommender(user="user", item="item", max_epochs=3),
    )
    pipe.fit(shop.X, shop.y, causaldnnrecommender__treatment=shop.treatment)
    users, items = shop.world.users.head(3), shop.world.items
    top = recommend(pipe, users, items, k=2)
    told = reasons(pipe, top, users=users, items=items)
    np.testing.assert_allclose(told["effect"], top["score"], rtol=1e-4, atol=1e-6)
    newcomer = users.head(1).assign(user="new")
    top = recommend(pipe, newcomer, items, k=2)
    told = reasons(pipe, top, users=newcomer, items=items)
    np.testing.assert_allclose(told["effect"], top["score"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("language", LANGUAGES)
def test_templates_are_whole_and_bounded(language):
    assert set(LANGUAGES[language]) == set(LANGUAGES["en"])
    long = "a title of a film that never ends and goes on and on and on"
    for effect in (None, 0.07, -0.07):
        for binary in (True, False):
            for outcome in (None, 0.12, -12345.678):
                for interval in (None, (-1.0, 1.0), (0.01, 0.09), (-0.09, -0.01)):
                    text = reason(
                        language, items=[long, long], groups=["user", "item"],
                        outcome=outcome, effect=effect, interval=interval,
                        binary=binary,
                    )  # fmt: skip
                    assert 0 < n_words(text) <= 25, text
                    verb = CAUSAL[language].search(text.replace(long[:11], ""))
                    clear = effect is not None and interval != (-1.0, 1.0)
                    if effect is None or clear:
                        assert (verb is None) == (effect is None), text


def test_figures_of_a_reason():
    options = dict(outcome=0.19, effect=-0.07, interval=(-0.12, -0.02), binary=True)
    told = reason("en", groups=["item"], **options)
    assert told == (
        "Rests mainly on the item; shown, the chance falls from 19% to 12% (7–17%)."
    )
    told = reason("zh", items=["甲", "乙"], **options)
    assert told == "因为历史中有甲和乙；展示后，概率从 19% 降至 12%（7–17%）。"
    told = reason("en", outcome=-1.5, effect=0.5, interval=(-0.25, 1.25))
    assert (
        told == "Shown, the outcome may go from -1.5 to -1 (-1.75 to -0.25), or stay."
    )


def test_refusals(shop, shop_model, top):
    with pytest.raises(ValueError, match=r"language is 'fr'.*'en', 'zh'"):
        reasons(shop_model, top, language="fr")
    with pytest.raises(ValueError, match="lists have no column of items"):
        reasons(shop_model, top.drop(columns="item"))
    with pytest.raises(ValueError, match="not among the users given"):
        reasons(shop_model, top, users=[0, 1])
    assert reasons(shop_model, top.head(0)).columns[-1] == "reason"
    arms = np.random.default_rng(0).choice(["mail", "call", "fax"], len(shop.X))
    three = CausalDNNRecommender(user="user", item="item", max_epochs=1)
    three.set_params(effect_learner="t", random_state=0)
    three.fit(shop.X, shop.y, treatment=arms)
    with pytest.raises(ValueError, match="against a control"):
        reasons(three, top)
    told = reasons(three, top, T0="fax", T1="mail")
    assert {"effect", "outcome"} <= set(told) and "low" not in told
    held = top.assign(rank=0)
    assert (reasons(shop_model, held)["reason"] == "").all()
