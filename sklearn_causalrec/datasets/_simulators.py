"""A simulated log of exposures, with the truth about every pair of user and item."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtr, softmax
from sklearn.utils import Bunch, check_random_state
from sklearn.utils.random import sample_without_replacement

from sklearn_causalrec._utils.typing import Seed

from ._checks import check_number

_EFFECT_MEAN, _EFFECT_SD = 0.25, 0.5
_SURE_THINGS = 0.5  # how far the effect falls with the appeal: a correlation


def _hump(score):
    """Return exp(-z²), with mean 0 and variance 1 for standard normal z."""
    return (np.exp(-(score**2)) - 3**-0.5) / np.sqrt(5**-0.5 - 1 / 3)


_EFFECT_SHAPES: dict[str, Callable] = {
    "linear": lambda score: score,
    "nonlinear": _hump,
    "constant": np.zeros_like,
}


def _orthonormal(rng, n_rows, n_columns):
    return np.linalg.qr(rng.standard_normal((n_rows, n_columns)))[0]


def _draw_side(rng, name, n, n_features, n_latent, revealed):
    """Draw ids, features and latent states of the users, or of the items."""
    features = rng.standard_normal((n, n_features))
    states = np.sqrt(1 - revealed) * rng.standard_normal((n, n_latent))
    if revealed:
        loadings = _orthonormal(rng, n_features, n_latent)
        states += np.sqrt(revealed) * features @ loadings
    frame = pd.DataFrame(
        features, columns=[f"{name}_x{j}" for j in range(n_features)], copy=False
    )
    frame.insert(0, name, np.arange(n))
    return frame, states


class ExposureWorld:
    """The users, items and mechanism behind a simulated log of exposures.

    :func:`~sklearn_causalrec.datasets.make_exposure_log` makes it. It knows the truth
    about any pair of user and item, whether it was logged or not. A list of
    recommendations can be judged by that. The notes of
    :func:`~sklearn_causalrec.datasets.make_exposure_log` state the mechanism.

    Parameters
    ----------
    n_users : int
        The number of users.
    n_items : int
        The number of items.
    n_features : int
        The number of features. The first half (rounded up) describes the user, the rest
        the item.
    outcome : {"continuous", "binary"}
        The kind of outcome.
    effect : {"linear", "nonlinear", "constant"}
        How the effect on the latent outcome depends on the states of user and item.
    n_arms : int
        The number of arms, including arm 0, "not shown". It is at most `n_latent`.
    confounding : float
        The weight of the pair's appeal in the choice of the arm.
    overlap : float
        How close the arms are to equal probability. Larger values are closer.
    noise : float
        The standard deviation of the noise in the latent outcome.
    revealed : float in [0, 1]
        The share of the variance of the latent states that the features explain.
    n_latent : int
        The number of latent dimensions of users and of items.
    random_state : int, RandomState instance or None, default=None
        The seed of all draws. Pass an int for reproducible worlds.

    Attributes
    ----------
    users : DataFrame of shape (n_users, 1 + n_user_features)
        The column `user` (the ids 0, 1, and so on) and the features of the users.
    items : DataFrame of shape (n_items, 1 + n_item_features)
        The column `item` (the ids 0, 1, and so on) and the features of the items.
    n_arms : int
        The number of arms. Arm 0 is "not shown".

    Raises
    ------
    ValueError
        If an argument is out of range, there are more arms than latent dimensions, or
        the features are too few to reveal the latent states.

    See Also
    --------
    make_exposure_log : Make such a world and draw a log from it.

    Examples
    --------
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> world = make_exposure_log(100, n_users=20, n_items=10, random_state=0).world
    >>> world.counterfactual(users=[3, 3], items=[4, 5]).mu.shape
    (2, 2)
    """

    def __init__(
        self,
        *,
        n_users: int | None,
        n_items: int | None,
        n_features: int,
        outcome: Literal["continuous", "binary"],
        effect: Literal["linear", "nonlinear", "constant"],
        n_arms: int,
        confounding: float,
        overlap: float,
        noise: float,
        revealed: float,
        n_latent: int,
        random_state: Seed = None,
    ) -> None:
        for name, value in ("n_users", n_users), ("n_items", n_items):
            check_number(value, name, Integral, min_val=1)
        check_number(n_features, "n_features", Integral, min_val=0)
        check_number(n_arms, "n_arms", Integral, min_val=2)
        check_number(n_latent, "n_latent", Integral, min_val=2)
        check_number(confounding, "confounding", Real, min_val=0)
        check_number(revealed, "revealed", Real, min_val=0, max_val=1)
        for name, value in ("overlap", overlap), ("noise", noise):
            check_number(
                value,
                name,
                Real,
                min_val=0,
                include_boundaries="neither",
                finite=name == "noise",  # infinite overlap: drawn at random
            )
        for name, value, known in (
            ("outcome", outcome, ("continuous", "binary")),
            ("effect", effect, tuple(_EFFECT_SHAPES)),
        ):
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name} must be one of {known}, got {value!r}.")
        if n_arms > n_latent:
            raise ValueError(
                f"n_arms={n_arms} arms need as many latent dimensions to differ in: "
                f"set n_latent, now {n_latent}, to {n_arms} or more."
            )
        if revealed > 0 and n_features < 2 * n_latent:
            raise ValueError(
                f"n_features={n_features}, half of them the users', can't reveal "
                f"n_latent={n_latent} dimensions on either side: set n_features to "
                f"{2 * n_latent} or more, or revealed=0."
            )
        self.outcome = outcome
        self.effect = effect
        self.n_arms = n_arms
        self.confounding = confounding
        self.overlap = overlap
        self.noise = noise

        rng = check_random_state(random_state)
        n_item_features = n_features // 2
        self.users, self._tastes = _draw_side(
            rng, "user", n_users, n_features - n_item_features, n_latent, revealed
        )
        self.items, self._qualities = _draw_side(
            rng, "item", n_items, n_item_features, n_latent, revealed
        )
        # QR works column by column, so that the pushes, drawn over tastes alone, stay
        # there and everything after them is orthogonal to them.
        directions = rng.standard_normal((2 * n_latent, 2 * n_arms - 1))
        directions[n_latent:, : n_arms - 1] = 0
        self._directions = np.linalg.qr(directions)[0]

    def _check_ids(self, ids, name, n):
        ids = np.asarray(ids)
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(
                f"{name} must be a one-dimensional array of integer ids, got "
                f"{ids.ndim} dimensions of {ids.dtype}."
            )
        unknown = ids[(ids < 0) | (ids >= n)]
        if len(unknown):
            raise ValueError(
                f"{name} holds the id {unknown[0]}; this world's ids are 0 to {n - 1}."
            )
        return ids

    def _check_pairs(self, users, items):
        users = self._check_ids(users, "users", len(self.users))
        items = self._check_ids(items, "items", len(self.items))
        if len(users) != len(items):
            raise ValueError(
                f"users and items are the halves of pairs and must be as many, got "
                f"{len(users)} users and {len(items)} items."
            )
        return users, items

    def features(
        self, users: ArrayLike, items: ArrayLike, *, ids: bool = True
    ) -> pd.DataFrame:
        """Build the rows of X that describe pairs of user and item.

        Parameters
        ----------
        users : array-like of int of shape (n_pairs,)
            The user id of each pair.
        items : array-like of int of shape (n_pairs,)
            The item id of each pair.
        ids : bool, default=True
            Whether the columns `user` and `item` are included.

        Returns
        -------
        X : DataFrame of shape (n_pairs, n_columns)
            The ids, then the features of the user, then the features of the item.

        Raises
        ------
        ValueError
            If an id is unknown, or users and items differ in length.
        """
        users, items = self._check_pairs(users, items)
        user_features, item_features = self.users.iloc[:, 1:], self.items.iloc[:, 1:]
        X = pd.DataFrame(
            np.hstack(
                [user_features.to_numpy()[users], item_features.to_numpy()[items]]
            ),
            columns=[*user_features, *item_features],
            copy=False,
        )
        if ids:
            X.insert(0, "user", users)
            X.insert(1, "item", items)
        return X

    def counterfactual(self, users: ArrayLike, items: ArrayLike) -> Bunch:
        """Return the true outcomes and effects of pairs of user and item.

        Parameters
        ----------
        users : array-like of int of shape (n_pairs,)
            The user id of each pair.
        items : array-like of int of shape (n_pairs,)
            The item id of each pair.

        Returns
        -------
        truth : :class:`~sklearn.utils.Bunch`
            A dictionary-like object with the following attributes.

            mu : ndarray of shape (n_pairs, n_arms)
                The expected outcome under each arm.
            effect : ndarray of shape (n_pairs,) or (n_pairs, n_arms - 1)
                The effect ``mu[:, a] - mu[:, 0]`` of each arm a other than 0, in units
                of the outcome. With two arms it is one-dimensional.
            exposure_probability : ndarray of shape (n_pairs, n_arms)
                The probability with which the logging system chooses each arm.

        Raises
        ------
        ValueError
            If an id is unknown, or users and items differ in length.
        """
        users, items = self._check_pairs(users, items)
        tastes, qualities = self._tastes[users], self._qualities[items]
        n_latent = tastes.shape[1]
        scores = (
            tastes @ self._directions[:n_latent]
            + qualities @ self._directions[n_latent:]
        )
        push, bias, gain = np.split(scores, [self.n_arms - 1, self.n_arms], axis=1)
        match = (tastes * qualities).sum(axis=1, keepdims=True) / np.sqrt(n_latent)
        appeal = (2 * bias + match) / np.sqrt(5)

        gain = -_SURE_THINGS * bias + np.sqrt(1 - _SURE_THINGS**2) * gain
        tau = _EFFECT_MEAN + _EFFECT_SD * _EFFECT_SHAPES[self.effect](gain)
        mu = np.hstack([appeal, appeal + tau])
        if self.outcome == "binary":
            mu = ndtr(mu / self.noise)

        logit = self.confounding * appeal + push
        logit /= np.sqrt(1 + self.confounding**2) * self.overlap
        logit = np.hstack([np.zeros_like(appeal), logit])
        effect = mu[:, 1:] - mu[:, :1]
        return Bunch(
            mu=mu,
            effect=effect[:, 0] if self.n_arms == 2 else effect,
            exposure_probability=softmax(logit, axis=1),
        )


def _draw_pairs(rng, n_samples, n_users, n_items):
    """Draw distinct pairs uniformly.

    A side whose size is None has a new member in every row.
    """
    rows = np.arange(n_samples)
    if n_users is None and n_items is None:
        return rows, rows
    if n_users is None:
        return rows, rng.randint(n_items, size=n_samples)
    if n_items is None:
        return rng.randint(n_users, size=n_samples), rows
    if n_samples > n_users * n_items:
        raise ValueError(
            f"n_samples={n_samples} is more than the {n_users * n_items} pairs of "
            f"n_users={n_users} and n_items={n_items}."
        )
    pairs = sample_without_replacement(n_users * n_items, n_samples, random_state=rng)
    return np.divmod(rng.permutation(pairs), n_items)


def make_exposure_log(
    n_samples: int = 20_000,
    *,
    n_users: int | None = 500,
    n_items: int | None = 200,
    n_features: int = 12,
    outcome: Literal["continuous", "binary"] = "continuous",
    effect: Literal["linear", "nonlinear", "constant"] = "linear",
    n_arms: int = 2,
    confounding: float = 1.0,
    overlap: float = 1.0,
    noise: float = 1.0,
    ids: bool = True,
    revealed: float | None = None,
    n_latent: int = 4,
    random_state: Seed = None,
) -> Bunch:
    r"""Simulate the log of a system that shows items to users, with known effects.

    A row is one decision: a user, an item, the arm that the system chose (0 is "not
    shown") and the outcome. The system shows items more often if they would be liked
    anyway, so the log is confounded. Showing an item that would be liked anyway gains
    less. The mechanism is stated under Notes.

    Parameters
    ----------
    n_samples : int, default=20000
        The number of rows: distinct pairs of user and item, drawn uniformly.
    n_users : int or None, default=500
        The number of users. With None, every row has a user of its own. If `n_items` is
        None too, the rows are independent draws.
    n_items : int or None, default=200
        The number of items. With None, every row has an item of its own.
    n_features : int, default=12
        The number of features, all standard normal. The first half (rounded up)
        describes the user, the rest the item.
    outcome : {"continuous", "binary"}, default="continuous"
        The kind of outcome.
    effect : {"linear", "nonlinear", "constant"}, default="linear"
        How the effect on the latent outcome depends on the states of user and item.
    n_arms : int, default=2
        The number of arms, including arm 0, "not shown". It is at most `n_latent`.
    confounding : float, default=1.0
        The weight of the pair's appeal in the choice of the arm, relative to what does
        not matter for the outcome. With 0, exposure and outcome have no common cause.
    overlap : float, default=1.0
        How close the arms are to equal probability. Larger values are closer:
        ``float("inf")`` is a randomised experiment, and at 0.25 most rows are almost
        certain to get one arm.
    noise : float, default=1.0
        The standard deviation of the noise in the latent outcome.
    ids : bool, default=True
        Whether X has the columns `user` and `item`. With False, it has features only.
    revealed : float in [0, 1] or None, default=None
        The share of the variance of users' and items' latent states that their features
        explain. With None, it is 0.5 with ``ids=True``, because the ids stand for the
        rest, and 1 otherwise; without features it is 0. Below 1 and without ids, a part
        of the confounding is hidden, and no method can remove it from the log.
    n_latent : int, default=4
        The number of latent dimensions of users and of items.
    random_state : int, RandomState instance or None, default=None
        The seed of all draws. Pass an int for reproducible logs.

    Returns
    -------
    log : :class:`~sklearn.utils.Bunch`
        A dictionary-like object with the following attributes.

        X : DataFrame of shape (n_samples, n_features) or (n_samples, n_features + 2)
            The ids (with ``ids=True``) and the features.
        y : ndarray of shape (n_samples,)
            The observed outcome.
        treatment : ndarray of int of shape (n_samples,)
            The arm that was chosen.
        propensity : ndarray of shape (n_samples,)
            The probability with which the chosen arm was chosen.
        exposure_probability : ndarray of shape (n_samples, n_arms)
            The probabilities of all arms.
        mu : ndarray of shape (n_samples, n_arms)
            The expected outcome under each arm.
        effect : ndarray of shape (n_samples,) or (n_samples, n_arms - 1)
            The effect ``mu[:, a] - mu[:, 0]`` of each arm a other than 0, in units of
            y. It is a risk difference for binary outcomes. With two arms it is
            one-dimensional.
        user, item : ndarray of int of shape (n_samples,)
            The ids of the rows' users and items, whatever `ids` is.
        counterfactual : callable
            ``counterfactual(users, items)`` gives `mu`, `effect` and
            `exposure_probability` of any pairs. It tells what a list is truly worth.
        world : ExposureWorld
            The world that was drawn. ``world.users`` and ``world.items`` are tables of
            ids and features. ``world.features(users, items)`` gives the rows of X for
            any pairs.

    Raises
    ------
    ValueError
        If an argument is out of range, X would have no column, or there are fewer pairs
        of user and item than rows.

    See Also
    --------
    ExposureWorld : The users, items and mechanism behind the log.
    make_event_log : Simulate the raw tables that such a log is made from.
    make_sequence_log : Simulate decisions about users with a history.

    Notes
    -----
    Every user has a taste :math:`h` and every item a quality :math:`g`. Both are
    standard normal in :math:`k` = `n_latent` dimensions. The features :math:`x` reveal
    them: :math:`h = \sqrt{r}\,x^\top L + \sqrt{1-r}\,\varepsilon` with orthonormal
    loadings :math:`L` and :math:`r` = `revealed`; :math:`g` is made in the same way.
    Let :math:`s = (h, g)` be the state of a pair, with random orthonormal directions
    :math:`p_a` (zero on items), :math:`b` and :math:`e_a` for the arms :math:`a = 1, 2,
    …`:

    .. math::
        \text{appeal} &= (2\,b^\top s + h^\top g / \sqrt{k}) / \sqrt{5} \\
        z_a &= -\tfrac12 b^\top s + \sqrt{\tfrac34}\, e_a^\top s \\
        \eta_0 &= \text{appeal}, \quad
        \eta_a = \text{appeal} + 0.25 + 0.5\, f(z_a) \\
        \Pr(t = a) &\propto \exp\Big(\frac{\text{confounding}\cdot\text{appeal}
        + p_a^\top s}{\text{overlap}\,\sqrt{1 + \text{confounding}^2}}\Big),
        \quad \Pr(t = 0) \propto 1

    Here :math:`f(z)` is :math:`z` for "linear". For "nonlinear" it is
    :math:`\exp(-z^2)` with mean 0 and variance 1: pairs in the middle can be persuaded.
    For "constant" it is 0. The latent outcome is :math:`\eta_t` plus normal noise. A
    continuous outcome is the latent one, with :math:`\mu_a = \eta_a`. A binary outcome
    is whether the latent one is above zero, with :math:`\mu_a = \Phi(\eta_a /
    \text{noise})`. Over the population of users and items, the appeal, :math:`z_a` and
    the logit times `overlap` have mean 0 and variance 1.

    Given the ids, or given the features at ``revealed=1``, no confounder is hidden. The
    linear effect is linear in the features at ``revealed=1``.

    Examples
    --------
    Liked items are shown more often, so the naive contrast misses the average effect:

    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> log = make_exposure_log(random_state=0)
    >>> shown = log.treatment == 1
    >>> print(f"{log.y[shown].mean() - log.y[~shown].mean():.2f}")
    0.70
    >>> print(f"{log.effect.mean():.2f}")
    0.19

    Independent rows of 25 features, confounded, without ids:

    >>> log = make_exposure_log(
    ...     n_users=None, n_items=None, n_features=25, ids=False, random_state=0
    ... )
    >>> log.X.shape
    (20000, 25)

    What showing items 3 and 4 to user 7 would change:

    >>> log.counterfactual(users=[7, 7], items=[3, 4]).effect.round(1)
    array([...])
    """
    if not isinstance(ids, bool | np.bool_):
        raise TypeError(f"ids is {ids!r}: True or False is needed.")
    check_number(n_features, "n_features", Integral, min_val=0)
    if revealed is None:
        revealed = 0.0 if n_features == 0 else 0.5 if ids else 1.0
    check_number(n_samples, "n_samples", Integral, min_val=1)
    if n_features == 0 and not ids:
        raise ValueError("n_features=0 and ids=False leave X empty: set either.")
    rng = check_random_state(random_state)
    world = ExposureWorld(
        n_users=n_samples if n_users is None else n_users,
        n_items=n_samples if n_items is None else n_items,
        n_features=n_features,
        outcome=outcome,
        effect=effect,
        n_arms=n_arms,
        confounding=confounding,
        overlap=overlap,
        noise=noise,
        revealed=revealed,
        n_latent=n_latent,
        random_state=rng,
    )
    user, item = _draw_pairs(rng, n_samples, n_users, n_items)
    truth = world.counterfactual(user, item)
    cumulative = truth.exposure_probability[:, :-1].cumsum(axis=1)
    treatment = (rng.uniform(size=(n_samples, 1)) > cumulative).sum(axis=1)
    rows = np.arange(n_samples)
    expected = truth.mu[rows, treatment]
    if outcome == "binary":
        y = (rng.uniform(size=n_samples) < expected).astype(int)
    else:
        y = expected + noise * rng.standard_normal(n_samples)
    return Bunch(
        X=world.features(user, item, ids=ids),
        y=y,
        treatment=treatment,
        propensity=truth.exposure_probability[rows, treatment],
        **truth,
        user=user,
        item=item,
        counterfactual=world.counterfactual,
        world=world,
    )
