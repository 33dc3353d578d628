"""The statements of docs/what_is_read_how.md, table by table."""

import decimal
import fractions
from collections import deque
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import CausalDNNRecommender, CausalGraph, DoCalculusEffect
from sklearn_causalrec.encoding.arms import arm_codes, check_arms, read_treatment
from sklearn_causalrec.encoding.checks import column, labels, matrix, whole_number
from sklearn_causalrec.encoding.control import control_of
from sklearn_causalrec.encoding.kinds import Feature
from sklearn_causalrec.encoding.times import as_times
from sklearn_causalrec.interactions import clean_log
from sklearn_causalrec.metrics import (
    coverage,
    ndcg_at_k,
    normal_interval,
    pehe,
    policy_value,
)

PAGE = Path(__file__).parents[1] / "docs" / "what_is_read_how.md"


def test_the_page_is_in_the_documentation():
    assert PAGE.stem in (PAGE.parent / "user_guide.md").read_text().split()


# -- features --------------------------------------------------------------------------

N = 40
NUMBER = np.tile([0.5, 1.0, 2.0, 4.0], N // 4)


@pytest.mark.parametrize(
    "values",
    [
        NUMBER.astype(np.float16),
        NUMBER.astype(">f8"),
        NUMBER.astype(object),
        [decimal.Decimal(x) for x in NUMBER],
        [fractions.Fraction(x) for x in NUMBER],
        pd.Series(NUMBER, dtype="Float64"),
        pl.Series(NUMBER),
    ],
)
def test_features_that_are_numbers(values):
    feature = Feature.learn(values, "a")
    assert feature.kind == "number"
    assert feature.read(values).tolist() == NUMBER.tolist()


@pytest.mark.parametrize(
    "values, days",
    [
        (pd.to_datetime(["1970-01-02 00:00", "1970-01-03 12:00"]), [1, 2.5]),
        (pd.to_datetime(["1970-01-02 01:00+01:00"] * 2), [1, 1]),
        (pd.PeriodIndex(["1970-02", "1970-03"], freq="M"), [31, 59]),
        (pd.to_timedelta(["36h", "12h"]), [1.5, 0.5]),
    ],
)
def test_features_that_are_times(values, days):
    feature = Feature.learn(values, "a")
    assert feature.kind == "time" and feature.read(values).tolist() == days


LEVELS = [f"town {k % 4}" for k in range(N)]


@pytest.mark.parametrize(
    "values, message",
    [
        ([str(k) for k in range(N)], r"'a' has 40 levels of text that spells numbers"),
        (pd.Series(range(N)).astype("category"), "'a' has 40 levels of numbers"),
        ([f"row {k}" for k in range(N)], "'a' has 40 different values in 40 rows"),
        ([1, "b"] * 20, "'a' mixes kinds"),
        (np.ones(N) * 1j, "'a' holds complex numbers"),
        ([b"b"] * N, "'a' holds bytes"),
        ([{}] * N, "'a' holds {}"),
    ],
)
def test_features_that_are_refused(values, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Feature.learn(values, "a")


def quick(**options):
    return CausalDNNRecommender(
        max_epochs=1, hidden_layer_sizes=(4,), effect_learner="t", **options
    )


def adjusted():
    return DoCalculusEffect(
        treatment="t",
        outcome_model=LinearRegression(),
        treatment_model=LogisticRegression(),
        effect_model=None,
        cv=2,
        random_state=0,
    )


@pytest.fixture
def log(rng):
    arms = np.tile([0, 1], 30)
    X = pd.DataFrame({"t": arms, "a": rng.normal(size=60), "b": rng.normal(size=60)})
    return X, rng.normal(size=60)


def test_categories_of_features(log):
    X, y = log
    X["town"] = LEVELS + LEVELS[:20]
    assert np.isfinite(adjusted().fit(X, y).ate())
    with pytest.raises(ValueError, match="'town' holds 'town 0', which is not a numb"):
        quick(treatment="t").fit(X, y)


def test_levels_that_fit_did_not_see(log):
    X, y = log
    model = adjusted().set_params(effect_model=LinearRegression())
    fitted = model.fit(X.assign(town=LEVELS + LEVELS[:20]), y)
    with pytest.warns(UserWarning, match="'town' has levels that fit did not see: 'x'"):
        fitted.effect(X.assign(town="x"))
    with pytest.raises(ValueError, match=r"'town'.*are they spelt alike"):
        fitted.effect(X.assign(town=7))


@pytest.mark.parametrize("make", [adjusted, lambda: quick(treatment="t")])
def test_copies_are_refused(log, make):
    X, y = log
    with pytest.raises(ValueError, match="'z' of X equals the outcome"):
        make().fit(X.assign(z=y), y)
    with pytest.raises(ValueError, match="'z' of X equals the treatment"):
        make().fit(X.assign(z=X["t"]), y)
    with pytest.raises(ValueError, match="'y' is also a column of X"):
        make().fit(X.assign(y=0.0), pd.Series(y, name="y"))


def test_tables_that_are_unclear(log):
    X, y = log
    X.columns = ["t", "a", "a"]
    with pytest.raises(ValueError, match="two columns 'a'"):
        quick(treatment="t").fit(X, y)
    with pytest.raises(ValueError, match="masked, for instance in row 3, column 1"):
        entries = np.ma.array(np.ones((60, 2)), mask=False)
        entries[3, 1] = np.ma.masked
        quick().fit(entries, y, treatment=np.tile([0, 1], 30))


def test_narrow_columns_far_from_zero_are_centred(log):
    X, y = log
    with_hours = X.assign(a=1_700_000_000 + np.arange(60))
    shifted = X.assign(a=np.arange(60.0) - 29.5)
    fitted = [
        quick(treatment="t", random_state=0).fit(table, y).predict(table)
        for table in (with_hours, shifted)
    ]
    assert np.allclose(*fitted, atol=1e-4)


# -- outcomes, weights, probabilities, and what metrics take ---------------------------

Y = np.array([0.5, -1.0, 2.0])


@pytest.mark.parametrize(
    "values",
    [
        Y.tolist(),
        tuple(Y.tolist()),
        deque(Y.tolist()),
        dict(enumerate(Y.tolist())).values(),
        Y.astype(np.float16),
        Y.astype(np.longdouble),
        Y.astype(">f4"),
        Y[::-1].copy()[::-1],
        np.repeat(Y, 2)[::2],
        np.asfortranarray(Y[:, None]),
        np.asmatrix(Y).T,
        np.ma.array(Y, mask=False),
        Y.astype(object),
        [decimal.Decimal(x) for x in Y],
        [fractions.Fraction(x) for x in Y],
        pd.Series(Y, index=[2, 0, 1]),
        pd.Series(Y, dtype="Float64"),
        pd.DataFrame({"y": Y}),
        pl.Series(Y),
    ],
)
def test_numbers_of_rows(values):
    read = column(values, "y", 3)
    assert read.dtype == np.float64 and read.tolist() == Y.tolist()
    assert pehe(values, [0.5, -1.0, 2.0]) == 0


def test_truth_values_are_0_and_1():
    assert column([True, False], "y").tolist() == [1, 0]
    assert labels([True, False], "users").tolist() == [1, 0]


@pytest.mark.parametrize(
    "values, message",
    [
        (["1.5", "2"], r"y holds text, such as '1.5': .*pd.to_numeric"),
        (pd.Series([1, 2]).astype("category"), "y holds categories, such as 1"),
        (pd.to_datetime(["2024", "2025"]), "y holds times"),
        (pd.to_timedelta(["1D", "2D"]), "y holds times"),
        ([1.0, np.nan], "y is nan in row 1"),
        ([1.0, None], "y is nan in row 1"),
        (pd.Series([1, pd.NA], dtype="Int64"), "y is nan in row 1"),
        ([np.inf, 1.0], "y is inf in row 0"),
        ([1.0, 1e101], r"y is 1e\+101 in row 1.*larger units"),
        ([10**400, 1], "'y' holds 1000.* too large"),
        ([1j, 2], "'y' holds"),
        (np.zeros(2, [("a", "f8")]), r"'y' is a structured array .*\['a'\]"),
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "'y' is a masked array"),
        (sp.csr_matrix([[1.0], [2.0]]), r"'y' .*toarray\(\).ravel\(\)"),
        ({1.0, 2.0}, "'y' is .* of type set"),
        ({0: 1.0}, "'y' is .* of type dict"),
        (iter([1.0]), "'y' is .* of type list_iterator"),
        ("ab", "'y' is 'ab', of type str"),
        (1.0, "'y' is 1.0, of type float"),
        (np.ones((2, 2)), r"'y' has the shape \(2, 2\)"),
        ([[1], [1, 2]], r"'y' has rows of different lengths"),
        ([], "y is empty"),
    ],
)
def test_what_is_no_number_of_a_row(values, message):
    with pytest.raises((ValueError, TypeError), match=message):
        column(values, "y")
    with pytest.raises((ValueError, TypeError)):
        normal_interval(values)


@pytest.mark.parametrize("y", [["1.5"] * 60, pd.date_range("2024", periods=60)])
def test_outcomes_that_are_no_number(log, y):
    for model in (adjusted(), quick(treatment="t")):
        with pytest.raises(ValueError, match="y holds"):
            model.fit(log[0], y)


def test_probabilities_and_single_numbers():
    roles = dict(y=[1, 0], action=[0, 1], policy=[0.5, 0.5])
    for wrong in (0.0, -0.5, 1.5, 5e-324):
        with pytest.raises(ValueError, match=f"propensity is {wrong} in row 1"):
            policy_value(**roles, propensity=[0.5, wrong])
    for wrong in (0, 1, -0.1, np.nan, None, "a", True, 1j, pd.NA):
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
            normal_interval([1, 2, 3], alpha=wrong)
    for wrong in (2.5, True, 0, "a", np.inf, np.nan, [2], pd.NA):
        with pytest.raises(ValueError, match=r"k is .*a whole number"):
            ndcg_at_k([1, 0], [2, 1], k=wrong)
    assert ndcg_at_k([1, 0, 1], [3, 2, 1], k=2.0) == ndcg_at_k(
        [1, 0, 1], [3, 2, 1], k=2
    )
    assert whole_number(2.0, "k") == 2


def test_matrices_name_their_columns():
    with pytest.raises(ValueError, match=r"policy\[:, 1\] is nan in row 0"):
        matrix([[0.5, np.nan], [0.5, 0.5]], "policy")
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        matrix([1, 2], "policy")
    assert matrix([[decimal.Decimal(1), 2]], "policy").tolist() == [[1, 2]]


# -- treatments and the control --------------------------------------------------------


def test_the_control():
    assert control_of([True, False]) is False
    assert control_of([1, 0, -1]) == 0 and control_of([3, 2]) == 2
    ordered = pd.Categorical(["low", "high"], ["low", "high"], ordered=True)
    assert control_of(ordered) == "low"
    for label in ("Control", "PLACEBO", "none", "No", "off"):
        assert control_of(["drug", label]) == label
    mails = ["Mens E-Mail", "No E-Mail"]
    with pytest.raises(ValueError, match=r"'Mens E-Mail', 'No E-Mail'.*control="):
        control_of(mails)
    assert control_of(mails, control="No E-Mail") == "No E-Mail"


def test_arms():
    codes, arms = check_arms([2**53, 2**53 + 1], 2)
    assert codes.tolist() == [0, 1] and len(arms) == 2
    assert arm_codes([1, 1.0, True], np.array([0, 1])).tolist() == [1, 1, 1]
    for wrong in ([0, None], ["a", 1], pd.date_range("2024", periods=2)):
        with pytest.raises(ValueError, match="treatment"):
            read_treatment(wrong, 2)
    with pytest.raises(ValueError, match=r"holds 3, an arm unseen in fit; .*0, 1"):
        arm_codes([3], np.array([0, 1]))


# -- times -----------------------------------------------------------------------------

DAY = pd.Timestamp("2024-01-31")


@pytest.mark.parametrize(
    "values",
    [
        pd.to_datetime(["2024-01-31"]),
        [DAY.date()],
        pd.Series([DAY.date()], dtype="date32[pyarrow]"),
        pd.to_datetime(["2024-01-31 01:00+01:00"]),
        pd.PeriodIndex(["2024-01-31"], freq="D"),
        ["2024-01-31"],
        ["31 Jan 2024"],
        ["31/01/2024"],
        ["01/31/2024"],
        [20240131],
    ],
)
def test_times(values):
    assert as_times(values).tolist() == [DAY]


def test_numbers_are_times_that_count():
    assert as_times([1_700_000_000, 5]).tolist() == [1_700_000_000, 5]


@pytest.mark.parametrize("value", ["03/04/2024", "now", "today", "12:30", True])
def test_times_that_are_refused(value):
    with pytest.raises(ValueError, match="time"):
        as_times([value])


def test_missing_times_and_ids_of_a_log():
    log = pd.DataFrame({"u": [1, 2, None], "i": list("abc"), "t": [1.0, np.nan, 3.0]})
    roles = dict(user="u", item="i", time="t", near_window=0.5, burst_window=1)
    clean, report = clean_log(log, **roles)
    assert len(clean) == 1 and report.n_before - report.n_after == 2
    with pytest.raises(ValueError, match="would drop all 2 rows"):
        clean_log(log.assign(t=np.nan), **roles)


# -- ids -------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[1, 2], ["1", "2"], [(1, 2), (3, 4)], [2**70, 1]])
def test_ids(ids):
    series = pd.Series(ids, dtype=object)
    assert labels(series, "users").tolist() == ids


@pytest.mark.parametrize(
    "ids, message",
    [
        ([1, "1"], "users holds numbers and text"),
        ([1, None], "users is missing in row 1"),
        ([1.0, np.inf], "users is inf in row 1"),
        (pd.Series([[1], [2]]), r"users is \[1\] in row 0"),
        ([1j, 2], "users holds complex numbers"),
        (1, "'users' is 1, of type int"),
    ],
)
def test_what_is_no_id(ids, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ndcg_at_k([1, 0], [2, 1], ids)


def test_ids_of_another_spelling():
    assert coverage([1, 1.0], [1, 2]) == 0.5
    with pytest.raises(ValueError, match=r"items holds '1' and catalogue 1.*spelt"):
        coverage(["1"], [1, 2])


# -- graphs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, meant",
    [
        ("a → b; b ↔ c", "a -> b; b <-> c"),
        ("a -> b\nb <-> c", "a -> b; b <-> c"),
        ("digraph { a -> b }", "a -> b"),
        ("dag { a -> b <-> c }", "a -> b; b <-> c"),
        ("digraph { a -> b [dir=both]; c -> b [dir=back] }", "a <-> b; b -> c"),
        ("digraph { edge [dir=both]; a -> b }", "a <-> b"),
        ("digraph { {a b} -> c:n; /* d */ // e\n}", "a -> c; b -> c"),
        ("digraph { U [observed=no]; U -> {a b} }", "a <-> b"),
        ("dag { U [latent]; U -> a; U -> b }", "a <-> b"),
        ('"a//b" -> "a;b"; "a->b" -> "$x$"', '"a;b" <- "a//b"; "a->b" -> "$x$"'),
    ],
)
def test_graphs(text, meant):
    assert CausalGraph(text) == CausalGraph(meant)


def test_graphs_that_are_refused():
    with pytest.raises(ValueError, match=r"undirected|--|direction"):
        CausalGraph.from_dot("digraph { a -- b }")
    with pytest.raises(ValueError, match="cycle"):
        CausalGraph("a -> b -> a")


def test_names_that_are_integers():
    graph = CausalGraph.from_edges([(1, 2), (0, 1), (0, 2)])
    assert str(graph.identify(2, 1)) == "P(2 | do(1)) = Σ_{0} P(2 | 0, 1) P(0)"
    assert list(graph.adjustment_sets(2, 1)) == [frozenset({0})]


def test_whole_numbers_name_nodes_and_columns():
    rng = np.random.default_rng(0)
    z = rng.normal(size=800)
    t = rng.binomial(1, 1 / (1 + np.exp(-z)))
    y = z + 2 * t + rng.normal(size=800)
    graph = CausalGraph.from_edges([(0, 1), (0, 2), (1, 2)])
    model = DoCalculusEffect(
        graph, treatment=1, outcome=2, outcome_model=LinearRegression(),
        effect_model=None, random_state=0,
    ).fit(pd.DataFrame({0: z, 1: t}), y)  # fmt: skip
    low, high = model.ate_interval()
    assert model.adjustment_set_ == {0}
    assert low < 2 < high
