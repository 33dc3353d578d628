import gzip
import hashlib
import pickle
import shutil
from importlib import resources

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.linear_model import LinearRegression

import sklearn_causalrec.datasets
from sklearn_causalrec.datasets import (
    load_acic2016,
    load_kuairec_slice,
    make_event_log,
    make_exposure_log,
    make_sequence_log,
)

DATA = resources.files(sklearn_causalrec.datasets) / "data"
# Rows are independent, states are features: textbook asymptotics hold.
INDEPENDENT = dict(n_users=None, n_items=None, ids=False, random_state=0)


@pytest.mark.parametrize(
    "name, digest",
    [
        (
            "kuairec_slice.csv.gz",
            "eabcfe3e042860d29f3428415fb06715af819bc29369df81631e42b99674033a",
        ),
        (
            "acic2016_x.csv.gz",
            "0d6387ad45d23e54b11cbf967248fb68ad5e578db80d193208b8b4c98b1ed0c1",
        ),
        (
            "acic2016_zymu_1.csv.gz",
            "002fad96bb55d54edec08a0af46ef4f8ad69e0cfe6294ab48f351f22976a6e76",
        ),
    ],
)
def test_shipped_files_are_the_published_ones(name, digest):
    content = gzip.decompress((DATA / name).read_bytes())
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize(
    "name, title",
    [
        ("LICENSE.kuairec-CC-BY-SA-4.0", "Attribution-ShareAlike 4.0 International"),
        ("LICENSE.acic2016-CDLA-Sharing-1.0", "Community Data License Agreement"),
    ],
)
def test_licences_stand_beside_the_data(name, title):
    assert (DATA / name).read_text(encoding="utf-8").startswith(title)


def test_kuairec_slice():
    kuairec = load_kuairec_slice()
    assert kuairec.data.shape == (58100, 2)
    assert not kuairec.data.duplicated().any()
    assert (kuairec.data.groupby("user_id").size() == 83).all()
    assert (kuairec.target >= 1).mean() == pytest.approx(0.338, abs=5e-4)
    assert (kuairec.target >= 2).mean() == pytest.approx(0.05, abs=5e-3)
    pd.testing.assert_frame_equal(kuairec.frame, kuairec.data.join(kuairec.target))
    assert "CC BY-SA 4.0" in kuairec.DESCR and "CIKM 2022" in kuairec.DESCR

    arrays = load_kuairec_slice(as_frame=False)
    assert arrays.frame is None
    assert arrays.data.dtype.kind == "i"
    np.testing.assert_array_equal(arrays.data, kuairec.data)
    np.testing.assert_array_equal(arrays.target, kuairec.target)


def test_acic2016():
    acic = load_acic2016()
    assert acic.data.shape == (4802, 82) and acic.frame.shape == (4802, 64)
    assert acic.feature_names == list(acic.data.columns)
    assert acic.data.to_numpy().dtype == float and acic.data.notna().all(axis=None)
    treated = acic.treatment == 1
    np.testing.assert_array_equal(acic.target[treated], acic.frame.y1[treated])
    np.testing.assert_array_equal(acic.target[~treated], acic.frame.y0[~treated])
    np.testing.assert_array_equal(acic.effect, acic.mu1 - acic.mu0)
    # The noise of either potential outcome is centred on its expectation.
    for arm in "01":
        noise = acic.frame[f"y{arm}"] - acic.frame[f"mu{arm}"]
        assert abs(noise.mean()) < 4 * noise.std() / np.sqrt(len(noise))
    assert "CDLA" in acic.DESCR

    arrays = load_acic2016(as_frame=False)
    for name in ("data", "target", "treatment", "mu0", "mu1", "effect"):
        assert type(arrays[name]) is np.ndarray
        np.testing.assert_array_equal(arrays[name], acic[name])


def test_acic2016_letters_are_one_hot():
    acic = load_acic2016()
    for name in ("x_2", "x_21", "x_24"):
        letters = acic.frame[name]
        columns = [c for c in acic.data if c.startswith(f"{name}_")]
        assert columns == [f"{name}_{letter}" for letter in sorted(set(letters))]
        assert (acic.data[columns].idxmax(axis=1) == name + "_" + letters).all()
        assert (acic.data[columns].sum(axis=1) == 1).all()


