"""Samples of discrete models, and the problems that estimators are given."""

import numpy as np
import pandas as pd

from sklearn_causalrec import NotIdentifiableError
from sklearn_causalrec._testing.discrete_scm import random_admg
from sklearn_causalrec.causal.estimation.problem import Problem, Variables
from sklearn_causalrec.effects.cross_fitting import stratified_folds


def sample(scm, n, rng):
    """Rows drawn from a `DiscreteSCM`."""
    p = scm.joint().ravel()
    cells = rng.choice(p.size, n, p=p / p.sum())
    columns = np.column_stack(np.unravel_index(cells, scm.shape))
    return pd.DataFrame(columns, columns=scm.names)


def exact_rows(scm, n):
    """Every cell as many rows as it has probability, nearly."""
    counts = np.round(scm.joint().ravel() * n).astype(int)
    cells = np.repeat(np.arange(counts.size), counts)
    columns = np.column_stack(np.unravel_index(cells, scm.shape))
    return pd.DataFrame(columns, columns=scm.names)


def make_problem(graph, frame, outcome, treatment, given=(), *, n_folds=5, **options):
    """The `Problem` of a query and a frame of all nodes."""
    names = [treatment] if isinstance(treatment, str) else list(treatment)
    if len(names) == 1:
        arms, arm = np.unique(frame[names[0]].to_numpy(), return_inverse=True)
        arms = arms.tolist()
    else:
        values = frame[names].apply(tuple, axis=1)
        arms = sorted(values.unique())
        arm = values.map({a: k for k, a in enumerate(arms)}).to_numpy()
    return Problem(
        graph.identify(outcome, treatment, given),
        Variables(frame.drop(columns=outcome)),
        frame[outcome].to_numpy(float),
        arms,
        arm,
        stratified_folds(arm, n_folds, np.random.default_rng(0)),
        binary=set(frame[outcome].unique()) <= {0, 1},
        **options,
    )


def identified_query(rng, strategies=None, most=6, treatments=1):
    """A random graph with an identified effect that is not null: graph, y, x."""
    while True:
        n = int(rng.integers(3, most + 1))
        graph = random_admg(rng, n, rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.5))
        if len(graph) <= treatments:
            continue
        x = [str(v) for v in rng.choice(graph.nodes, treatments, replace=False)]
        later = sorted(graph.descendants(x) - set(x))
        if not later:
            continue
        y = str(rng.choice(later))
        try:
            estimand = graph.identify(y, x)
        except NotIdentifiableError:
            continue
        if estimand.strategy in (strategies or ("adjustment", "general")):
            return graph, y, x if treatments > 1 else x[0]
