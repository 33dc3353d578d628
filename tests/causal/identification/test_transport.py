"""Effects in another population, against pairs of models with every latent explicit."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalGraph, NotIdentifiableError
from sklearn_causalrec._testing.discrete_scm import DiscreteSCM, random_admg
from sklearn_causalrec.causal import NotTransportableError


def pair(graph, differs, rng):
    """A model of the source and one of the target, other in some mechanisms."""
    source, target = DiscreteSCM(graph, rng), DiscreteSCM(graph, rng)
    target.priors = source.priors
    for v in graph.nodes:
        if v not in differs:
            target.tables[v] = source.tables[v]
    return source, target


def experiment(scm, names):
    """The joint distribution where some variables are set at random."""
    table = scm.table()
    joint = scm.joint(names).ravel()
    return pd.Series(joint / joint.sum(), index=table.index)


def marginal(table, names):
    return table.groupby(level=list(names)).sum() if names else None


def test_the_formula_is_the_truth_in_the_target():
    rng = np.random.default_rng(0)
    seen = {"carried": 0, "refused": 0, "both": 0, "experiment": 0}
    for _ in range(200):
        graph = random_admg(rng, int(rng.integers(3, 6)), 0.5, 0.35)
        names = list(rng.permutation(list(graph.nodes)))
        y, x = names[:2]
        differs = [v for v in names if rng.random() < 0.3]
        experiments = [[x]] if rng.random() < 0.5 else []
        measured = [v for v in graph.nodes if v not in graph.descendants(x)]
        try:
            found = graph.transport(y, x, differs, experiments=experiments)
        except NotTransportableError as error:
            seen["refused"] += 1
            assert set(error.differs) == set(differs) & set(error.district)
            continue
        source, target = pair(graph, differs, rng)
        value = found.evaluate(
            source.table(),
            marginal(target.table(), measured),
            {x: 1},
            experiments={(x,): experiment(source, [x])},
        )
        assert np.allclose(value, target.effect([y], [x])[1])
        seen["carried"] += 1
        populations = {part.population for part in found.parts}
        seen["both"] += len(populations) == 2
        seen["experiment"] += any(
            "do(" in str(part.estimand.expression) for part in found.parts
        )
    assert min(seen.values()) > 5, seen


def test_without_differences_it_is_identification():
    rng = np.random.default_rng(1)
    for _ in range(60):
        graph = random_admg(rng, 4, 0.5, 0.4)
        y, x = rng.permutation(list(graph.nodes))[:2]
        try:
            estimand = graph.identify(y, x)
        except NotIdentifiableError:
            with pytest.raises(NotTransportableError, match="neither population"):
                graph.transport(y, x, (), target=())
            continue
        found = graph.transport(y, x, (), target=())
        assert {part.population for part in found.parts} == {"source"}
        table = DiscreteSCM(graph, rng).table()
        assert np.allclose(
            found.evaluate(table, None, {x: 1}), estimand.evaluate(table, {x: 1})
        )


def test_all_of_the_target_measured_and_all_of_it_different():
    rng = np.random.default_rng(2)
    graph = CausalGraph("z -> x -> m -> y; x <-> y; z -> y")
    source, target = pair(graph, graph.nodes, rng)
    found = graph.transport("y", "x", graph.nodes, target=graph.nodes)
    assert {part.population for part in found.parts} == {"target"}
    value = found.evaluate(source.table(), target.table(), {"x": 0})
    assert np.allclose(value, target.effect(["y"], ["x"])[0])


def test_what_is_reweighted():
    graph = CausalGraph("age -> x -> y; age -> y")
    found = graph.transport("y", "x", differs="age")
    assert found.weighted == ("age",) and "in the target" in str(found)
    assert "from target, source" in repr(found)
    assert graph.transport("y", "x", differs=()).weighted == ()
    everything = graph.transport("y", "x", "y", target=graph.nodes)
    assert everything.weighted is None
    after = CausalGraph("x -> m -> y").transport("y", "x", "m", target=["x", "m"])
    assert after.weighted is None


def test_refusals():
    graph = CausalGraph("z -> x -> y; z -> y")
    with pytest.raises(NotTransportableError, match=r"y comes about otherwise") as info:
        graph.transport("y", "x", differs=["y", "z"])
    error = pickle.loads(pickle.dumps(info.value))
    assert error.district == ("y",) and str(error) == str(info.value)
    bow = CausalGraph("x -> y; x <-> y")
    with pytest.raises(NotTransportableError, match=r"experiments=\[...\]"):
        bow.transport("y", "x", differs=())
    with pytest.raises(ValueError, match="not in the graph"):
        graph.transport("y", "x", differs="q")
    with pytest.raises(ValueError, match="both outcome and treatment"):
        graph.transport("y", "y", differs=())
    with pytest.raises(ValueError, match="at least one"):
        graph.transport("y", (), differs=())
    found = graph.transport("y", "x", differs="z")
    rng = np.random.default_rng(0)
    source, target = pair(graph, ["z"], rng)
    own = marginal(target.table(), ["z"])
    with pytest.raises(ValueError, match="do misses"):
        found.evaluate(source.table(), own, {})
    with pytest.raises(ValueError, match="no value 7"):
        found.evaluate(source.table(), own, {"x": 7})
    with pytest.raises(ValueError, match="target's table misses the variables"):
        found.evaluate(source.table(), marginal(target.table(), ["x"]), {"x": 1})
    wider = pd.Series([0.5, 0.3, 0.2], pd.Index([0, 1, 2], name="z"))
    with pytest.raises(ValueError, match="positivity"):
        found.evaluate(source.table(), wider, {"x": 1})
