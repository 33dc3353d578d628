import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    DoCalculusEffect,
    PartialGraph,
    recommend,
    report,
    segments,
)
from sklearn_causalrec.baselines import EASE
from sklearn_causalrec.explaining.drawing import bars, histograms, intervals
from sklearn_causalrec.explaining.words import finding

BAD = "<img src=x onerror=1>"
VOID = {"meta", "br", "img", "link", "input"}


class Reader(HTMLParser):
    """Tags, attributes and text of a page; it fails where tags do not match."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data


def fit(X, y, **options):
    models = dict(
        outcome_model=LinearRegression(),
        treatment_model=LogisticRegression(),
        effect_model=LinearRegression(),
    )
    options = {**models, **options}
    return DoCalculusEffect(cv=2, random_state=0, **options).fit(X, y)


@pytest.fixture(scope="module")
def trial():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.normal(size=600), BAD: rng.choice(["a", BAD], 600)})
    X["mailed"] = rng.integers(0, 2, 600)
    effect = 2.0 * (X[BAD] == BAD)
    y = X["age"] + effect * X["mailed"] + rng.normal(size=600)
    return X, y.rename("sales")


@pytest.fixture(scope="module")
def page(trial, tmp_path_factory):
    X, y = trial
    path = tmp_path_factory.mktemp("report") / "report.html"
    made = report(fit(X, y, treatment="mailed"), X, y, path)
    return made, path.read_text(encoding="utf-8")


def test_a_page_needs_nothing_and_holds_no_script(page):
    made, html = page
    read = Reader(html)
    assert len(html.encode()) < 500_000
    assert not {"script", "link", "img", "iframe", "object"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    links = [v for name, v in read.attributes if name in ("href", "src")]
    assert links and all(v.startswith("#s") for v in links)
    ids = {v for name, v in read.attributes if name == "id"}
    assert {v[1:] for v in links} <= ids
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "").replace(
        "http-equiv", ""
    )
    assert "default-src 'none'" in html and "@media print" in html
    assert html == made.to_html()


def test_what_came_from_data_is_escaped(page):
    made, html = page
    assert "<img" not in html
    assert "&lt;img src=x onerror=1&gt;" in html
    assert BAD in Reader(html).text  # a reader sees the name
    assert "<img" not in made._repr_html_()
    assert BAD in made.to_dict()["texts"]["Where the effect differs"][0]


def test_users_with_such_names_are_escaped(shop):
    X = shop.X[["user", "item"]].astype(str)
    X["user"] = np.where(X["user"] == "0", BAD, X["user"])
    model = CausalDNNRecommender(
        user="user", item="item", max_epochs=1, hidden_layer_sizes=(8,),
        effect_learner="t", random_state=0,
    ).fit(X, shop.y, treatment=shop.treatment)  # fmt: skip
    lists = recommend(model, [BAD, "1"], k=2)
    name = "</style><script>alert(1)"
    made = report(model, X, pd.Series(shop.y, name=name), lists=lists)
    html = made.to_html()
    assert BAD in str(made) and "<img" not in html and "<script" not in html
    Reader(html)


def test_the_page_answers_first_and_in_order(page):
    made, html = page
    text = Reader(html).text
    answer = "mailed = 1 instead of 0 raises sales by"
    assert made.answer.startswith(answer) and "95 % interval" in made.answer
    order = [
        "What does mailed change in sales?", answer, "What was found",
        "What the log can and cannot say", "Where the effect differs",
        "What the effect depends on", "What to do, and what it is worth",
        "What was assumed", "What was checked", "What would overturn it",
        "Data and versions",
    ]  # fmt: skip
    places = [text.rindex(part) if k > 1 else text.index(part)
              for k, part in enumerate(order)]  # fmt: skip
    assert places == sorted(places)
    svg = [v for name, v in Reader(html).attributes if name == "aria-label"]
    assert len(svg) == html.count("<svg") >= 4 and all(svg)


def test_figures_are_those_of_the_model(page, trial):
    made, _ = page
    X, y = trial
    model = fit(X, y, treatment="mailed")
    found = json.loads(made.to_json())
    assert found == made.to_dict()
    (effect,) = found["figures"]["effects"]
    low, high = model.ate_interval()
    assert [effect["effect"], effect["low"], effect["high"]] == pytest.approx(
        [model.ate(), low, high]
    )
    assert found["figures"]["heterogeneity"] is True
    assert found["figures"]["rows"] == 600
    assert set(found["figures"]["segments"][0]) > {"segment", "low", "high", "n"}
    assert found["figures"]["versions"]["scikit-learn"]
    assert "nan" not in made.to_json().lower()


def test_the_report_of_a_recommender(shop, shop_model):
    made = report(shop_model, shop.X, pd.Series(shop.y, name="minutes"))
    low, high = shop_model.ate_interval()
    assert f"on minutes was found: on average it is {shop_model.ate():.2f}" in (
        made.answer
    )
    assert low < 0 < high and f"{high:.2f} holds zero" in made.answer
    figures = made.to_dict()["figures"]
    assert len(figures["lists"]) == 9 and "reason" in figures["lists"][0]
    rules = [row["rule"] for row in figures["off_policy"]]
    assert rules == ["this rule", "the tree", "1 for everyone"]
    assert [row["group"] for row in figures["importance"]] == ["user", "item"] or (
        [row["group"] for row in figures["importance"]] == ["item", "user"]
    )
    assert len(made.to_html()) < 500_000
    text = Reader(made.to_html()).text
    assert "40 users" in text and "ranked by what showing changes" in text
    again = report(shop_model, shop.X, pd.Series(shop.y, name="minutes"))
    assert again.to_html() == made.to_html()
    bare = report(shop_model)
    assert bare.answer.startswith("No effect of showing on the outcome")
    assert "Where the effect differs" not in bare.to_dict()["texts"]


def test_one_arm_is_not_given_an_effect(shop, one_arm):
    made = report(one_arm, shop.X)
    assert "cannot be told from this log" in made.answer
    figures = made.to_dict()["figures"]
    assert figures["identified"] is False and "effects" not in figures
    assert "raises" not in str(made) and "rises" not in str(made)
    assert "What the outcome depends on" in made.to_dict()["texts"]


def test_other_ways_to_an_effect(rng):
    z = rng.normal(size=400)
    dose = z + rng.normal(size=400)
    X = pd.DataFrame({"z": z, "dose": dose})
    y = pd.Series(2 * dose + z + rng.normal(size=400), name="sales")
    options = dict(treatment_model=LinearRegression(), effect_model=None)
    doses = fit(X, y, treatment="dose", **options)
    assert report(doses, X, y).answer.startswith("One unit more of dose raises sales")
    t = (dose > 0).astype(int)
    X = pd.DataFrame({"z": z, "t": t})
    graph = PartialGraph("z --- t; z --> y; t --> y")
    open_ = fit(X, y.rename("y"), treatment="t", graph=graph)
    if open_.strategy_ == "possible effects":
        assert "several effects" in report(open_, X).answer
    flat = fit(X, y, treatment="t")
    made = report(flat, X, y)
    assert made.figures["heterogeneity"] == (
        "may be noise" not in " ".join(str(made).split())
    )
    averages = DoCalculusEffect(
        CausalGraph("z -> t; z -> y; t -> y"), treatment="t", effect_model=None,
        random_state=0, cv=2,
    ).fit(X, y.rename("y"))  # fmt: skip
    made = report(averages, X)
    assert "if the graph is right" in made.answer and "effect_model" in str(made)
    arms = np.random.default_rng(0).choice(["none", "mail", "call"], 400)
    y3 = pd.Series(z + 3.0 * (arms == "mail") + rng.normal(size=400), name="sales")
    three = fit(X.assign(t=arms), y3, treatment="t")
    made = report(three, X.assign(t=arms), y3)
    assert made.answer.startswith("t = mail instead of none raises sales by")
    assert "largest of 2 effects" in made.answer
    assert [row["contrast"] for row in made.to_dict()["figures"]["effects"]] == [
        "call against none", "mail against none",
    ]  # fmt: skip
    average = three.ate(T0="none", T1="mail")
    assert segments(three, X.assign(t=arms), T1="mail").average["effect"][0] == (
        pytest.approx(average)
    )
    with pytest.raises(ValueError, match="X has 5 rows"):
        report(averages, X[:5])
    with pytest.raises(TypeError, match="EASE"):
        log = pd.DataFrame({"user": [1, 1, 2], "item": [3, 4, 3]})
        report(EASE(user="user", item="item").fit(log))


def test_summaries_open_with_the_sentence(trial, shop_model):
    X, y = trial
    text = str(fit(X, y, treatment="mailed").summary())
    assert text.index("raises sales by") < text.index("Estimate")
    assert text.index("Estimate") < text.index("Why it is identified")
    assert "effect on sales" in text
    text = str(shop_model.summary())
    assert "No effect of showing on the outcome was found" in text
    assert f"{shop_model.ate():.4g}" in text
    assert text.index("Found") < text.index("What was checked")
    assert "What would overturn it" in text


def test_findings():
    told = finding("mail", "sales", -0.5, -0.8, -0.2)
    assert told == "mail lowers sales by 0.5 on average (95 % interval 0.2 to 0.8)."
    told = finding("mail", "sales", 0.5, -0.1, 1.1, alpha=0.1)
    assert told.startswith("No effect of mail on sales was found")
    assert "90 % interval -0.1 to 1.1 holds zero" in told
    assert "without an interval" in finding("mail", "sales", 1.0, np.nan, np.nan)


def test_pictures_hold_their_marks():
    svg = intervals([(BAD, 0.5, 0.2, 0.8), ("b", -0.5, -0.9, np.nan)], BAD, "effect")
    read = Reader(svg)
    assert read.tags.count("circle") == 2 and "<img" not in svg
    places = [float(v) for name, v in read.attributes if name == "cx"]
    assert places[0] > places[1]
    assert "0.5 (0.2 to 0.8)" in read.text
    assert Reader(bars([("a", 0.7, 0.6, 0.8)], "x")).tags.count("rect") == 1
    drawn = histograms({"a": np.array([0.1, 0.9]), "b": np.zeros(0)}, "x")
    assert Reader(drawn).tags.count("polyline") == 2 and "nan" not in drawn
    assert "nan" not in intervals([("a", 0.0, 0.0, 0.0)], "x")
