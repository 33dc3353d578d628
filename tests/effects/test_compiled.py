"""Compiled tables against the models that they are made of, at knots and edges too."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression

from sklearn_causalrec.effects.additive import AdditiveLasso
from sklearn_causalrec.effects.compiled import Segments, Tables, first_beyond
from sklearn_causalrec.effects.compiled_pairs import PairTables
from sklearn_causalrec.effects.formula import Formula, NotAFormulaError, merged
from sklearn_causalrec.effects.learners import Bins, Boost
from sklearn_causalrec.effects.stacked import StackedEffect

EXACT = dict(rtol=0, atol=1e-12)


def boost(bins, seed):
    return Boost(bins, seed, True, max_iter=12)


def plain(bins, seed):
    return Boost(bins, seed, max_iter=8)


def log_of(n=500, seed=0):
    """Features of which some repeat, so that rows lie on knots; two kinds of ids."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 1] = X[:, 1].round(1)
    X[:, 2] = rng.integers(0, 5, n)
    t = rng.integers(0, 2, n)
    groups = np.column_stack([rng.integers(0, 30, n), rng.integers(0, 12, n)])
    own = rng.normal(size=30)[groups[:, 0]]
    effect = 1 + own + np.abs(X[:, 0]) * (X[:, 1] > 0.1) + X[:, 2] / 3
    y = X[:, 0] + t * effect + rng.normal(size=n) / 2
    outcome = np.column_stack([X[:, 0], X[:, 0] + X[:, 1]]) + rng.normal(size=(n, 2))
    return X, y, t, outcome, groups


@pytest.fixture(scope="module")
def stages():
    X, y, t, outcome, groups = log_of()
    quick = dict(n_folds=2, random_state=0, exposure_learners=(plain,), n_jobs=1)
    with_all = StackedEffect(outcome_learners=(boost, plain), **quick)
    kernels = StackedEffect(**{**quick, "exposure_learners": None})
    return {
        "all": with_all.fit(X, y, t, outcome_oof=outcome, groups=groups),
        "kernels": kernels.fit(X[:300], y[:300], t[:300]),
    }


@pytest.fixture(params=["all", "kernels"])
def stage(request, stages):
    """With its usual weights, and with each candidate of some weight."""
    return stages[request.param]


def at_the_edges(stage, X):
    """Rows with a feature at each edge and knot, and one float beside it."""
    rows = []
    for j, breaks in stage.compiled.tables.breaks.items():
        for x in breaks.astype(np.float32):
            for value in (np.nextafter(x, -np.inf), x, np.nextafter(x, np.inf)):
                row = X[len(rows) % len(X)].copy()
                row[j] = value
                rows.append(row)
    return np.array(rows, np.float32)


def given(stage, n, seed=1):
    """What a stage asks for beside features, of n rows; ids not seen among them."""
    rng = np.random.default_rng(seed)
    if "R-mixed" not in stage.weights_:
        return dict(outcome=None, groups=None)
    groups = np.column_stack([rng.integers(0, 40, n), rng.integers(0, 15, n)])
    return dict(outcome=rng.normal(size=(n, 2)), groups=groups)


def by_models(stage, X, more):
    """Effects and intervals from the models one by one."""
    parts, *rest = stage._by_fold(X, **more)
    center = stage._stack(parts)
    bounds = stage._row_errors.interval(center, parts, *rest, 0.1)
    return center * stage._scale, *(b * stage._scale for b in bounds)


@pytest.mark.parametrize("n", [1, 3, 700])
def test_tables_say_what_the_models_say(stage, n):
    X = np.vstack([log_of()[0], log_of(seed=7)[0]])[:n]
    more = given(stage, n)
    effect, low, high = by_models(stage, X, more)
    assert_allclose(stage.effect(X, **more), effect, **EXACT)
    bounds = stage.effect_interval(X, 0.1, **more)
    assert_allclose(bounds, (low, high), **EXACT)


