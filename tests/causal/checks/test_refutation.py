import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from sklearn_causalrec import CausalDNNRecommender, CausalGraph
from sklearn_causalrec.causal.checks import refuters
from sklearn_causalrec.causal.checks.refits import cluster_codes
from sklearn_causalrec.causal.checks.refutation import negative_control, refute
from sklearn_causalrec.causal.checks.refuters import centered_p_value
from sklearn_causalrec.encoding.frames import as_frame


class Ols(BaseEstimator):
    """Effect by least squares, with faults to switch on."""

    def __init__(
        self,
        treatment="t",
        graph=None,
        adjustment_set=None,
        bias=0.0,
        scale=1.0,
        jitter=0.0,
        random_state=None,
    ):
        self.treatment = treatment
        self.graph = graph
        self.adjustment_set = adjustment_set
        self.bias = bias
        self.scale = scale
        self.jitter = jitter
        self.random_state = random_state

    def fit(self, X, y, treatment=None):
        self.columns_ = list(X.columns)
        named = [self.treatment] if isinstance(self.treatment, str) else self.treatment
        self.outcome_name_ = getattr(y, "name", None) or "y"
        self.treatment_names_ = tuple(named or ("t",))
        self.graph_ = self.graph
        if self.graph is not None:
            sets = self.graph.adjustment_sets("y", named, kind="optimal")
            self.adjustment_set_ = next(sets)
            if self.adjustment_set is not None:
                self.adjustment_set_ = frozenset(self.adjustment_set)
            Z = X[sorted(self.adjustment_set_)]
        else:
            Z = X.drop(columns=[] if treatment is not None else named)
        T = X[named] if treatment is None else treatment
        A = np.column_stack([np.asarray(T, float), np.ones(len(X)), Z])
        y = np.asarray(y, float)
        coef = np.linalg.lstsq(A, y, rcond=None)[0]
        rest = y - A @ coef
        error = np.linalg.inv(A.T @ A)[0, 0] * (rest @ rest) / (len(A) - A.shape[1])
        noise = np.random.default_rng(self.random_state).normal()
        self.effect_ = coef[0] + self.bias + self.jitter * noise
        self.error_ = self.scale * np.sqrt(error)
        return self

    def ate(self, X=None, T0=0, T1=1):
        return (T1 - T0) * self.effect_

    def ate_interval(self, X=None, alpha=0.05, T0=0, T1=1):
        half = stats.norm.ppf(1 - alpha / 2) * self.error_ * abs(T1 - T0)
        return self.ate(T0=T0, T1=T1) - half, self.ate(T0=T0, T1=T1) + half


def _log(seed, n=300, hidden=0.0):
    rng = np.random.default_rng([4, seed])
    z, u = rng.normal(size=(2, n))
    t = (0.7 * z + hidden * u + rng.normal(size=n) > 0).astype(float)
    y = z + t + hidden * u + rng.normal(size=n)
    X = pd.DataFrame({"z": z, "t": t})
    return X, pd.Series(y, name="y"), z + hidden * u + rng.normal(size=n)


def _refuted(
    seed=0, methods=("placebo", "dummy_outcome"), hidden=0.0, n_simulations=20, **faults
):
    X, y, _ = _log(seed, hidden=hidden)
    fitted = Ols(**faults).fit(X, y)
    how = dict(n_simulations=n_simulations, random_state=seed)
    return refute(fitted, X, y, methods=methods, **how)


# -- the tests behind the verdicts ---------------------------------------------------


def test_p_value_is_students():
    values = np.array([0.3, -0.1, 0.5, 0.2, 0.4])
    expected = stats.ttest_1samp(values, 0).pvalue
    assert centered_p_value(values) == pytest.approx(expected)
    assert centered_p_value(values, 0.1) > expected
    assert centered_p_value(values, 10.0) == pytest.approx(1)
    assert centered_p_value([2.0, 2, 2]) == 0
    assert centered_p_value([0.0, 0, 0]) == 1
    assert centered_p_value([2.0, 2, 2], 3.0) == 1


