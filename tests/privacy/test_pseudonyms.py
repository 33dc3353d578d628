"""Pseudonyms against HMAC by hand, and the places in which a key must not be."""

import copy
import hashlib
import hmac
import pickle
import secrets
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import load, save
from sklearn_causalrec.baselines import Popularity
from sklearn_causalrec.privacy import Key, Pseudonymizer
from sklearn_causalrec.privacy.pseudonyms import looks_like_pseudonyms

KEY = bytes(range(100, 132))
LOG = pd.DataFrame(
    {"user": ["ann", "bo", "ann", "cy"], "item": [7, 8, 7, 7], "y": [1.0, 0.0, 1.0, 2]}
)


def by_hand(value, domain, key=KEY, n_bytes=16):
    def mac(key, text):
        return hmac.new(key, text.encode(), hashlib.sha256)

    sub = mac(key, f"sklearn_causalrec 1\0pseudonym\0{domain}").digest()
    key_id = mac(key, "sklearn_causalrec 1\0fingerprint").hexdigest()[:8]
    kind = "t" if isinstance(value, str) else "n"
    return f"ps_{key_id}_{mac(sub, f'{kind}{value}').hexdigest()[: 2 * n_bytes]}"


@pytest.fixture
def names():
    return Pseudonymizer(["user", "item"], key=KEY).fit(LOG)


# -- what a pseudonym is -----------------------------------------------------------


def test_they_are_hmac_and_other_columns_pass_through(names):
    out = names.transform(LOG)
    assert out["user"].tolist() == [by_hand(v, "user") for v in LOG.user]
    assert out["item"].tolist() == [by_hand(v, "item") for v in LOG.item]
    pd.testing.assert_series_equal(out["y"], LOG["y"])
    assert LOG["user"].iloc[0] == "ann"