def test_all_weights_at_edges_and_knots(stage):
    # Each candidate counts: so does each of its steps.
    spread = pickle.loads(pickle.dumps(stage))
    names = list(spread.weights_)
    spread.weights_ = dict(zip(names, np.arange(1, len(names) + 1) / 40))
    X = at_the_edges(spread, log_of()[0])
    assert len(X) > 300
    more = given(spread, len(X))
    effect, *_ = by_models(spread, X, more)
    assert_allclose(spread.effect(X, **more), effect, **EXACT)
    few = [spread.effect(X[i : i + 1], **_at(more, i)) for i in range(40)]
    assert_allclose(np.concatenate(few), effect[:40], **EXACT)


def _at(more, i):
    return {k: v if v is None else v[i : i + 1] for k, v in more.items()}


def test_a_step_at_the_wrong_side_is_seen(stages):
    """The rows of the test before tell apart a knot that is one float off."""
    stage = pickle.loads(pickle.dumps(stages["all"]))
    stage.weights_ = dict.fromkeys(stage.weights_, 0.1)
    X = at_the_edges(stage, log_of()[0])
    more = given(stage, len(X))
    before = stage.effect(X, **more)
    tables = stage.compiled.tables
    for j, breaks in tables.breaks.items():
        off = np.nextafter(breaks.astype(np.float32), np.float32(np.inf))
        tables.breaks[j] = off.astype(float)
    tables._flatten()
    assert np.abs(stage.effect(X, **more) - before).max() > 1e-4


def test_outcomes_of_every_fold(stages):
    stage, X = stages["all"], log_of()[0][:20]
    more = given(stage, 20)
    more["outcome"] = np.random.default_rng(0).normal(size=(2, 20, 2))
    effect, low, high = by_models(stage, X, more)
    assert_allclose(stage.effect(X, **more), effect, **EXACT)
    assert_allclose(stage.effect_interval(X, 0.1, **more), (low, high), **EXACT)


def test_a_pickle_has_no_models(stages):
    stage, X = stages["all"], log_of()[0][:50]
    more = given(stage, 50)
    text = pickle.dumps(stage.compiled)
    assert b"sklearn.ensemble" not in text and b"StackedEffect" not in text
    same = pickle.loads(text)
    for n in (1, 50):
        part = {k: v[:n] for k, v in more.items()}
        assert_array_equal(same.effect(X[:n], **part), stage.effect(X[:n], **part))
        found = same.effect_interval(X[:n], 0.1, **part)
        assert_array_equal(found, stage.effect_interval(X[:n], 0.1, **part))
    # the stage's own pickle has no tables
    assert b"Leaves" not in pickle.dumps(stage)


def test_a_second_fit_has_its_own_tables(stages):
    X, y, t, *_ = log_of(200)
    stage = StackedEffect(
        n_folds=2, random_state=0, outcome_learners=(plain,), exposure_learners=(plain,)
    ).fit(X, y, t)
    before = stage.effect(X)
    stage.fit(X, 3 * y + 1, t)
    assert_allclose(stage.effect(X), by_models(stage, X, given(stage, 200))[0], **EXACT)
    assert np.abs(stage.effect(X) - before).max() > 0.1


def test_other_learners_have_no_tables():
    X, y, t, *_ = log_of(200)

    def linear(bins, seed):
        return LinearRegression()

    stage = StackedEffect(
        n_folds=2,
        random_state=0,
        outcome_learners=(linear,),
        exposure_learners=(plain,),
    ).fit(X, y, t)
    assert stage.compiled is None
    effect, *_ = by_models(stage, X, dict(outcome=None, groups=None))
    assert_array_equal(stage.effect(X), effect)
    with pytest.raises(NotAFormulaError, match="LinearRegression"):
        Formula(4, 1).add(LinearRegression(), 1.0)


# -- parts --------------------------------------------------------------------


def test_first_number_beyond_a_knot():
    rng = np.random.default_rng(0)
    mean, knot = rng.normal(size=(2, 400)) * 10.0 ** rng.integers(-8, 8, (2, 400))
    scale = 10.0 ** rng.uniform(-8, 8, 400)
    mean[:3], knot[:3], scale[:3] = 0, [0, 1, -1], 1
    x = first_beyond(mean, scale, knot)
    assert ((x - mean) / scale > knot).all()
    before = np.nextafter(x, -np.inf)
    assert not ((before - mean) / scale > knot).any()
    assert x[0] == np.nextafter(0, 1)


