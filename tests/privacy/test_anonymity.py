"""Anonymity against the tables of the papers, pycanon, and a count of all rows."""

import itertools
import json
import pickle
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from sklearn_causalrec.privacy import Generalizer, anonymity_report
from sklearn_causalrec.privacy.anonymity import classes_of
from sklearn_causalrec.privacy.coarsening import coarsen
from sklearn_causalrec.privacy.holdings import walk

PYCANON = Path(__file__).parents[1] / "data" / "anonymity" / "pycanon.json"

# Figure 2 of Sweeney (2002)
SWEENEY = pd.DataFrame(
    [
        ("black", 1965, "m", "0214*", "short breath"),
        ("black", 1965, "m", "0214*", "chest pain"),
        ("black", 1965, "f", "0213*", "hypertension"),
        ("black", 1965, "f", "0213*", "hypertension"),
        ("black", 1964, "f", "0213*", "obesity"),
        ("black", 1964, "f", "0213*", "chest pain"),
        ("white", 1964, "m", "0213*", "chest pain"),
        ("white", 1964, "m", "0213*", "obesity"),
        ("white", 1964, "m", "0213*", "short breath"),
        ("white", 1967, "m", "0213*", "chest pain"),
        ("white", 1967, "m", "0213*", "chest pain"),
    ],
    columns=["race", "birth", "gender", "zip", "problem"],
)
H, V, C = "heart disease", "viral infection", "cancer"
# Figures 2 and 3 of Machanavajjhala et al. (2007)
FOUR_ANONYMOUS = pd.DataFrame(
    {
        "zip": ["130**"] * 4 + ["1485*"] * 4 + ["130**"] * 4,
        "age": ["< 30"] * 4 + [">= 40"] * 4 + ["3*"] * 4,
        "condition": [H, H, V, V, C, H, V, V, C, C, C, C],
    }
)
THREE_DIVERSE = pd.DataFrame(
    {
        "zip": ["1305*"] * 4 + ["1485*"] * 4 + ["1306*"] * 4,
        "age": ["<= 40"] * 4 + ["> 40"] * 4 + ["<= 40"] * 4,
        "condition": [H, V, C, C, C, H, V, V, H, V, C, C],
    }
)
# Tables 3 and 5 of Li et al. (2007), by class
LI = {
    "3-diverse": [[3, 4, 5], [6, 11, 8], [7, 9, 10]],
    "0.167-close": [[3, 5, 9], [6, 11, 8], [4, 7, 10]],
}


def of_classes(salaries):
    return pd.DataFrame(
        {"class": np.repeat(["a", "b", "c"], 3), "salary": np.ravel(salaries)}
    )


def test_sweeney():
    names = ["race", "birth", "gender", "zip"]
    report = anonymity_report(SWEENEY, names, "problem", k=2)
    assert (report.k, report.n_classes, report.uniqueness) == (2, 5, 0)
    assert report.average_risk == pytest.approx(5 / 11)
    assert report.sensitive.loc["problem", "l"] == 1
    assert (report.coarsen["what"] == "stays").all()


def test_machanavajjhala():
    report = anonymity_report(FOUR_ANONYMOUS, ["zip", "age"], "condition")
    assert report.k == 4
    found = report.sensitive.loc["condition"]
    assert found["l"] == 1 and found["l_entropy"] == pytest.approx(1)
    report = anonymity_report(THREE_DIVERSE, ["zip", "age"], ["condition"])
    found = report.sensitive.loc["condition"]
    # shares of 1/4, 1/4, 1/2
    assert (report.k, found["l"]) == (4, 3)
    assert found["l_entropy"] == pytest.approx(2 * 2**0.5)
    # 1, 2, 1 of 4 where 3, 4, 5 of 12 are overall: half of 1/6 + 1/6
    assert found["t"] == pytest.approx(1 / 6)


@pytest.mark.parametrize("name, t", [("3-diverse", 0.375), ("0.167-close", 1 / 6)])
def test_li(name, t):
    report = anonymity_report(of_classes(LI[name]), ["class"], "salary", k=2)
    assert report.sensitive.loc["salary", "t"] == pytest.approx(t)
    assert "order" in report.sensitive.loc["salary", "distance"]