def test_acic2016_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"only file 1 .*zymu_2\.csv .*causall"):
        load_acic2016(2)
    with pytest.raises(FileNotFoundError, match=r"neither zymu_2\.csv nor zymu_2"):
        load_acic2016(2, data_home=tmp_path)
    with pytest.raises(ValueError, match="positive integer, got '1'"):
        load_acic2016("1")

    outcomes = load_acic2016().frame[["z", "y0", "y1", "mu0", "mu1"]]
    (outcomes + [0, 0, 0, 0, 1]).to_csv(tmp_path / "zymu_2.csv", index=False)
    acic = load_acic2016(2, data_home=str(tmp_path))
    np.testing.assert_allclose(acic.effect, load_acic2016().effect + 1)
    assert acic.filename == "zymu_2.csv"

    shutil.copyfile(DATA / "acic2016_zymu_1.csv.gz", tmp_path / "zymu_3.csv.gz")
    pd.testing.assert_frame_equal(
        load_acic2016(3, data_home=tmp_path).frame, load_acic2016().frame
    )

    outcomes.iloc[:5].to_csv(tmp_path / "zymu_4.csv", index=False)
    with pytest.raises(ValueError, match=r"expected 4802 rows .* got 5 rows"):
        load_acic2016(4, data_home=tmp_path)