@pytest.mark.parametrize(
    "ids",
    [
        [7.0, 8.0], np.array([7, 8], np.uint8), pd.array([7, 8], dtype="Int64"),
        pd.Categorical([7, 8]), [Decimal(7), Decimal("8.0")],
        np.array([7.0, 8], object),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_are_read_as_the_package_reads_ids(names, ids):
    out = names.transform(pd.DataFrame({"user": ["a", "b"], "item": ids, "y": 0.0}))
    assert out["item"].tolist() == [by_hand(7, "item"), by_hand(8, "item")]


def test_a_domain_separates_and_joins():
    log = pd.DataFrame({"buyer": [1, 2], "seller": [2, 1], "item": [1, 2]})
    domains = {"buyer": "user", "seller": "user"}
    out = Pseudonymizer(key=KEY, domains=domains).fit_transform(log)
    assert out["buyer"].tolist() == out["seller"].tolist()[::-1]
    assert not set(out["item"]) & set(out["buyer"])
    other = Pseudonymizer(key=KEY, domains={"who": "user"})
    table = other.fit_transform(pd.DataFrame({"who": [2]}))
    assert table["who"].iloc[0] == out["buyer"].iloc[1]


def test_missing_ids_stay_missing(names):
    log = LOG.assign(user=["ann", None, np.nan, "cy"], item=[7, np.nan, 8, None])
    out = names.transform(log)
    assert out["user"].isna().tolist() == [False, True, True, False]
    assert out["item"].isna().tolist() == [False, True, False, True]
    assert out["item"].iloc[2] == by_hand(8, "item")


def test_histories_are_lists_of_the_items_domain():
    log = pd.DataFrame({"item": [3, 4], "past": [[4, 4], None]})
    names = Pseudonymizer(key=KEY, domains={"past": "item"}).fit(log)
    out = names.transform(log)
    assert out["past"].iloc[0] == [by_hand(4, "item")] * 2
    assert out["past"].iloc[1] is None
    assert names.without([4], "item").transform(log)["past"].iloc[0] == []


def test_polars_in_and_out(names):
    frame = pl.from_pandas(LOG)
    expected = names.transform(LOG)
    pd.testing.assert_frame_equal(names.transform(frame), expected, check_dtype=False)
    names.set_output(transform="polars")
    out = names.transform(frame)
    assert isinstance(out, pl.DataFrame)
    assert out["user"].to_list() == expected["user"].tolist()


def test_in_a_column_transformer_and_a_pipeline():
    columns = make_column_transformer(
        (Pseudonymizer(key=KEY), ["user", "item"]), remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")  # fmt: skip
    model = make_pipeline(columns, Popularity(user="user", item="item"))
    model.fit(LOG[["user", "item"]], LOG["y"])
    assert set(model[-1].log_encoder_.users.ids) == {
        by_hand(v, "user") for v in LOG.user
    }


def test_no_collision_in_a_hundred_thousand_and_one_is_found(monkeypatch):
    ids = pd.DataFrame({"user": np.arange(100_000)})
    names = Pseudonymizer(key=KEY, n_bytes=12).fit(ids)
    assert names.transform(ids)["user"].nunique() == 100_000
    assert 0 < names.collision_probability(10**9) < 1e-10
    assert Pseudonymizer(key=KEY).collision_probability(10**9) < 1.5e-21
    # Of two bytes, 1,000 ids have a collision with probability 1 - exp(-7.6).
    monkeypatch.setattr(Pseudonymizer, "_parameter_constraints", {})
    short = Pseudonymizer(key=KEY, n_bytes=2).fit(ids[:1000])
    assert short.collision_probability(300) == pytest.approx(0.687, abs=1e-3)
    with pytest.raises(ValueError, match="same pseudonym"):
        short.transform(ids[:1000])


def test_bits_look_random():
    ids = pd.DataFrame({"user": np.arange(4000)})
    out = Pseudonymizer(key=KEY).fit_transform(ids)["user"]
    bits = np.array([list(bytes.fromhex(v[12:])) for v in out], np.uint8)
    share = np.unpackbits(bits, axis=1).mean(0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / 4000**0.5


# -- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    "key, error, words",
    [
        (None, ValueError, "key is missing"),
        (b"short", ValueError, "has 5 bytes, and at least 32"),
        (b"ab" * 20, ValueError, "repeats 2 different bytes"),
        (1234, TypeError, "could be a key"),
        ("env:NO_SUCH_KEY", ValueError, "no such environment variable"),
    ],
)
def test_keys_that_are_none(key, error, words):
    with pytest.raises(error, match=words):
        Pseudonymizer(key=key).fit(LOG[["user"]])


def test_a_text_as_key_is_refused_and_not_repeated():
    text = "correct horse battery staple, all of it"
    with pytest.raises(TypeError) as caught:
        Pseudonymizer(key=text)
    assert "horse" not in str(caught.value)


def test_keys_of_files_and_of_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.write_text(KEY.hex() + "\n")
    monkeypatch.setenv("IDS_KEY", KEY.hex().upper())
    expected = Pseudonymizer(["user"], key=KEY).fit_transform(LOG)
    for key in (path, f"file:{path}", "env:IDS_KEY", Key("env:IDS_KEY")):
        names = Pseudonymizer(["user"], key=key).fit(LOG)
        again = pickle.loads(pickle.dumps(names))
        pd.testing.assert_frame_equal(again.transform(LOG), expected)
    for text in ("", "no hex", KEY.hex()[:40], "aa" * 32):
        path.write_text(text)
        with pytest.raises(ValueError, match="file:"):
            Pseudonymizer(["user"], key=path).fit(LOG)
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        names.set_params(key=path).transform(LOG)


@pytest.mark.parametrize(
    "ids, words",
    [
        (["7", "8"], "ids of the domain 'item' are numbers"),
        ([7.5, 8], "not an id: it looks scaled"),
        ([2.0**60, 1], "floats skip whole numbers"),
        ([(1, 2), (3, 4)], "of type tuple"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "of type"),
    ],
)
def test_ids_that_would_join_nothing(names, ids, words):
    log = pd.DataFrame({"user": ["a", "b"], "item": ids, "y": 0.0})
    with pytest.raises(ValueError, match=words):
        names.transform(log)


def test_one_domain_holds_one_kind():
    log = pd.DataFrame({"buyer": [1, 2], "seller": ["1", "2"]})
    domains = dict.fromkeys(log, "user")
    with pytest.raises(ValueError, match="would join nothing"):
        Pseudonymizer(key=KEY, domains=domains).fit(log)
    with pytest.raises(ValueError, match="not among the columns"):
        Pseudonymizer(key=KEY, domains={"payer": "user"}).fit(log)
    with pytest.raises(ValueError, match="is not a column"):
        Pseudonymizer(["payer"], key=KEY).fit(log)


def test_another_key_after_the_fit_is_refused(names):
    names.set_params(key=secrets.token_bytes(32))
    with pytest.raises(ValueError, match="that of fit"):
        names.transform(LOG)


# -- where the key must not be ---------------------------------------------------------


def holds(data, key=KEY):
    text = data if isinstance(data, bytes) else str(data).encode()
    return any(f in text for f in (key, key.hex().encode(), repr(key)[2:-1].encode()))


def test_the_key_is_nowhere_to_be_seen(names, tmp_path):
    assert holds(KEY) and holds({"key": KEY}) and holds(KEY.hex())
    path = tmp_path / "names.crec"
    save(names, path)
    joblib.dump(names, tmp_path / "names.joblib")
    places = {
        "get_params": names.get_params(), "repr": repr(names), "str": str(names),
        "html": names._repr_html_(), "pickle": pickle.dumps(names),
        "old pickle": pickle.dumps(names, protocol=0), "state": names.__getstate__(),
        "deep": pickle.dumps(copy.deepcopy(names)), "file": path.read_bytes(),
        "joblib": (tmp_path / "names.joblib").read_bytes(),
    }  # fmt: skip
    found = [place for place, data in places.items() if holds(data)]
    assert not found


def test_clone_shares_the_key_and_set_params_takes_a_new_one(names):
    again = clone(names)
    assert not hasattr(again, "key_id_")
    expected = names.transform(LOG)
    pd.testing.assert_frame_equal(again.fit_transform(LOG), expected)
    pd.testing.assert_frame_equal(copy.deepcopy(names).transform(LOG), expected)
    again.set_params(key=bytes(reversed(KEY)))
    assert isinstance(again.key, Key)
    assert again.fit_transform(LOG)["user"].iloc[0] != expected["user"].iloc[0]


def test_after_a_pickle_or_a_file_the_key_is_given_again(names, tmp_path):
    path = tmp_path / "names.crec"
    save(make_pipeline(names, FunctionTransformer()), path)
    for again in (pickle.loads(pickle.dumps(names)), load(path)[0]):
        with pytest.raises(ValueError, match="does not travel with the object"):
            again.transform(LOG)
        again.set_params(key=KEY)
        pd.testing.assert_frame_equal(again.transform(LOG), names.transform(LOG))


# -- one person, and a new key -------------------------------------------------------


def test_without_one_person(names):
    assert names.pseudonyms(["bo"], "user").tolist() == [by_hand("bo", "user")]
    fewer = names.without(["bo"], "user")
    assert fewer.transform(LOG)["user"].isna().tolist() == [False, True, False, False]
    assert names.transform(LOG)["user"].notna().all()
    assert b"'bo'" not in pickle.dumps(fewer, protocol=0)
    assert fewer.removed_ == {by_hand("bo", "user")}
    with pytest.raises(ValueError, match="domain=None is not one of"):
        names.pseudonyms(["bo"])


def test_rotation(names):
    new = bytes(reversed(KEY))
    other = names.rotated(new)
    table = names.rotation_table(LOG, other)
    assert len(table) == 5 and table.columns.tolist() == ["domain", "old", "new"]
    users = table[table.domain == "user"].set_index("old")["new"]
    assert names.transform(LOG)["user"].map(users).tolist() == [
        by_hand(v, "user", new) for v in LOG.user
    ]
    assert other.key_id_ != names.key_id_ and names.key == Key(KEY)
    with pytest.raises(ValueError, match="the one in use"):
        names.rotated(KEY)


def test_who_looks_like_a_pseudonym(names):
    assert looks_like_pseudonyms(names.transform(LOG)["user"])
    assert not looks_like_pseudonyms(["ann", by_hand("bo", "user")])
    assert not looks_like_pseudonyms([]) and not looks_like_pseudonyms([7])