def test_p_value_within_the_tolerance_is_conservative():
    """At the edge of what is tolerated, 5 % are rejected; inside, fewer."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(1500, 20))
    at_edge = np.mean([centered_p_value(s + 0.5, 0.5) < 0.05 for s in samples])
    inside = np.mean([centered_p_value(s + 0.2, 0.5) < 0.05 for s in samples])
    assert at_edge == pytest.approx(0.05, abs=0.02)
    assert inside < 0.02


def test_spread_of_subsets_is_what_the_standard_error_implies():
    """Means of subsets without replacement: the chi-square test holds its level."""
    rng = np.random.default_rng(0)
    rejected, narrow = [], []
    for _ in range(300):
        y = rng.exponential(size=200)
        means = [rng.choice(y, 160, replace=False).mean() for _ in range(20)]
        error = y.std() / np.sqrt(200)
        base = np.full(20, y.mean())
        rejected.append(refuters._same_spread(np.array(means), base, error, 0.8) < 0.05)
        narrow.append(
            refuters._same_spread(np.array(means), base, error / 2, 0.8) < 0.05
        )
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.035)
    assert np.mean(narrow) > 0.95


def test_few_values_are_judged_by_their_errors():
    """One is a z-test, many a chi-square test; the edge of the tolerance holds 5 %."""
    assert refuters.within_errors([1.96], [1.0]) == pytest.approx(0.05, abs=1e-3)
    expected = stats.chi2.sf((1.5 / 0.5) ** 2 + 1, 2)
    assert refuters.within_errors([1.5, -2.0], [0.5, 2.0]) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 2))
    at_edge = [refuters.within_errors(d + 0.5, [1, 1], 0.5) < 0.05 for d in draws]
    assert np.mean(at_edge) == pytest.approx(0.05, abs=0.012)
    one = np.mean([refuters.within_errors(d[:1] - 0.5, [1], 0.5) for d in draws])
    assert one == pytest.approx(0.5, abs=0.03)  # uniform p-values
    assert refuters.within_errors([0.0], [0.0]) == 1
    assert refuters.within_errors([0.1], [0.0]) == 0


# -- a sound estimator passes, faults are found --------------------------------------


def test_level_over_many_logs():
    """Of a right estimator each method rejects about one log in twenty."""
    methods = ("placebo", "dummy_outcome", "random_common_cause", "subset")
    p = pd.DataFrame(
        {seed: _refuted(seed, methods).results["p_value"] for seed in range(24)}
    ).T
    assert ((p < 0.05).mean() <= 0.17).all()
    assert p.min().min() > 0.0005


@pytest.mark.parametrize("n_simulations", [1, 2])
def test_level_of_few_refits(n_simulations):
    """A right estimator is refused as often as promised: p-values are uniform."""
    methods = ("placebo", "dummy_outcome", "random_common_cause", "subset")
    found = [
        _refuted(seed, methods, n_simulations=n_simulations) for seed in range(200)
    ]
    p = pd.DataFrame([f.results["p_value"] for f in found])
    for method in ("placebo", "dummy_outcome", "subset"):
        assert stats.kstest(p[method], "uniform").pvalue > 0.01
    assert p["random_common_cause"].min() > 0.5  # a covariate of no use does nothing
    assert 1 - np.mean([f.passed for f in found]) == pytest.approx(0.05, abs=0.035)


def test_one_refit_finds_gross_faults():
    """What is broken by several standard errors, or reports a tenth of its own."""
    methods = ("placebo", "dummy_outcome", "random_common_cause", "subset")
    faults = dict(bias=0.7), dict(scale=0.1)
    for fault in faults:
        found = [
            _refuted(seed, methods, n_simulations=1, **fault) for seed in range(20)
        ]
        assert np.mean([not f.passed for f in found]) > 0.9
    X, y, _ = _log(0)
    # The outcome leaks into the treatment: no permutation takes that away.
    leaked = dict(methods="placebo", random_state=0)

    class Leaky(Ols):
        def fit(self, X, y, treatment=None):
            return super().fit(X.assign(t=X["t"] + (y > y.mean())), y, treatment)

    assert not refute(Leaky().fit(X, y), X, y, **leaked).passed


def test_defaults_cost_less_than_five_fits():
    """Rows that are fitted, of all refits together."""
    X, y, _ = _log(3)
    fitted = Spy().fit(X, y)
    Spy.seen = []
    found = refute(fitted, X, y, random_state=0)
    assert sum(len(seen[0]) for seen in Spy.seen) <= 4 * len(X)
    assert [len(table) for table in found.refits.values()] == [1] * 4


def test_half_of_the_rows_where_refits_are_few():
    X, y, _ = _log(3)
    fitted = Spy().fit(X, y)
    for n_simulations, share in ((1, 0.5), (2, 0.5), (3, 0.8)):
        Spy.seen = []
        how = dict(methods="subset", n_simulations=n_simulations, random_state=0)
        found = refute(fitted, X, y, **how)
        assert len(Spy.seen[-1][0]) == share * len(X)
    # One: the difference against what half of the rows make of it, which is one error
    # of a mean, or more if the half says so.
    ruled = []
    for seed in range(6):
        found = refute(fitted, X, y, methods="subset", tolerance=0, random_state=seed)
        row, half = found.results.loc["subset"], found.refits["subset"].iloc[0]
        own = (half["high"] - half["low"]) / 2 / stats.norm.ppf(0.975)
        more = own**2 - fitted.error_**2
        ruled.append(more > fitted.error_**2)
        z = (row["refuted"] - row["estimate"]) ** 2 / max(more, fitted.error_**2)
        assert row["p_value"] == pytest.approx(stats.chi2.sf(z, 1))
    assert set(ruled) == {True, False}


def test_agreement_is_a_test_of_equal_means():
    """Of two it is a z-test of their difference; of many it holds its level."""
    p = refuters.agreement([1.0, 2.5], [0.3, 0.4])
    assert p == pytest.approx(2 * stats.norm.sf(1.5 / 0.5))
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.5, 2, size=7)
    draws = 3 + errors * rng.normal(size=(4000, 7))
    assert np.mean([refuters.agreement(d, errors) for d in draws]) == pytest.approx(
        0.5, abs=0.02
    )
    assert refuters.agreement([1.0, 1.0], [0.0, 0.0]) == 1
    assert refuters.agreement([1.0, 2.0], [0.0, 1.0]) == 0


@pytest.mark.parametrize("n, n_parts", [(150, 2), (300, 3), (2050, 10)])
def test_parts_share_no_row_and_leave_none_out(n, n_parts):
    X, y, _ = _log(3, n)
    fitted = Spy().fit(X, y)
    Spy.seen = []
    found = refute(fitted, X, y, methods="parts", random_state=0)
    assert len(found.refits["parts"]) == len(Spy.seen) == n_parts
    rows = np.concatenate([seen[0].index for seen in Spy.seen])
    assert sorted(rows) == list(range(n))
    for Xs, ys, *_ in Spy.seen:
        pd.testing.assert_frame_equal(Xs, X.loc[Xs.index])
        pd.testing.assert_series_equal(ys, y.loc[Xs.index])
    table = found.refits["parts"]
    errors = (table["high"] - table["low"]) / 2 / stats.norm.ppf(0.975)
    expected = refuters.agreement(table["estimate"], errors)
    assert found.results.loc["parts", "p_value"] == pytest.approx(expected)
    again = refute(fitted, X, y, methods="parts", random_state=0)
    pd.testing.assert_frame_equal(again.refits["parts"], table)


def test_parts_find_an_interval_half_as_wide_as_it_should_be():
    refused = {}
    for scale in (1.0, 0.5):
        refused[scale] = []
        for seed in range(40):
            X, y, _ = _log(seed, 1000)
            found = refute(
                Ols(scale=scale).fit(X, y), X, y, methods="parts", random_state=seed
            )
            refused[scale].append(not found.passed)
    assert np.mean(refused[1.0]) <= 0.15  # more of 40 at 0.05: 0.003 by chance
    assert np.mean(refused[0.5]) > 0.75  # 0.90, less three errors


class ByUser(BaseEstimator):
    """Difference of the means of users, who are treated whole; its error by user, or,
    where it is told so, as if all rows were alone."""

    def __init__(self, cluster="user", user=None, rows_alone=False):
        self.cluster, self.user, self.rows_alone = cluster, user, rows_alone
        self.treatment = "t"

    def fit(self, X, y, treatment=None):
        ByUser.seen.append(X["user"].value_counts())
        by = ["row"] if self.rows_alone else ["user"]
        frame = pd.DataFrame(dict(X, y=np.asarray(y))).assign(row=range(len(X)))
        means = frame.groupby([*by, "t"])["y"].mean().groupby("t")
        self.effect_ = means.mean().diff()[1]
        self.error_ = np.sqrt((means.var() / means.count()).sum())
        return self

    ate, ate_interval = Ols.ate, Ols.ate_interval


def _log_of_users(seed, n_users=120, size=10):
    rng = np.random.default_rng([6, seed])
    user = np.repeat(np.arange(n_users), size)
    t = rng.permutation(n_users)[user] % 2
    y = t + rng.normal(size=n_users)[user] + rng.normal(size=len(user))
    return pd.DataFrame({"user": user, "t": t}), pd.Series(y, name="y")


@pytest.mark.parametrize(
    "how, whole",
    [
        (dict(cluster="user"), True),
        (dict(cluster=["user", "t"]), True),
        (dict(cluster="auto", user="user"), True),
        (dict(cluster="auto"), False),
        (dict(cluster=None, user="user"), False),
    ],
)
def test_clusters_are_drawn_whole(how, whole):
    X, y = _log_of_users(0)
    ByUser.seen = []
    fitted = ByUser(**how).fit(X, y)
    refute(fitted, X, y, methods=("subset", "parts"), random_state=0)
    ByUser.seen.pop(0)
    assert len(ByUser.seen) == 1 + (4 if whole else 10)
    assert sum(map(sum, ByUser.seen)) == 600 + 1200
    assert all((size == 10).all() == whole for size in ByUser.seen)


@pytest.mark.parametrize("frame", [np.asarray, pl.DataFrame])
def test_clusters_of_arrays_go_by_position(frame):
    X = frame(pd.DataFrame({"user": [3.0, 5, 3], "item": [1.0, 1, 2]}))
    of = CausalDNNRecommender(user=0, item=1)
    assert cluster_codes(of, as_frame(X, arrays=True)).tolist() == [0, 1, 0]
    of = CausalDNNRecommender(item=1)
    assert cluster_codes(of, as_frame(X, arrays=True)).tolist() == [0, 0, 1]


def test_few_clusters_are_few_parts():
    """Errors of fewer than 30 clusters are not to be relied on."""
    for n_users, n_parts in ((25, 2), (119, 3), (120, 4)):
        X, y = _log_of_users(0, n_users, 100)
        ByUser.seen = []
        refute(ByUser().fit(X, y), X, y, methods="parts", random_state=0)
        assert len(ByUser.seen) == 1 + n_parts


def test_errors_that_ignore_users_are_found():
    """As if rows were alone, they are a third of what they should be."""
    refused = {False: [], True: []}
    for alone, verdicts in refused.items():
        for seed in range(30):
            X, y = _log_of_users(seed, 400, 20)
            ByUser.seen = []
            fitted = ByUser(rows_alone=alone).fit(X, y)
            how = dict(methods=("subset", "parts"), random_state=seed)
            verdicts.append(not refute(fitted, X, y, **how).passed)
    assert np.mean(refused[False]) <= 0.17  # more of 30 at 0.05: 0.003 by chance
    assert np.mean(refused[True]) > 0.9


def test_a_biased_machine_is_found():
    found = _refuted(bias=0.3)
    assert found.results["verdict"].tolist() == ["fails", "fails"]
    assert not found.passed
    assert str(found).startswith("The estimate is in doubt: placebo, dummy_outcome.")
    assert found.refits["placebo"]["estimate"].mean() == pytest.approx(0.3, abs=0.1)


def test_too_narrow_an_interval_is_found():
    found = _refuted(methods=("placebo", "subset"), scale=0.3)
    assert found.results["verdict"].tolist() == ["fails", "fails"]
    # The estimates themselves are centred where they should be.
    assert abs(found.results.loc["placebo", "refuted"]) < 0.1


def test_randomness_of_the_estimator_is_no_change():
    """Its luck moves the original estimate against all refits alike."""
    methods = ("random_common_cause", "subset")
    p = [
        _refuted(seed, methods, jitter=0.3, random_state=seed).results["p_value"]
        for seed in range(10)
    ]
    assert (pd.DataFrame(p) < 0.05).to_numpy().mean() < 0.2


def test_change_by_an_irrelevant_covariate_is_found():
    class Counting(Ols):
        def fit(self, X, y, treatment=None):
            super().fit(X, y, treatment)
            self.effect_ += 0.2 * X.shape[1]
            return self

    X, y, _ = _log(0)
    for few_or_many in (1, 20):
        found = refute(
            Counting().fit(X, y), X, y, methods="random_common_cause",
            n_simulations=few_or_many, random_state=0,
        )  # fmt: skip
        verdict = found.results.loc["random_common_cause", "verdict"]
        # By 0.2, which is 1.4 standard errors: one refit does not see that.
        assert verdict == ("fails" if few_or_many == 20 else "passes")


def test_an_estimate_that_goes_with_the_number_of_rows_is_found():
    class Shrunken(Ols):
        def fit(self, X, y, treatment=None):
            super().fit(X, y, treatment)
            self.effect_ -= 120 / len(X)
            return self

    X, y, _ = _log(0)
    how = dict(methods="subset", n_simulations=20, random_state=0)
    found = refute(Shrunken().fit(X, y), X, y, **how)
    assert found.results.loc["subset", "verdict"] == "fails"
    # It is the level that moved (by 120/240 - 120/300 = 0.1), not the spread.
    table = found.refits["subset"]
    assert (table["base"] - table["estimate"]).mean() == pytest.approx(0.1, abs=0.04)
    assert table["estimate"].std() < 0.1


def test_hidden_confounding_is_seen_by_the_negative_control_only():
    X, y, before = _log(1, n=2000, hidden=1.0)
    fitted = Ols().fit(X, y)
    assert fitted.ate() > 1.3
    assert refute(fitted, X, y, random_state=0).passed
    found = negative_control(fitted, X, {"before": before})
    assert found.results.loc["before", "verdict"] == "fails"
    row = found.results.loc["before"]
    assert 0 < row["low"] < row["refuted"] < row["high"]
    error = (row["high"] - row["low"]) / 2 / stats.norm.ppf(0.975)
    assert row["p_value"] == pytest.approx(2 * stats.norm.sf(row["refuted"] / error))

    X, y, before = _log(1, n=2000)
    fitted = Ols().fit(X, y)
    found = negative_control(fitted, X.assign(before=before), "before")
    assert found.passed
    assert found.results.loc["before", "estimate"] == fitted.ate()


def test_confounded_placebo_sees_an_adjustment_too_stiff():
    rng = np.random.default_rng(0)
    z = rng.normal(size=3000)
    t = rng.binomial(1, 1 / (1 + np.exp(-1.5 * (z**2 - 1))))
    y = pd.Series(2 * z**2 + rng.normal(size=3000), name="y")
    X = pd.DataFrame({"z": z, "t": t, "city": np.where(z > 0, "a", "b")})
    stiff = Ols().fit(X[["z", "t"]], y)
    found = refute(
        stiff, X[["z", "t"]], y, methods="confounded_placebo", random_state=0
    )
    assert found.results["verdict"].tolist() == ["fails"]
    X = X.assign(z=z**2).drop(columns="city")
    right = Ols().fit(X, y)
    found = refute(right, X, y, methods="confounded_placebo", random_state=0)
    assert found.results["verdict"].tolist() == ["passes"]
    assert found.results["refuted"].abs().max() < 0.2

    with pytest.raises(ValueError, match=r"a few arms, got 3000 distinct values"):
        X = X.assign(t=rng.normal(size=3000))
        refute(Ols().fit(X, y), X, y, methods="confounded_placebo")


# -- what the refitted clones are given ----------------------------------------------


class Spy(Ols):
    seen = []

    def fit(self, X, y, treatment=None):
        Spy.seen.append((X, y, treatment, self.graph, self.get_params()))
        return super().fit(X, y, treatment)


def _spied(method, passed=False, **params):
    X, y, _ = _log(3)
    t = X["t"].rename("t")
    if passed:
        X = X[["z"]]
    fitted = Spy(**params).fit(X, y, t if passed else None)
    Spy.seen = []
    refute(
        *(fitted, X, y, t if passed else None),
        methods=method,
        n_simulations=3,
        random_state=0,
    )
    return X, y, t, Spy.seen[-3:]


@pytest.mark.parametrize("passed", [False, True])
def test_placebo_permutes_the_treatment_alone(passed):
    X, y, t, seen = _spied("placebo", passed)
    for Xs, ys, ts, _, _ in seen:
        moved = ts if passed else Xs["t"]
        assert sorted(moved) == sorted(t) and not np.array_equal(moved, t)
        pd.testing.assert_series_equal(Xs["z"], X["z"])
        pd.testing.assert_series_equal(ys, y)
    first, second = (s[2] if passed else s[0]["t"] for s in seen[:2])
    assert not np.array_equal(first, second)


def test_dummy_outcome_permutes_the_outcome_alone():
    X, y, _, seen = _spied("dummy_outcome")
    for Xs, ys, _, _, _ in seen:
        pd.testing.assert_frame_equal(Xs, X)
        assert ys.name == "y" and ys.index.equals(y.index)
        assert sorted(ys) == sorted(y) and not ys.equals(y)


def test_subset_keeps_rows_together():
    X, y, _, seen = _spied("subset")
    for Xs, ys, _, _, _ in seen:
        assert len(Xs) == 240 and Xs.index.is_unique
        pd.testing.assert_frame_equal(Xs, X.loc[Xs.index])
        pd.testing.assert_series_equal(ys, y.loc[Xs.index])


def test_common_cause_enters_the_graph():
    graph = CausalGraph("z -> t -> y; z -> y")
    X, _, _, seen = _spied("random_common_cause", graph=graph, adjustment_set=["z"])
    for Xs, _, _, changed, params in seen:
        pd.testing.assert_frame_equal(Xs[["z", "t"]], X)
        assert abs(np.corrcoef(Xs["random_common_cause"], Xs["z"])[0, 1]) < 0.3
        assert changed == CausalGraph(
            "z -> t -> y; z -> y; random_common_cause -> t; random_common_cause -> y"
        )
        assert params["adjustment_set"] == ["z", "random_common_cause"]


def test_common_cause_is_a_coin_among_coins():
    """A plug-in of counts stays one."""
    X, y, _ = _log(3)
    X = X.assign(z=(X["z"] > 0).astype(float))
    fitted = Spy().fit(X, y)
    Spy.seen = []
    refute(fitted, X, y, methods="random_common_cause", random_state=0)
    drawn = Spy.seen[-1][0]["random_common_cause"]
    assert set(drawn) == {0, 1} and abs(drawn.mean() - 0.5) < 0.1


def test_results_are_reproducible_and_the_estimator_is_left_alone():
    X, y, _ = _log(0)
    fitted = Ols(jitter=0.1, random_state=3).fit(X, y)
    before = vars(fitted).copy()
    first = refute(fitted, X, y, random_state=7, n_jobs=2)
    second = refute(fitted, X, y, random_state=7)
    pd.testing.assert_frame_equal(first.results, second.results)
    assert vars(fitted) == before
    again = refute(fitted, pl.from_pandas(X), y.to_numpy(), random_state=7)
    np.testing.assert_allclose(again.results["p_value"], first.results["p_value"])


# -- presentation and errors ---------------------------------------------------------


def test_text_and_html():
    found = _refuted()
    text = str(found)
    assert text == repr(found)
    assert text.startswith("None of 2 attempts refutes the estimate.")
    assert max(map(len, text.split("\n"))) <= 88
    assert "dummy_outcome" in found._repr_html_()
    assert list(found.to_frame()) == [
        *("expected", "estimate", "refuted", "p_value", "adjusted", "verdict")
    ]


def test_a_refit_that_raises_is_told():
    class Fragile(Ols):
        def fit(self, X, y, treatment=None):
            if len(X) < 300:
                raise ValueError("stratum a=1 has no treated rows")
            return super().fit(X, y, treatment)

    X, y, _ = _log(0)
    methods = ("placebo", "subset")
    found = refute(Fragile().fit(X, y), X, y, methods=methods, random_state=0)
    assert found.results.loc["placebo", "verdict"] == "passes"
    assert found.results.loc["subset", "verdict"] == (
        "no verdict: stratum a=1 has no treated rows"
    )
    assert "Not to be had: subset." in str(found)
    assert found.passed


def test_progress(capsys):
    X, y, _ = _log(0)
    refute(Ols().fit(X, y), X, y, methods="placebo", n_simulations=3, verbose=1)
    assert "refute: 100%" in capsys.readouterr().err


def test_bad_input():
    X, y, before = _log(0)
    fitted = Ols().fit(X, y)
    with pytest.raises(ValueError, match=r"methods must be among .* got \['magic'\]"):
        refute(fitted, X, y, methods=("placebo", "magic"))
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match="n_simulations"):
            refute(fitted, X, y, n_simulations=wrong)
    with pytest.raises(NotFittedError):
        refute(Ols(), X, y)
    with pytest.raises(ValueError, match=r"which is 't', or pass treatment=\."):
        refute(fitted, X[["z"]], y)
    with pytest.raises(ValueError, match=r"no columns \['w'\]: it has \['z', 't'\]"):
        negative_control(fitted, X, "w")
    with pytest.raises(ValueError, match=r"must have the shape \(300,\), got \(299,\)"):
        negative_control(fitted, X, {"before": before[1:]})
    graph = CausalGraph("z -> t -> y; z -> y")
    with pytest.raises(ValueError, match="'z' is adjusted for"):
        negative_control(Ols(graph=graph).fit(X, y), X, "z")