def test_categories_and_orders():
    frame = of_classes(LI["3-diverse"])
    as_text = frame.assign(salary=frame["salary"].astype(str))
    report = anonymity_report(as_text, ["class"], "salary", k=2)
    # three of nine values, each three times as frequent as overall
    assert report.sensitive.loc["salary", "t"] == pytest.approx(2 / 3)
    order = pd.CategoricalDtype([str(v) for v in range(3, 12)], ordered=True)
    ordered = as_text.astype({"salary": order})
    report = anonymity_report(ordered, ["class"], "salary", k=2)
    assert report.sensitive.loc["salary", "t"] == pytest.approx(0.375)


def cases():
    return json.loads(PYCANON.read_text())["cases"]


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["numbers"]["k"]))
def test_as_pycanon(case):
    frame, expected = pd.DataFrame(case["columns"]), case["numbers"]
    names = ["salary", "illness"]
    report = anonymity_report(frame, ["age", "town", "sex"], names, k=2)
    assert report.k == expected["k"]
    for name in names:
        found = report.sensitive.loc[name]
        assert found["l"] == expected[f"l {name}"]
        # which is rounded down: a 2 that came as 1.9999 is a 1 there
        near = [int(found["l_entropy"] + e) for e in (-1e-9, 1e-9)]
        assert expected[f"l_entropy {name}"] in near
        assert found["t"] == pytest.approx(expected[f"t {name}"], abs=1e-12)


def test_the_cases_of_pycanon_differ():
    assert len({json.dumps(case["numbers"]) for case in cases()}) == len(cases()) == 12
    assert len({case["numbers"]["k"] for case in cases()}) > 1


def test_rows_of_one_person_hide_nobody():
    log = pd.DataFrame({"age": [30] * 6 + [40] * 3, "user": [1] * 5 + [2, 3, 4, 5]})
    assert anonymity_report(log, ["age"], k=2).k == 3
    report = anonymity_report(log, ["age"], person="user", k=2)
    assert (report.k, report.n_persons, report.uniqueness) == (2, 5, 0)
    report = anonymity_report(log, ["age"], person="user", k=3)
    assert report.exposed == pytest.approx(2 / 5)
    alone = log.assign(age=[30] * 4 + [31] * 2 + [40] * 3)
    # user 1 is with 2 at 31 and alone at 30
    report = anonymity_report(alone, ["age"], person="user", k=2)
    assert report.k == 1 and report.uniqueness == pytest.approx(1 / 5)
    report = anonymity_report(alone, ["age"], person="user", k=3)
    assert report.exposed == pytest.approx(2 / 5)  # user 1 counts once


def test_missing_values_are_a_value():
    frame = pd.DataFrame({"town": ["Ulm", None, None, "Ulm"], "y": [1, 2, 3, 4]})
    assert anonymity_report(frame, ["town"], k=2).k == 2
    frame["y"] = [1.0, np.nan, 3, 4]
    with pytest.raises(ValueError, match="no place in it"):
        anonymity_report(frame, ["town"], "y", k=2)


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(quasi_identifiers=["shoe"]), "is not a column"),
        (dict(quasi_identifiers=[]), "name the columns"),
        (dict(quasi_identifiers=["race"], k=1), "2 or more"),
        (dict(quasi_identifiers=["race"], k=12), "fewer than k=12"),
        (dict(quasi_identifiers=["race"], sensitive="race"), "named twice"),
        (dict(quasi_identifiers=["race"], person="race"), "named twice"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        anonymity_report(SWEENEY, **options)
    mixed = SWEENEY.assign(race=[1, "a"] + ["b"] * 9)
    with pytest.raises(ValueError, match="mixes kinds"):
        anonymity_report(mixed, ["race"])


def test_the_report_as_text_table_and_dict():
    frame = SWEENEY.rename(columns={"problem": "<img src=x>"})
    report = anonymity_report(pl.from_pandas(frame), ["race", "birth"], "<img src=x>")
    assert "2-anonymous" in repr(report) and "To reach k = 5" in repr(report)
    assert "<img" not in report._repr_html_() and "&lt;img" in report._repr_html_()
    assert json.loads(json.dumps(report.to_dict(), default=float))["k"] == report.k
    table = report.to_frame()["value"]
    assert table["k", ""] == report.k
    assert table["t", "<img src=x>"] == report.sensitive["t"].iloc[0]


# -- Generalizer -----------------------------------------------------------------------


def people(seed, n=200):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, n).astype(float)
    age[rng.random(n) < 0.05] = np.nan
    towns = rng.choice(list("abcdefghij"), n, p=np.r_[0.5, np.full(9, 0.5 / 9)])
    return pd.DataFrame(
        {
            "age": age,
            "town": np.where(rng.random(n) < 0.03, None, towns),
            "born": pd.to_datetime("1990-01-01")
            + pd.to_timedelta(rng.integers(0, 4000, n), unit="D"),
            "size": pd.Categorical(
                rng.choice(["s", "m", "l", "xl"], n),
                ["s", "m", "l", "xl"],
                ordered=True,
            ),
            "y": rng.normal(size=n),
        }
    )


