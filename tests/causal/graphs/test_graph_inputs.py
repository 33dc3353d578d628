"""CausalDNNRecommender(graph=...): the graph decides what may be adjusted for."""

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalDNNRecommender, CausalGraph, NotIdentifiableError

CONFOUNDED = "z -> shown; z -> click; shown -> click"


def log(rng, n=400):
    z = rng.normal(size=n)
    shown = rng.binomial(1, 1 / (1 + np.exp(-z)))
    viewed = rng.binomial(1, 0.2 + 0.6 * shown)
    click = z + viewed + rng.normal(size=n)
    flag = (shown + click + rng.normal(size=n) > 1).astype(int)
    X = pd.DataFrame({"z": z, "shown": shown, "viewed": viewed, "flag": flag})
    return X, pd.Series(click, name="click")


def fit(graph, X, y, **given):
    model = CausalDNNRecommender(
        graph=CausalGraph(graph), treatment="shown", max_epochs=2, effect_learner="t",
        random_state=0,
    )  # fmt: skip
    return model.fit(X, y, **given)


def test_a_valid_set_is_taken(rng):
    X, y = log(rng)
    model = fit(CONFOUNDED, X[["z", "shown"]], y)
    plain = CausalDNNRecommender(
        treatment="shown", max_epochs=2, effect_learner="t", random_state=0
    ).fit(X[["z", "shown"]], y)
    np.testing.assert_array_equal(
        model.effect(X[["z", "shown"]]), plain.effect(X[["z", "shown"]])
    )


def test_a_mediator_is_refused_by_name(rng):
    X, y = log(rng)
    graph = "z -> shown; z -> click; shown -> viewed -> click"
    with pytest.raises(ValueError, match=r"'viewed' \(a mediator\)"):
        fit(graph, X[["z", "shown", "viewed"]], y)


def test_an_effect_of_the_treatment_is_refused_by_name(rng):
    X, y = log(rng)
    graph = f"{CONFOUNDED}; shown -> flag; click -> flag"
    with pytest.raises(ValueError, match=r"'flag' \(an effect of it\)"):
        fit(graph, X[["z", "shown", "flag"]], y)


def test_a_collider_is_refused_by_name(rng):
    X, y = log(rng)
    # M-structure: the flag is no effect of the treatment, yet opens a path
    graph = "shown -> click; flag <-> shown; flag <-> click"
    with pytest.raises(ValueError, match=r"\['flag'\] are colliders"):
        fit(graph, X[["shown", "flag"]], y)
    two = "shown -> click; flag <-> shown; flag <-> click; z <-> shown; z <-> click"
    with pytest.raises(ValueError, match="are colliders"):
        fit(two, X[["z", "shown", "flag"]], y)


def test_a_missing_confounder_is_named(rng):
    X, y = log(rng)
    graph = "z -> shown; z -> viewed; viewed -> click; shown -> click"
    model = fit(graph, X[["z", "shown", "viewed"]], y)
    assert model._unidentified is None
    with pytest.raises(ValueError, match=r"add the columns \['z'\]"):
        fit(graph, X[["shown"]], y)
    with pytest.raises(ValueError, match=r"are \['z', 'viewed', 'click'\]"):
        fit(graph, X[["shown"]], y.rename(None))


def test_an_effect_that_is_not_identified_is_refused_and_predictions_are_not(rng):
    X, y = log(rng)
    model = fit("shown -> click; shown <-> click; z -> click", X[["z", "shown"]], y)
    assert np.isfinite(model.predict(X[["z", "shown"]])).all()
    for ask in (model.effect, model.ate):
        with pytest.raises(NotIdentifiableError) as caught:
            ask(X[["z", "shown"]])
    assert caught.value.hedge == (
        frozenset({"shown", "click"}), frozenset({"click"})
    )  # fmt: skip


def test_a_front_door_points_to_the_other_estimator(rng):
    X, y = log(rng)
    with pytest.raises(ValueError, match=r"frontdoor.*DoCalculusEffect"):
        fit("shown -> viewed -> click; shown <-> click", X[["shown"]], y)


def test_the_treatment_may_come_beside_x(rng):
    X, y = log(rng)
    model = CausalDNNRecommender(
        graph=CausalGraph(CONFOUNDED), max_epochs=1, effect_learner="t"
    )
    model.fit(X[["z"]], y, treatment=X["shown"])
    model.fit(X[["z"]], y.to_numpy(), treatment=X["shown"])
    with pytest.raises(ValueError, match="lacks the nodes"):
        model.fit(X[["z"]], y.to_numpy(), treatment=X["shown"].to_numpy())


def test_ids_are_nodes_too(rng):
    X, y = log(rng)
    X["user"] = rng.integers(0, 20, len(X))
    graph = "user -> shown; user -> click; shown -> click"
    model = CausalDNNRecommender(
        graph=CausalGraph(graph), treatment="shown", user="user", max_epochs=1,
        effect_learner="t",
    )  # fmt: skip
    model.fit(X[["user", "shown"]], y)
    with pytest.raises(ValueError, match=r"\['z'\], which are no nodes"):
        model.fit(X[["user", "shown", "z"]], y)


def test_a_graph_needs_names_and_a_treatment(rng):
    X, y = log(rng)
    graph = CausalGraph(CONFOUNDED)
    with pytest.raises(ValueError, match="DataFrame"):
        CausalDNNRecommender(graph=graph).fit(X[["z"]].to_numpy(), y, treatment=X.shown)
    with pytest.raises(ValueError, match="no treatment"):
        CausalDNNRecommender(graph=graph).fit(X[["z"]], y)
