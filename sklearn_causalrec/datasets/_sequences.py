"""A simulated log in which the order of a user's history matters, or does not."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.utils import Bunch, check_random_state, check_scalar

from sklearn_causalrec._utils.typing import Seed


def _unit(values):
    return (values - values.mean()) / values.std()


def make_sequence_log(
    n_samples: int = 6000,
    *,
    n_users: int = 400,
    n_items: int = 60,
    n_kinds: int = 4,
    length: int = 12,
    order: float = 1.0,
    confounding: float = 1.0,
    noise: float = 0.5,
    random_state: Seed = None,
) -> Bunch:
    """Simulate decisions about users with a history of items, and their true effects.

    Every item has a hidden kind, and every user prefers some kinds. The history of a
    user matches an item more or less. With ``order=1``, the match depends on the kinds
    of the last item in the history and of the item. With ``order=0``, it depends on the
    kinds of all items in the history, whatever their order. One match drives the
    outcome and which items are shown. Another match drives the effect.

    Parameters
    ----------
    n_samples : int, default=6000
        The number of rows. Each row is one decision, at a random time.
    n_users : int, default=400
        The number of users.
    n_items : int, default=60
        The number of items.
    n_kinds : int, default=4
        The number of kinds that items are of.
    length : int, default=12
        The largest length of a history. The lengths are uniform from 0 to it.
    order : float in [0, 1], default=1.0
        The share of the match that depends on the order of the history.
    confounding : float, default=1.0
        The strength with which the expected outcome drives the exposure. With 0, items
        are shown at random.
    noise : float, default=0.5
        The standard deviation of the outcome, given everything else.
    random_state : int, RandomState instance or None, default=None
        The seed of all draws. Pass an int for reproducible logs.

    Returns
    -------
    log : :class:`~sklearn.utils.Bunch`
        A dictionary-like object with the following attributes.

        X : DataFrame of shape (n_samples, 6)
            The columns ``user``, ``item``, ``x1`` (a feature of the context), ``time``
            (in days), ``history`` (a list of items per row, oldest first) and
            ``history_gaps`` (the days from each of these items to the row).
        y : ndarray of shape (n_samples,)
            The observed outcome.
        treatment : ndarray of shape (n_samples,)
            Whether the item was shown: 1 or 0.
        propensity : ndarray of shape (n_samples,)
            The probability of the treatment taken.
        mu0, mu1 : ndarray of shape (n_samples,)
            The expected outcome if the item is not shown, and if it is shown.
        effect : ndarray of shape (n_samples,)
            The effect ``mu1 - mu0``, in units of the outcome.
        kind : ndarray of shape (n_items,)
            The kind of each item.

    See Also
    --------
    make_exposure_log : Simulate a log of exposures without histories.
    make_event_log : Simulate the raw tables of a log.

    Examples
    --------
    >>> from sklearn_causalrec.datasets import make_sequence_log
    >>> log = make_sequence_log(500, random_state=0)
    >>> log.X["history"].iloc[1]
    [33, 40, 43, 26, 39]
    >>> print(f"{log.effect.mean():.1f}")
    1.0
    """
    for name, value in (
        ("n_samples", n_samples),
        ("n_users", n_users),
        ("n_items", n_items),
        ("n_kinds", n_kinds),
        ("length", length),
    ):
        check_scalar(value, name, Integral, min_val=1)
    check_scalar(order, "order", Real, min_val=0, max_val=1)
    check_scalar(confounding, "confounding", Real, min_val=0)
    check_scalar(noise, "noise", Real, min_val=0)
    rng = check_random_state(random_state)
    n = n_samples
    kind = rng.permutation(np.arange(n_items) % n_kinds)
    taste = rng.dirichlet(np.ones(n_kinds), size=n_users)
    chance = taste[:, kind] / taste[:, kind].sum(1, keepdims=True)
    user, item = rng.randint(n_users, size=n), rng.randint(n_items, size=n)
    lengths = rng.randint(length + 1, size=n)
    drawn = rng.uniform(size=(n, length))
    past = np.empty((n, length), np.int64)
    for u in range(n_users):
        edges = np.cumsum(chance[u])
        rows = user == u
        past[rows] = np.searchsorted(edges / edges[-1], drawn[rows])
    there = np.arange(length) < lengths[:, None]
    shares = np.zeros((n, n_kinds))
    for k in range(n_kinds):
        shares[:, k] = ((kind[past] == k) & there).sum(1)
    shares /= np.maximum(lengths, 1)[:, None]
    last = np.zeros((n, n_kinds))
    some = np.flatnonzero(lengths > 0)
    last[some, kind[past[some, lengths[some] - 1]]] = 1.0

    def match():
        table = rng.standard_normal((n_kinds, n_kinds))
        table -= table.mean(0)
        parts = [_unit((s * table[:, kind[item]].T).sum(1)) for s in (last, shares)]
        return _unit(order * parts[0] + (1 - order) * parts[1])

    outcome, change, x = match(), match(), rng.standard_normal(n)
    effect = 1 + change
    mu0 = outcome + 0.5 * x
    p = expit(confounding * (outcome + 0.5 * x))
    treatment = (rng.uniform(size=n) < p).astype(int)
    y = mu0 + treatment * effect + noise * rng.standard_normal(n)
    time = np.sort(rng.uniform(0, 60, size=n))
    gaps = np.cumsum(rng.exponential(2.0, size=(n, length)), axis=1)
    X = pd.DataFrame({"user": user, "item": item, "x1": x, "time": time})
    X["history"] = [row[:m] for row, m in zip(past.tolist(), lengths)]
    X["history_gaps"] = [
        row[:m][::-1] for row, m in zip(gaps.round(3).tolist(), lengths)
    ]
    return Bunch(
        X=X,
        y=y,
        treatment=treatment,
        propensity=np.where(treatment == 1, p, 1 - p),
        mu0=mu0,
        mu1=mu0 + effect,
        effect=effect,
        kind=kind,
    )
