"""One arm for each row: the largest total gain whose costs fit a budget."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

MOST_EXACT = 20_000  # cells (rows times arms) up to which an integer program is solved
_SECONDS = 5.0
_STEPS = 100  # of the bisection for the price


class Allocation(NamedTuple):
    """Arms of rows within a budget.

    Attributes
    ----------
    arm : ndarray of int of shape (n,)
        The arm of each row.
    price : float
        What one more unit of budget would gain, about; 0 if the budget does not bind.
    gap : float
        By how much the total gain may be below the largest possible, at most.
    """

    arm: np.ndarray
    price: float
    gap: float


def allocate(gain, cost, budget=None):
    """Choose the arm of each row.

    Parameters
    ----------
    gain : ndarray of shape (n, n_arms)
        The gain of each arm.
    cost : ndarray of shape (n, n_arms)
        The cost of each arm, not negative. It is not taken off the gain here.
    budget : float, default=None
        The largest total cost. With None there is no limit.

    Returns
    -------
    Allocation
        Exact without a budget, where one arm costs something and that is the same for
        all rows, and up to 20,000 cells. Beyond, the budget has a price by which each
        row decides (Lagrange), what is left over is spent by the best ratio, and the
        gap to the bound is stated.

    Raises
    ------
    ValueError
        If no choice of arms fits the budget.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.explaining.allocation import allocate
    >>> gain, cost = np.array([[0, 5.0], [0, 4.0], [0, 3.0]]), np.array([[0, 2.0]] * 3)
    >>> allocate(gain, cost, budget=5.0).arm
    array([1, 1, 0])
    """
    n = len(gain)
    rows = np.arange(n)
    arm = _best(gain, cost, 0.0)
    if budget is None or cost[rows, arm].sum() <= budget:
        return Allocation(arm, 0.0, 0.0)
    least = cost.argmin(axis=1)
    if cost[rows, least].sum() > budget * (1 + 1e-12):
        raise ValueError(
            f"budget={budget:g} is below {cost[rows, least].sum():g}, the cost of the "
            "cheapest arm of every row."
        )
    budget = _whole_steps(cost, budget)
    arm, price, bound = _priced(gain, cost, budget)
    gap = max(bound - gain[rows, arm].sum(), 0.0)
    tiny = 1e-9 * max(abs(bound), 1e-300)
    if gap > tiny and gain.size <= MOST_EXACT:
        found = _exact(gain, cost, budget)
        if found is not None and gain[rows, found[0]].sum() >= gain[rows, arm].sum():
            arm, gap = found
    return Allocation(arm, price, gap if gap > tiny else 0.0)


def _best(gain, cost, price):
    """The best arm of each row at a price of cost; of equal ones the cheapest."""
    net = gain - price * cost
    best = net.max(axis=1, keepdims=True)
    tied = net >= best - 1e-12 * np.abs(best)
    return np.where(tied, cost, np.inf).argmin(axis=1)


def _whole_steps(cost, budget):
    """The part of a budget that can be spent where all arms cost 0 or the same."""
    levels = np.unique(cost)
    levels = levels[levels > 0]
    if len(levels) == 1:
        return np.floor(budget / levels[0] * (1 + 1e-12)) * levels[0]
    return budget


def _priced(gain, cost, budget):
    """Arms by the price of the budget, the price, and a bound of the total gain."""
    rows = np.arange(len(gain))

    def at(price):
        arm = _best(gain, cost, price)
        return arm, cost[rows, arm].sum()

    low, high = 0.0, 1.0
    while at(high)[1] > budget:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if at(middle)[1] > budget:
            low = middle
        else:
            high = middle
    bound = (gain - high * cost).max(axis=1).sum() + high * budget
    arm, spent = at(high)
    left = budget - spent
    # What is left buys the best upgrades, by what they gain for what they cost.
    for _ in range(gain.shape[1]):
        more = gain - gain[rows, arm][:, None]
        price = cost - cost[rows, arm][:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where((more > 0) & (price > 0), more / price, -np.inf)
        best = ratio.argmax(axis=1)
        order = np.argsort(-ratio[rows, best], kind="stable")
        changed = False
        for i in order:
            if not np.isfinite(ratio[i, best[i]]):
                break
            if price[i, best[i]] <= left * (1 + 1e-12):
                left -= price[i, best[i]]
                arm[i], changed = best[i], True
        if not changed:
            break
    return arm, high, bound


def _exact(gain, cost, budget):
    """The best arms by an integer program and how far off they may be, or None."""
    n, n_arms = gain.shape
    cells = np.arange(gain.size)
    one_each = csr_array((np.ones(gain.size), (cells // n_arms, cells)), (n, gain.size))
    found = milp(
        -gain.ravel(),
        integrality=np.ones(gain.size),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(csr_array(cost.reshape(1, -1)), -np.inf, budget),
        ],
        options={"mip_rel_gap": 0.0, "time_limit": _SECONDS},
    )
    if found.x is None:
        return None
    arm = found.x.reshape(n, n_arms).argmax(axis=1)
    if cost[np.arange(n), arm].sum() > budget * (1 + 1e-9):
        return None
    bound = found.mip_dual_bound
    total = gain[np.arange(n), arm].sum()
    return arm, max(-bound - total, 0.0) if bound is not None else np.inf