NAMES = ["age", "town", "born", "size"]


@pytest.mark.parametrize("numbers", ["median", "interval"])
@pytest.mark.parametrize("seed, k", [(0, 2), (1, 5), (2, 20), (3, 150)])
def test_its_output_reaches_k(seed, k, numbers):
    frame = people(seed)
    coarse = Generalizer(k, quasi_identifiers=NAMES, numbers=numbers)
    out = coarse.fit_transform(frame)
    groups = out.groupby(NAMES, dropna=False, observed=True).size()
    assert groups.min() == coarse.k_ >= k
    assert anonymity_report(out, NAMES, k=2).k >= k
    assert coarse.is_hidden(frame).all() and coarse.suppressed_ == 0
    pd.testing.assert_series_equal(out["y"], frame["y"])
    pd.testing.assert_frame_equal(coarse.transform(frame), out)


def test_no_column_could_be_finer():
    frame, k = people(5), 5
    coarse = Generalizer(k, quasi_identifiers=NAMES).fit(frame)
    classes = classes_of(frame, NAMES)
    steps = coarsen(classes, k)
    assert [rule.stays for rule in coarse._rules.values()] == [s == 0 for s in steps]
    assert classes.exposed(steps, k) == 0
    for j in np.flatnonzero(steps):
        finer = [s - (i == j) for i, s in enumerate(steps)]
        assert 0 < classes.exposed(finer, k)
    assert any(steps) and not all(s == len(la.steps) - 1
                                  for s, la in zip(steps, classes.ladders))  # fmt: skip


def size_of(classes, steps):
    """Log of the number of combinations that the columns have left."""
    return sum(np.log(la.n_groups(s)) for s, la in zip(steps, classes.ladders))


def test_the_search_against_all_combinations():
    """Greedy may lose: not by much, and never against its own promise."""
    worse = 0
    for seed in range(6):
        frame, k = people(seed, 60)[["age", "town", "size"]], 3
        classes = classes_of(frame, list(frame))
        steps = coarsen(classes, k)

        ways = itertools.product(*(range(len(la.steps)) for la in classes.ladders))
        best = max(size_of(classes, s) for s in ways if classes.exposed(s, k) == 0)
        found = size_of(classes, steps)
        assert found <= best + 1e-9
        worse += best - found
    assert worse / 6 < np.log(4)


def test_persons_are_counted():
    frame = people(0).assign(user=np.repeat(np.arange(40), 5))
    coarse = Generalizer(6, quasi_identifiers=NAMES, person="user")
    out = coarse.fit_transform(frame)
    groups = out.groupby(NAMES, dropna=False, observed=True)["user"].nunique()
    assert groups.min() == coarse.k_ >= 6
    assert out["user"].tolist() == frame["user"].tolist()


def test_suppression_in_place_of_coarser_columns():
    frame = pd.DataFrame({"town": ["a"] * 50 + ["b"] * 46 + list("cdef")})
    strict = Generalizer(5).fit(frame)
    assert strict.groups_["town"] == ["a", "other, 5 levels"]
    coarse = Generalizer(4, max_suppressed=0.05).fit(frame)
    out = coarse.transform(frame)
    assert out["town"].isna().sum() == coarse.suppressed_ == 4
    assert out["town"].value_counts().to_dict() == {"a": 50, "b": 46}
    assert anonymity_report(out, ["town"], k=2).k == 4
    # three could not hide among each other
    three = Generalizer(4, max_suppressed=0.05).fit(frame[:-1])
    assert three.suppressed_ == 0


