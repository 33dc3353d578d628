"""What models say of themselves: inventory, card, and groups, against known truth."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    DoCalculusEffect,
    forget,
    load,
    save,
)
from sklearn_causalrec.baselines import EASE, UserItemBias
from sklearn_causalrec.encoding.cluster_columns import Clusters
from sklearn_causalrec.privacy import (
    Pseudonymizer,
    data_inventory,
    effects_by_group,
    exposure_by_group,
    model_card,
)
from sklearn_causalrec.privacy.groups import _mean, _with_bounds
from sklearn_causalrec.privacy.inventory import columns_of

N_ROWS = 421


def make_log():
    rng = np.random.default_rng(3)
    log = pd.DataFrame(
        {
            "user": [f"user-{u}" for u in rng.integers(0, 40, N_ROWS)],
            "item": [f"film-{i}" for i in rng.integers(0, 12, N_ROWS)],
            "x": rng.normal(size=N_ROWS),
            "shown": rng.integers(0, 2, N_ROWS),
        }
    )
    town = np.where(log["user"].str[-1].isin(list("01234")), "Bonn", "Ulm")
    y = log["x"] + 2.0 * log["shown"] * (town == "Ulm") + rng.normal(size=N_ROWS)
    return log, y.to_numpy(), town


LOG, Y, TOWN = make_log()


@pytest.fixture(scope="module")
def by_graph():
    model = DoCalculusEffect(treatment="shown", cluster="user", cv=2, random_state=0)
    return model.fit(LOG.drop(columns="item"), Y)


@pytest.fixture(scope="module")
def deep():
    model = CausalDNNRecommender(
        user="user", item="item", treatment="shown", hidden_layer_sizes=(8,),
        embedding_dim=2, max_epochs=3, n_folds=2, random_state=0,
    )  # fmt: skip
    return model.fit(LOG, Y)


# -- groups of people ------------------------------------------------------------------


def test_group_means_are_means_with_the_errors_of_means():
    rng = np.random.default_rng(0)
    values, mine = rng.normal(size=500), rng.random(500) < 0.3
    mean, psi = _mean(values, mine, np.ones(500))
    found = _with_bounds("effect", mean, psi, None, 0.05)
    own = values[mine]
    error = own.std() / np.sqrt(mine.sum())
    assert found["effect"] == pytest.approx(own.mean())
    assert found["effect_high"] - own.mean() == pytest.approx(1.96 * error, rel=1e-3)


def test_intervals_of_groups_cover_with_clusters():
    rng = np.random.default_rng(1)
    inside, alone = [], []
    for _ in range(400):
        user = np.repeat(np.arange(60), 8)
        group = user % 3 == 0
        values = np.where(group, 1.0, 0.0) + rng.normal(size=60)[user]
        values += rng.normal(size=480)
        mean, psi = _mean(values, group, np.ones(480))
        rest, psi_rest = _mean(values, ~group, np.ones(480))
        clusters = Clusters(user[:, None], ["user"])
        for kept, which in ((inside, clusters), (alone, None)):
            found = _with_bounds("gap", mean - rest, psi - psi_rest, which, 0.05)
            kept.append(found["gap_low"] < 1 < found["gap_high"])
    assert 0.92 < np.mean(inside) < 0.99
    assert np.mean(alone) < 0.85  # as if rows were independent


def test_effects_of_towns(by_graph, deep):
    for model in (by_graph, make_pipeline(deep)):
        table = effects_by_group(model, TOWN)
        assert table.index.tolist() == ["Bonn", "Ulm"]
        assert table["n"].tolist() == [(TOWN == "Bonn").sum(), (TOWN == "Ulm").sum()]
        for name, truth in (("Bonn", 0.0), ("Ulm", 2.0)):
            row = table.loc[name]
            assert row["effect_low"] < truth < row["effect_high"]
            share = LOG["shown"][TOWN == name].mean()
            assert row["treated"] == pytest.approx(share)
            assert row["treated_low"] < share < row["treated_high"]
        assert table.loc["Ulm", "gap"] == pytest.approx(-table.loc["Bonn", "gap"])
        assert table.loc["Ulm", "gap_low"] > 0.5
        # no user is in both towns: the errors add up as of independent means
        width = table["effect_high"] - table["effect_low"]
        gap = (table["gap_high"] - table["gap_low"]).iloc[0]
        assert gap == pytest.approx(np.hypot(*width), rel=0.15)


def test_groups_average_to_the_whole(by_graph, deep):
    for model in (by_graph, deep):
        table = effects_by_group(model, LOG["item"])
        whole = np.average(table["effect"], weights=table["n"])
        assert whole == pytest.approx(model.ate(), rel=1e-9)


def test_what_groups_refuse(by_graph, deep):
    with pytest.raises(ValueError, match="has 420 rows"):
        effects_by_group(by_graph, TOWN[1:])
    with pytest.raises(ValueError, match="the same in all rows"):
        effects_by_group(deep, np.zeros(N_ROWS))
    ease = EASE(user="user", item="item").fit(LOG[["user", "item"]])
    with pytest.raises(TypeError, match="EASE has no scores"):
        effects_by_group(ease, TOWN)
    with pytest.raises(ValueError, match="alpha"):
        effects_by_group(by_graph, TOWN, alpha=2)
    front = LOG[["shown"]].assign(bought=np.random.default_rng(0).random(N_ROWS) < 0.4)
    graph = CausalGraph("shown -> bought -> y; shown <-> y")
    model = DoCalculusEffect(graph, treatment="shown", cv=2, random_state=0)
    model.fit(front.astype(int), pd.Series(Y, name="y"))
    with pytest.raises(TypeError, match="by 'frontdoor'"):
        effects_by_group(model, TOWN)


# -- groups of items -------------------------------------------------------------------


def test_exposure_by_hand():
    lists = pd.DataFrame(
        {"user": [1, 1, 2, 2, 3], "item": list("abacb"), "rank": [1, 2, 2, 1, 1]}
    )
    maker = {"a": "L", "b": "S", "c": "S", "d": "S"}
    second = 1 / np.log2(3)
    shares = np.array([1 / (1 + second), second / (1 + second), 0.0])
    table = exposure_by_group(lists, maker)
    assert table.loc["L", "exposure"] == pytest.approx(shares.mean())
    assert table["exposure"].sum() == pytest.approx(1)
    error = shares.std() / np.sqrt(3)
    high = min(shares.mean() + 1.959964 * error, 1)
    assert table.loc["L", "high"] == pytest.approx(high)
    assert table.loc["L", "ratio"] == pytest.approx(4 * shares.mean())
    in_order = exposure_by_group(lists.drop(columns="rank"), pd.Series(maker))
    assert in_order.loc["L", "exposure"] == pytest.approx(2 * shares[0] / 3)
    with pytest.raises(ValueError, match="1 listed items have no group, such as 'c'"):
        exposure_by_group(lists, {"a": 1, "b": 2})
    with pytest.raises(ValueError, match="There is one list"):
        exposure_by_group(lists[:2], maker)
    with pytest.raises(ValueError, match="is not a column"):
        exposure_by_group(lists, maker, user="who")


# -- what a model holds ----------------------------------------------------------------


def test_the_inventory_of_a_recommender(deep):
    report = data_inventory(deep)
    columns = report.to_frame("Columns").set_index("column")["role"]
    assert columns.to_dict() == {
        "user": "user", "item": "item", "shown": "treatment", "x": columns["x"],
    }  # fmt: skip
    how = report.to_frame("Columns").set_index("column")["kept"]
    assert how["x"].endswith("rows, inside learners") and how["user"] == "ids"
    kept = report.to_frame("Kept")
    assert kept.loc["user ids", "n"] == LOG["user"].nunique()
    assert kept.loc["item ids", "n"] == 12
    assert kept.loc["rows of the log", "n"] == N_ROWS
    assert kept.loc["rows of the log", "bytes"] > 8 * N_ROWS
    assert "rows inside learners" in kept.index  # kernels of a small log
    assert not kept.loc["user ids", "pseudonyms"]
    assert "as they came" in str(report)


def test_the_inventory_sees_pseudonyms_and_who_is_gone():
    names = Pseudonymizer(["user"], key=bytes(range(32))).set_output(transform="pandas")
    pipe = make_pipeline(names, UserItemBias(user="user", item="item"))
    pipe.fit(LOG[["user", "item"]], Y)
    report = data_inventory(pipe)
    assert report.to_frame("Kept").loc["user ids", "pseudonyms"]
    assert "whoever has the key" in str(report)
    person = names.fit(LOG[["user", "item"]]).pseudonyms(["user-1"])
    after = data_inventory(forget(pipe, person)).to_frame("Kept")
    assert after.loc["user ids", "n"] == LOG["user"].nunique() - 1


def test_the_inventory_of_a_graph(by_graph):
    report = data_inventory(by_graph)
    roles = report.to_frame("Columns").set_index("column")["role"].to_dict()
    assert roles["shown"] == "treatment" and roles["x"] == "covariate"
    assert roles["user"] == "cluster"
    kept = report.to_frame("Kept")
    assert kept.loc["rows of the log", "n"] == N_ROWS and "user ids" not in kept.index
    assert "fit again" in kept.loc["rows of the log", "leaves by"]
    with pytest.raises(NotFittedError):
        data_inventory(DoCalculusEffect())


def test_the_inventory_of_a_slim_file(deep, tmp_path):
    save(deep, tmp_path / "slim.crec", slim=True)
    slim = load(tmp_path / "slim.crec")
    kept = data_inventory(slim).to_frame("Kept")
    assert "rows of the log" not in kept.index and "user ids" in kept.index
    assert "rows inside learners" in kept.index
    assert "Average effects" not in model_card(slim)


def test_roles_of_histories_and_clusters():
    log = LOG.assign(past=[["film-1"]] * N_ROWS, house=LOG["user"].str[-1])
    model = CausalDNNRecommender(
        user="user", item="item", history="past", cluster="house", max_epochs=1,
        hidden_layer_sizes=(4,), embedding_dim=2, random_state=0,
    ).fit(log.drop(columns="shown"), Y)  # fmt: skip
    roles = columns_of(model).set_index("column")["role"].to_dict()
    assert roles["past"] == "history" and roles["house"] == "cluster"


# -- the card --------------------------------------------------------------------------


def test_the_card_says_what_the_fit_says(deep, tmp_path):
    path = tmp_path / "README.md"
    groups = effects_by_group(deep, TOWN)
    card = model_card(
        deep, name="Films", license="bsd-3-clause", metrics={"auc": (0.7, 0.6, 0.8)},
        groups=groups, contact="films@example.org", path=path,
    )  # fmt: skip
    assert path.read_text() == card
    head, body = card.removeprefix("---\n").split("\n---\n", 1)
    told = dict(line.split(": ", 1) for line in head.splitlines())
    assert json.loads(told["license"]) == "bsd-3-clause"
    assert json.loads(told["metrics"]) == ["auc"]
    headings = [line for line in body.splitlines() if line.startswith("#")]
    for heading in (
        "# Model Card for Films", "## Uses", "### Out-of-Scope Use",
        "## Bias, Risks, and Limitations", "## Training Details", "## Evaluation",
        "## Model Card Contact",
    ):  # fmt: skip
        assert heading in headings
    assert f"{N_ROWS:,} rows, {LOG['user'].nunique()} users, 12 items" in body
    row = next(line for line in body.splitlines() if line.startswith("| 1 | "))
    shown = [float(cell) for cell in row.split("|")[2:5]]
    assert shown == pytest.approx([deep.ate(), *deep.ate_interval()], abs=2e-3)
    assert "| Ulm |" in body
    assert "raw ids of" in body and "| max\\_epochs | 3 |" in body
    assert "### Direct Use\n\n[More Information Needed]" in body


def test_no_markup_of_the_data_gets_into_the_card():
    odd = "x|<img src=x onerror=alert(1)>\n# boo"
    log = LOG.rename(columns={"x": odd})[["user", "item", odd]]
    model = UserItemBias(user="user", item="item").fit(log, Y)
    card = model_card(model, name="[a](javascript:b)", description="<script>")
    assert "<img" not in card and "<script" not in card and "[a](" not in card
    assert not any(line.startswith("# boo") for line in card.splitlines())
    row = next(line for line in card.splitlines() if "onerror" in line)
    assert row.replace("\\|", "").count("|") == 4  # three cells


def test_limits_follow_from_the_fit(by_graph):
    ease = EASE(user="user", item="item").fit(LOG[["user", "item"]])
    assert "It predicts outcomes, not effects" in model_card(ease)
    assert "Effects are causal only if" in model_card(by_graph)
    one = CausalDNNRecommender(max_epochs=1, random_state=0).fit(LOG[["x"]], Y)
    assert "effects are not identified" in model_card(one)
    with pytest.raises(NotFittedError):
        model_card(EASE())