@given(
    n_users=st.integers(20, 50) | st.none(),
    n_items=st.integers(20, 50) | st.none(),
    n_features=st.sampled_from([0, 8, 11]),
    n_arms=st.integers(2, 4),
    outcome=st.sampled_from(["continuous", "binary"]),
    effect=st.sampled_from(["linear", "nonlinear", "constant"]),
    overlap=st.sampled_from([0.01, 1.0, float("inf")]),
    ids=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_fields_agree_with_each_other(seed, **parameters):
    assume(parameters["ids"] or parameters["n_features"])
    log = make_exposure_log(300, **parameters, random_state=seed)
    n_arms, ids = parameters["n_arms"], parameters["ids"]
    rows = np.arange(300)
    assert log.X.shape == (300, parameters["n_features"] + 2 * ids)
    assert log.mu.shape == log.exposure_probability.shape == (300, n_arms)
    assert np.isin(log.treatment, range(n_arms)).all()
    assert len(set(zip(log.user, log.item))) == 300
    np.testing.assert_allclose(log.exposure_probability.sum(axis=1), 1)
    np.testing.assert_array_equal(
        log.propensity, log.exposure_probability[rows, log.treatment]
    )
    assert (log.propensity > 0).all()
    effects = log.mu[:, 1:] - log.mu[:, :1]
    np.testing.assert_array_equal(log.effect.reshape(300, -1), effects)
    if parameters["outcome"] == "binary":
        assert set(log.y) <= {0, 1} and ((log.mu >= 0) & (log.mu <= 1)).all()
    if parameters["overlap"] == float("inf"):
        np.testing.assert_allclose(log.exposure_probability, 1 / n_arms)

    # The truth of a pair is the same whoever asks, and X is built of the catalogues.
    truth = log.counterfactual(log.user[::-1], log.item[::-1])
    for name in ("mu", "effect", "exposure_probability"):
        np.testing.assert_allclose(truth[name][::-1], log[name])
    expected = pd.concat(
        [
            log.world.users.loc[log.user].reset_index(drop=True),
            log.world.items.loc[log.item].reset_index(drop=True),
        ],
        axis=1,
    )
    assert set(log.X) == set(expected) - (set() if ids else {"user", "item"})
    pd.testing.assert_frame_equal(log.X, expected[list(log.X)])


def test_same_seed_same_log():
    first, second = (make_exposure_log(500, random_state=3) for _ in range(2))
    pd.testing.assert_frame_equal(first.X, second.X)
    np.testing.assert_array_equal(first.y, second.y)
    np.testing.assert_array_equal(first.treatment, second.treatment)
    assert (make_exposure_log(500, random_state=4).y != first.y).all()

    restored = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(
        restored.counterfactual([1, 2], [3, 4]).mu,
        first.counterfactual([1, 2], [3, 4]).mu,
    )


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
@pytest.mark.parametrize("n_arms", [2, 3])
def test_truth_explains_the_log(outcome, n_arms):
    log = make_exposure_log(
        100_000, outcome=outcome, n_arms=n_arms, noise=0.7, **INDEPENDENT
    )
    for arm in range(n_arms):
        own, probability = log.treatment == arm, log.exposure_probability[:, arm]
        # Arms come as often as their probability says, over the whole range of it.
        for part in np.array_split(np.argsort(probability), 10):
            spread = np.sqrt((probability[part] * (1 - probability[part])).sum())
            assert abs(own[part].sum() - probability[part].sum()) < 4.5 * spread
        # Outcomes scatter around mu, wherever mu is.
        mu, y = log.mu[own, arm], log.y[own]
        variance = mu * (1 - mu) if outcome == "binary" else np.full(len(mu), 0.49)
        assert np.sum((y - mu) ** 2) == pytest.approx(variance.sum(), rel=0.03)
        for part in np.array_split(np.argsort(mu), 10):
            miss = (y - mu)[part].sum()
            assert abs(miss) < 4.5 * np.sqrt(variance[part].sum())


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_weighting_by_the_propensity_recovers_the_effect(outcome):
    log = make_exposure_log(200_000, outcome=outcome, **INDEPENDENT)
    shown = log.treatment == 1
    contrast = np.where(shown, log.y, -log.y) / log.propensity
    error = contrast.std() / np.sqrt(len(contrast))
    assert abs(contrast.mean() - log.effect.mean()) < 4 * error
    naive = log.y[shown].mean() - log.y[~shown].mean()
    assert naive - log.effect.mean() > 20 * error


def test_confounding_is_the_share_of_appeal_in_the_logit():
    for confounding in (0, 1, 3):
        log = make_exposure_log(100_000, confounding=confounding, **INDEPENDENT)
        never, shown = log.exposure_probability.T
        share = np.corrcoef(np.log(shown / never), log.mu[:, 0])[0, 1]
        expected = confounding / np.sqrt(1 + confounding**2)
        assert share == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("effect", ["linear", "nonlinear"])
def test_without_confounding_arms_compare(effect):
    log = make_exposure_log(200_000, confounding=0, effect=effect, **INDEPENDENT)
    shown = log.treatment == 1
    naive = log.y[shown].mean() - log.y[~shown].mean()
    error = 2 * log.y.std() / np.sqrt(len(shown))
    assert abs(naive - log.effect.mean()) < 4 * error


def test_pushes_belong_to_users():
    log = make_exposure_log(100, confounding=0, n_arms=3, random_state=0)
    user, items = np.full(200, 7), np.arange(200)
    shown = log.counterfactual(user, items).exposure_probability
    np.testing.assert_allclose(shown, shown[:1].repeat(200, axis=0))
    shown = log.counterfactual(np.arange(200), items).exposure_probability
    assert shown.std(axis=0).min() > 0.05


def test_overlap_is_the_inverse_spread_of_the_logit():
    for overlap in (0.25, 1, 4):
        log = make_exposure_log(100_000, overlap=overlap, **INDEPENDENT)
        never, shown = log.exposure_probability.T
        assert np.log(shown / never).std() * overlap == pytest.approx(1, abs=0.02)


def test_stated_moments():
    for effect in ("linear", "nonlinear"):
        log = make_exposure_log(100_000, effect=effect, **INDEPENDENT)
        assert log.effect.mean() == pytest.approx(0.25, abs=0.01)
        assert log.effect.std() == pytest.approx(0.5, abs=0.01)
        assert log.mu[:, 0].std() == pytest.approx(1, abs=0.02)
    assert (log.effect >= 0.25 - 0.5 * 3**-0.5 / np.sqrt(5**-0.5 - 1 / 3)).all()
    np.testing.assert_allclose(
        make_exposure_log(effect="constant", **INDEPENDENT).effect, 0.25
    )


def test_binary_outcome_is_the_latent_one_above_zero():
    parameters = {"noise": 0.6, "random_state": 5}
    latent = make_exposure_log(**parameters)
    binary = make_exposure_log(outcome="binary", **parameters)
    np.testing.assert_allclose(binary.mu, norm.cdf(latent.mu / 0.6))
    np.testing.assert_array_equal(binary.treatment, latent.treatment)


def _explained(log):
    return LinearRegression().fit(log.X, log.effect).score(log.X, log.effect)


def test_features_alone_carry_a_linear_effect():
    log = make_exposure_log(n_features=25, **INDEPENDENT)
    assert log.X.shape == (20_000, 25)
    assert _explained(log) == pytest.approx(1, abs=1e-12)
    shown = log.treatment == 1
    assert log.y[shown].mean() - log.y[~shown].mean() > log.effect.mean() + 0.3
    # Lifted by neither of the two: the hump is even.
    assert _explained(make_exposure_log(effect="nonlinear", **INDEPENDENT)) < 0.01


@pytest.mark.parametrize("revealed", [0, 0.3, 0.8])
def test_revealed_is_the_share_the_features_explain(revealed):
    log = make_exposure_log(revealed=revealed, n_samples=50_000, **INDEPENDENT)
    assert _explained(log) == pytest.approx(revealed, abs=0.02)


def test_a_list_by_effect_is_worth_more_than_one_by_outcome():
    log = make_exposure_log(random_state=0)
    n_users, n_items = len(log.world.users), len(log.world.items)
    users, items = np.divmod(np.arange(n_users * n_items), n_items)
    truth = log.counterfactual(users, items)
    gain = truth.effect.reshape(n_users, n_items)

    def worth(scores):
        top = np.argsort(-scores.reshape(n_users, n_items), axis=1)[:, :10]
        return np.take_along_axis(gain, top, axis=1).mean()

    assert worth(truth.effect) > worth(truth.mu[:, 1]) + 0.3


@pytest.mark.parametrize(
    "parameters, match",
    [
        ({"n_samples": 0}, "n_samples == 0"),
        ({"n_users": 10, "n_items": 10, "n_samples": 101}, "101 is more than the 100"),
        ({"n_users": 0}, "n_users == 0"),
        ({"outcome": "count"}, "outcome must be one of .* got 'count'"),
        ({"effect": "cubic"}, "effect must be one of .* got 'cubic'"),
        ({"n_arms": 1}, "n_arms == 1"),
        ({"n_arms": 5}, "n_arms=5 .* set n_latent, now 4, to 5"),
        ({"n_features": 7}, "n_features=7.* to 8 or more, or revealed=0"),
        ({"n_features": 0, "ids": False}, "n_features=0 and ids=False leave X empty"),
        ({"confounding": -1}, "confounding == -1"),
        ({"overlap": 0}, "overlap == 0"),
        ({"noise": 0}, "noise == 0"),
        ({"revealed": 1.5}, "revealed == 1.5"),
    ],
)
def test_bad_parameters(parameters, match):
    with pytest.raises(ValueError, match=match):
        make_exposure_log(**parameters)


@pytest.mark.parametrize(
    "users, items, match",
    [
        ([500], [0], "users holds the id 500.* 0 to 499"),
        ([0], [-1], "items holds the id -1.* 0 to 199"),
        ([0, 1], [0], "2 users and 1 items"),
        ([0.5], [0], "integer ids, got 1 dimensions of float64"),
    ],
)
def test_bad_pairs(users, items, match):
    log = make_exposure_log(100, random_state=0)
    with pytest.raises(ValueError, match=match):
        log.counterfactual(users, items)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (make_exposure_log, dict(n_samples=True), "n_samples must be a number"),
        (make_exposure_log, dict(overlap=np.nan), "overlap must be a finite number"),
        (make_exposure_log, dict(noise=np.inf), "noise must be a finite number"),
        (make_exposure_log, dict(outcome=pd.NA), "outcome must be one of"),
        (make_event_log, dict(n_users=True), "n_users must be a number"),
        (make_event_log, dict(late=np.nan), "late must be a finite number"),
        (make_sequence_log, dict(confounding=np.inf), "confounding must be a finite"),
        (load_acic2016, dict(i=2, data_home=0.5), "data_home must be the path"),
    ],
)
def test_what_no_simulator_can_use_is_named(make, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(**options)
