"""Lists under constraints: at most so many lists an item, so many of a category, so
much cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components


class _Candidates:
    """Pairs to choose from, and what is known of their items."""

    def __init__(self, frame, k, items):
        self.frame, self.k, self.items = frame, k, items
        self.user, users = pd.factorize(frame["user"])
        self.item = pd.factorize(frame["item"])[0]
        self.users = users.tolist()

    def __len__(self):
        return len(self.frame)

    def of_items(self, given, what):
        """A value for each pair: of a column, or of a mapping from item to value."""
        item = self.frame["item"]
        if isinstance(given, str):
            if given in self.frame.columns:
                return self.frame[given]
            if self.items is None or given not in self.items.columns:
                known = [] if self.items is None else list(self.items.columns)
                raise ValueError(
                    f"{what}={given!r} is a column neither of the candidates, "
                    f"{list(self.frame.columns)}, nor of items, {known}."
                )
            given = self.items.set_index("item")[given]
        given = pd.Series(given) if isinstance(given, Mapping) else given
        lacking = ~item.isin(given.index)
        if lacking.any():
            raise ValueError(
                f"{what} is not known for the item {item[lacking].tolist()[0]!r}, "
                f"which is among the candidates; {int(lacking.sum())} pairs have none."
            )
        if given.index.has_duplicates:
            twice = given.index[given.index.duplicated()][0]
            raise ValueError(f"{what} is given twice for the item {twice!r}.")
        return item.map(given)

    def sums(self, group, value=None):
        """A row for each group of pairs, which adds up their values."""
        value = np.ones(len(self)) if value is None else value
        keep = np.flatnonzero(group >= 0)
        shape = (group.max(initial=-1) + 1, len(self))
        return csr_array((value[keep], (group[keep], keep)), shape=shape)


@dataclass(frozen=True)
class PopularityCap:
    """An item may be in so many lists.

    Parameters
    ----------
    max_lists : int or float
        A number of lists; or, below 1, a share of them.
    """

    max_lists: float

    def rows(self, candidates):
        """Matrix, lower and upper bounds over the candidates."""
        most = self.max_lists
        if not isinstance(most, Real) or most <= 0 or (most >= 1 and most != int(most)):
            raise ValueError(
                f"max_lists is {most!r}: a number of lists (1, 2, …), or a share of "
                "them between 0 and 1."
            )
        if most < 1:
            n_lists = len(candidates.users)
            most = int(most * n_lists + 1e-9)
            if most == 0:
                raise ValueError(
                    f"max_lists={self.max_lists} of {n_lists} lists is less than one."
                )
        A = candidates.sums(candidates.item)
        return A, np.zeros(A.shape[0]), np.full(A.shape[0], float(most))


@dataclass(frozen=True)
class CategoryQuota:
    """At most, or at least, so many items of a category in each list.

    Parameters
    ----------
    category : str or mapping of item to category
        A column of the candidates or of ``items``, or the categories themselves. An
        item of no category (None, NaN) counts for none.
    value : object, optional
        The category meant. None: each one, which makes lists diverse.
    at_least, at_most : int, optional
    """

    category: object
    value: object = None
    at_least: int = 0
    at_most: int | None = None

    def rows(self, candidates):
        """Matrix, lower and upper bounds over the candidates."""
        low, high = self.at_least, self.at_most
        for name, number in (
            ("at_least", low),
            ("at_most", 0 if high is None else high),
        ):
            if not isinstance(number, Integral) or number < 0:
                raise ValueError(f"{name} is {number!r}: 0 or more items of a list.")
        if high is not None and low > high:
            raise ValueError(f"at_least={low} is above at_most={high}.")
        if low and self.value is None:
            raise ValueError(f"at_least={low} of which category? Name it: value=….")
        if low > candidates.k:
            raise ValueError(
                f"at_least={low} is more than a list has, k={candidates.k}."
            )
        values = candidates.of_items(self.category, "category")
        group, names = pd.factorize(values)
        if self.value is not None:
            if self.value not in names:
                raise ValueError(
                    f"No candidate is of the category {self.value!r}; there are "
                    f"{list(names)[:10]}."
                )
            group = np.where(values == self.value, 0, -1)
        n_groups = group.max(initial=-1) + 1
        cell = np.where(group < 0, -1, candidates.user * n_groups + group)
        if low:
            there = np.bincount(cell[cell >= 0], minlength=len(candidates.users))
            if (there < low).any():
                user = candidates.users[int((there < low).argmax())]
                raise ValueError(
                    f"User {user!r} has {there.min()} candidates of the category "
                    f"{self.value!r}, and at_least={low}: pass more candidates, "
                    "recommend(..., k=…)."
                )
        A = candidates.sums(cell)
        high = np.inf if high is None else float(high)
        return A, np.full(A.shape[0], float(low)), np.full(A.shape[0], high)


@dataclass(frozen=True)
class Budget:
    """The items of a list may cost so much together.

    Parameters
    ----------
    cost : str or mapping of item to number
        A column of the candidates or of ``items``, or the costs themselves.
    limit : float or mapping of user to number
    """

    cost: object
    limit: object

    def rows(self, candidates):
        """Matrix, lower and upper bounds over the candidates."""
        cost = np.asarray(candidates.of_items(self.cost, "cost"), float)
        wrong = ~(np.isfinite(cost) & (cost >= 0))
        if wrong.any():
            item = candidates.frame["item"].tolist()[int(wrong.argmax())]
            raise ValueError(
                f"The cost of the item {item!r} is {cost[wrong][0]}: a number, 0 or "
                "more."
            )
        limit = self.limit
        if isinstance(limit, (Mapping, pd.Series)):
            unknown = [user for user in candidates.users if user not in limit]
            if unknown:
                raise ValueError(f"limit is not known for the user {unknown[0]!r}.")
            limit = np.array([limit[user] for user in candidates.users], float)
        limit = np.broadcast_to(np.asarray(limit, float), len(candidates.users))
        if not (limit >= 0).all():
            raise ValueError(f"limit is {limit[~(limit >= 0)][0]}: 0 or more.")
        A = candidates.sums(candidates.user, cost)
        return A, np.zeros(A.shape[0]), limit


def _values(score, k, fill):
    """What the program adds up: each place first, where lists are to be filled."""
    if not fill:
        return score
    spread = np.ptp(score)
    return k + (score - score.min()) / (spread if spread > 0 else 1.0)


def _solve(value, A, low, high, users, gap):
    """The best choice; bool of shape (n,)."""
    result = milp(
        -value,
        integrality=np.ones(len(value)),
        bounds=(0, 1),
        constraints=LinearConstraint(A, low, high),
        options={"mip_rel_gap": gap},
    )
    if result.x is None:
        raise ValueError(
            f"No lists meet all constraints together, among those of the users "
            f"{users[:5]}. Loosen a cap, a quota or a budget, or pass more candidates: "
            "recommend(..., k=…)."
        )
    return result.x > 0.5


def rerank(candidates, k=10, constraints=(), *, items=None, fill=None, gap=0.0):
    """The best lists that keep to all constraints.

    The total score is maximised by an integer program, solved to the end (HiGHS,
    through :func:`scipy.optimize.milp`): no other choice from the candidates that keeps
    to the constraints has a higher total. Caps and quotas alone make a flow in a
    network, for which this is fast. Budgets are knapsacks, one a user; together with a
    cap they are one knapsack for all users, which may take a gap to be solved.

    Parameters
    ----------
    candidates : frame with columns user, item and score
        As :func:`sklearn_causalrec.recommend` returns it with a k above that of the
        lists. Pairs that are not in it can't be chosen.
    k : int
        Items a list, at most.
    constraints : sequence of PopularityCap, CategoryQuota and Budget
        Or of any object whose ``rows(candidates)`` gives a sparse matrix over the
        candidates with lower and upper bounds.
    items : frame, optional
        With the column item, and the columns that constraints name.
    fill : bool, optional
        True: a longer list is better than a higher score. False: the score alone
        counts, so that pairs of a negative one are left out, and a budget may go to a
        few dear items. None: False where there is a Budget.
    gap : float
        How far, relatively, the total may stay below the highest one.

    Returns
    -------
    DataFrame
        The chosen rows, rank counted anew by score.

    Raises
    ------
    ValueError
        If the constraints cannot be met, or a category or a cost is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.ranking import CategoryQuota, PopularityCap, rerank
    >>> top = pd.DataFrame({"user": [1, 1, 1, 2, 2, 2], "item": list("abcabd")})
    >>> top["score"] = [5.0, 4.0, 1.0, 5.0, 2.0, 1.0]
    >>> lists = rerank(top, k=2, constraints=[PopularityCap(1)])
    >>> lists[["user", "item", "rank"]].values.tolist()
    [[1, 'b', 1], [1, 'c', 2], [2, 'a', 1], [2, 'd', 2]]
    >>> drama = {"a": "drama", "b": "drama", "c": "news", "d": "news"}
    >>> quota = CategoryQuota(drama, at_most=1)
    >>> rerank(top, k=2, constraints=[quota])["item"].tolist()
    ['a', 'c', 'a', 'd']
    """
    frame, items = (_pandas(f) for f in (candidates, items))
    _check(frame, k, items)
    if frame.empty:
        return frame
    n = len(frame)
    problem = _Candidates(frame, k, items)
    of_user = problem.sums(problem.user)
    rows = [(of_user, np.zeros(of_user.shape[0]), np.full(of_user.shape[0], float(k)))]
    rows += [constraint.rows(problem) for constraint in constraints]
    A = csr_array(vstack([row[0] for row in rows]))
    low, high = (np.concatenate([row[i] for row in rows]) for i in (1, 2))
    if fill is None:
        fill = not any(isinstance(c, Budget) for c in constraints)
    score = frame["score"].to_numpy(float)
    binding = (A.sum(axis=1) > high) | (low > 0)  # what some choice could break
    parts = np.zeros(n, int)
    if (A.data != 1).any():  # knapsacks are better solved apart, flows at once
        links = A[binding | (np.arange(len(low)) < of_user.shape[0])]
        parts = connected_components(links.T @ links, directed=False)[1]
    chosen = np.zeros(n, bool)
    by_part = np.argsort(parts, kind="stable")
    for part in np.split(by_part, np.flatnonzero(np.diff(parts[by_part])) + 1):
        own = A[:, part]
        mine = np.flatnonzero(np.diff(own.indptr))
        value = _values(score[part], k, fill)
        best = np.argsort(-value, kind="stable")[:k]
        greedy = np.zeros(len(part), bool)
        greedy[best[value[best] > 0]] = True
        total = own[mine] @ greedy.astype(float)
        one_list = len(set(problem.user[part])) == 1
        if one_list and (total >= low[mine]).all() and (total <= high[mine]).all():
            chosen[part] = greedy
            continue
        users = pd.unique(frame["user"].iloc[part]).tolist()
        chosen[part] = _solve(value, own[mine], low[mine], high[mine], users, gap)
    out = frame[chosen].assign(_user=problem.user[chosen])
    out = out.sort_values(["_user", "score"], ascending=[True, False], kind="stable")
    out["rank"] = out.groupby("_user").cumcount() + 1
    return out.drop(columns="_user").reset_index(drop=True)


def _pandas(frame):
    return (
        frame if frame is None or isinstance(frame, pd.DataFrame) else frame.to_pandas()
    )


def _check(frame, k, items):
    lacking = [c for c in ("user", "item", "score") if c not in frame.columns]
    if lacking:
        raise ValueError(
            f"candidates lack the columns {lacking}: pass what recommend returns."
        )
    if items is not None and "item" not in items.columns:
        raise ValueError(
            f"items lack the column 'item'; they have {list(items.columns)}."
        )
    if not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k is {k!r}: at least 1 item a user.")
    if "propensity" in frame.columns:
        raise ValueError(
            "These lists were drawn at random, and choosing among them would make "
            "their propensities wrong: recommend without explore=, then rerank."
        )
    twice = frame.duplicated(["user", "item"])
    if twice.any():
        pair = frame.loc[twice, ["user", "item"]].iloc[0].tolist()
        raise ValueError(f"The pair {pair} is there twice.")
    if not np.isfinite(frame["score"]).all():
        raise ValueError("A score is missing or infinite.")