@pytest.mark.parametrize("kind", ["even", "tails", "close", "two", "one"])
def test_segments_are_those_of_a_bisection(kind):
    rng = np.random.default_rng(0)
    breaks = {
        "even": np.linspace(-1, 1, 63),
        "tails": rng.standard_t(2, 63),
        "close": np.append(1e9, 1 + 1e-9 * np.arange(5)),
        "two": np.array([0.1, 0.1 + 1e-17 * 2]),
        "one": np.array([3.0]),
    }[kind]
    breaks = np.unique(breaks)
    near = [np.nextafter(breaks, -np.inf), breaks, np.nextafter(breaks, np.inf)]
    spread = rng.normal(size=500) * rng.choice([1, 100, 1e12], 500)
    x = np.concatenate([*near, spread, [0, -1e300, 1e300]])
    find = Segments(breaks)
    assert find.n_cells > 0 or kind not in ("even", "tails")
    for values in (x, x.clip(-1e30, 1e30).astype(np.float32)):
        expected = np.searchsorted(breaks, values, side="right")
        assert_array_equal(find(values), expected)


def test_trees_with_more_leaves_are_refused():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    model = Boost(Bins(X), 0, max_iter=2, max_leaf_nodes=20)
    model.fit(X, X[:, 0] * X[:, 1])
    formula = Formula(2, 1)
    formula.add(model, 1.0)
    with pytest.raises(ValueError, match="leaves, more than 8"):
        Tables(formula)


@pytest.mark.filterwarnings("ignore:Objective did not converge")
def test_several_sums_at_once():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 3))
    bins, y = Bins(X), X[:, 0] * (X[:, 1] > 0)
    models = [
        Boost(bins, 0, max_iter=5).fit(X, y),
        AdditiveLasso().fit(X, y),
        Boost(bins, 1, True, max_iter=7).fit(X, y),
    ]
    formula = Formula(3, 4)
    for output, model in enumerate(models):
        formula.add(model, 2.0, output)
        formula.add(model, -1.0, 3)
    found = Tables(formula).sums(X)
    expected = np.column_stack([m.predict(X) for m in models])
    assert_allclose(found[:, :3], 2 * expected, **EXACT)
    assert_allclose(found[:, 3], -expected.sum(1), **EXACT)
    assert_allclose(Tables(formula).sums(X[:1]), found[:1], **EXACT)


def test_tables_of_ids_of_two_lengths():
    assert merged([np.array([1.0, 2.0])]).tolist() == [1, 2]
    found = merged([np.array([1.0, 5.0]), np.array([1.0, 2.0, 3.0, 0.0])])
    assert found.tolist() == [2, 7, 8, 5]


# -- pairs --------------------------------------------------------------------


@pytest.mark.parametrize("side_of", ["uipp", "uupp", "iipp", "uppp", "uuii", "pppp"])
def test_pairs_are_rows(stages, side_of):
    """Whatever sides the features come with."""
    stage = pickle.loads(pickle.dumps(stages["all"]))
    stage.weights_ = dict.fromkeys(stage.weights_, 0.1)
    tables = stage.compiled.tables
    rng = np.random.default_rng(3)
    users, items = log_of()[0][:7], log_of()[0][7:47]
    mine = [np.array([side == kind for side in side_of]) for kind in "ui"]
    codes = rng.integers(0, 33, 7), rng.integers(0, 14, 40)
    n_pair = side_of.count("p")
    outcome = log_of(seed=4)[0][: 7 * 40].reshape(7, 40, 4)[..., 4 - n_pair :]
    pairs = PairTables(tables, mine)
    user, item = (
        pairs.side(X, kind, ids)
        for kind, (X, ids) in enumerate(zip((users, items), codes))
    )
    for i in range(4):
        X = np.where(mine[0], users[i], items)
        X[:, 4 - n_pair :] = outcome[i]
        groups = np.column_stack([np.full(40, codes[0][i]), codes[1]])
        found = pairs.pairs(user, i, item, outcome[i])
        assert_allclose(found, tables.sums(X, groups)[:, 0], **EXACT)


def test_kernels_have_no_pairs(stages):
    stage = stages["kernels"]
    assert stage.compiled.tables.kernels
    assert stage.compiled.pair_tables([np.ones(4, bool), np.zeros(4, bool)]) is None