def test_rows_that_fit_did_not_see():
    frame = pd.DataFrame({"age": np.repeat([20, 30, 40, 50], 5), "town": ["a"] * 20})
    new = pd.DataFrame({"age": [20, 33, 20], "town": ["a", "a", "z"]})
    coarse = Generalizer(5).fit(frame)
    out = coarse.transform(new)
    assert out["age"].tolist()[0] == 20 and out.iloc[1:].isna().all(axis=None)
    assert coarse.is_hidden(new).tolist() == [True, False, False]
    kept = clone(coarse).set_params(unseen="keep").fit(frame).transform(new)
    pd.testing.assert_frame_equal(kept, new)
    with pytest.raises(ValueError, match="2 rows, such as row 1"):
        clone(coarse).set_params(unseen="error").fit(frame).transform(new)
    with pytest.raises(ValueError, match="The columns were"):
        coarse.transform(new[["age"]])


def test_bins_are_open_at_both_ends():
    frame = pd.DataFrame({"age": np.arange(40)})
    coarse = Generalizer(20, numbers="interval").fit(frame)
    assert coarse.groups_["age"] == ["<= 19.5", "> 19.5"]
    new = pd.DataFrame({"age": [-(10**6), 19, 20, 10**6]})
    assert coarse.transform(new)["age"].tolist() == ["<= 19.5"] * 2 + ["> 19.5"] * 2
    middle = Generalizer(20).fit(frame).transform(new)["age"]
    assert middle.tolist() == [9, 9, 29, 29]


def test_dates_stay_times():
    days = [date(1990, 1, 1), date(1990, 1, 2), date(2000, 1, 1), date(2000, 1, 9)]
    out = Generalizer(2).fit_transform(pd.DataFrame({"born": days}))
    assert out["born"].dt.year.tolist() == [1990, 1990, 2000, 2000]
    spans = pd.DataFrame({"for": pd.to_timedelta([1, 2, 8, 9], unit="D")})
    out = Generalizer(2).fit_transform(spans)
    assert out["for"].dt.days.tolist() == [1, 1, 8, 8]


def test_polars_in_and_out():
    frame = people(0)[["age", "town"]]
    expected = Generalizer(5).fit_transform(frame)
    coarse = Generalizer(5).set_output(transform="polars")
    out = coarse.fit_transform(pl.from_pandas(frame))
    assert isinstance(out, pl.DataFrame)
    expected = [None if pd.isna(v) else v for v in expected["town"]]
    assert out["town"].to_list() == expected


def test_nothing_that_was_merged_is_kept():
    rng = np.random.default_rng(0)
    income = rng.lognormal(10, 1, 300)
    jobs = ["clerk"] * 297 + ["pope", "sultan", "duchess"]
    frame = pd.DataFrame({"income": income, "job": jobs})
    merged = Generalizer(2, quasi_identifiers=["job"])
    hidden = Generalizer(3, quasi_identifiers=["job"], max_suppressed=0.01)
    for coarse in (merged.fit(frame), hidden.fit(frame)):
        data = pickle.dumps(coarse)
        assert b"clerk" in data
        assert not any(word in data for word in (b"pope", b"sultan", b"duchess"))
        assert all(np.shape(value)[:1] != (300,) for _, value in walk(coarse))
    coarse = Generalizer(5).fit(frame)
    kept = np.concatenate([np.ravel(v) for _, v in walk(coarse)
                           if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
                          + [coarse._outputs["income"].to_numpy()])  # fmt: skip
    assert 0 < np.isin(income, kept).sum() <= len(coarse.groups_["income"])


def test_few_are_refused():
    with pytest.raises(ValueError, match="fewer than k=201"):
        Generalizer(201).fit(people(0))
    with pytest.raises(ValueError, match="name at least one"):
        Generalizer(person="age").fit(people(0)[["age"]])
