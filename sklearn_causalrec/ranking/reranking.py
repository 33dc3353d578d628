"""Lists under constraints on popularity, categories and cost."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy.optimize import LinearConstraint, milp
from scipy.sparse import csr_array, vstack
from scipy.sparse.csgraph import connected_components

from sklearn_causalrec.encoding.checks import column, labels, number, whole_number


class _Candidates:
    """The pairs to choose from, and what is known of their items."""

    def __init__(self, frame, k, items, keys):
        self.frame, self.k, self.items = frame, k, items
        self.user, users = pd.factorize(frame[keys[0]])
        self.item_ids, self.item_key = frame[keys[1]], keys[1]
        self.item = pd.factorize(self.item_ids)[0]
        self.users = users.tolist()

    def __len__(self):
        return len(self.frame)

    def of_items(self, given, what):
        """Return a value for each pair, from a column or from a mapping of items to
        values.
        """
        item = self.item_ids
        if isinstance(given, str):
            if given in self.frame.columns:
                return self.frame[given]
            if self.items is None or given not in self.items.columns:
                known = [] if self.items is None else list(self.items.columns)
                raise ValueError(
                    f"{what}={given!r} is a column neither of the candidates, "
                    f"{list(self.frame.columns)}, nor of items, {known}."
                )
            given = self.items.set_index(self.item_key)[given]
        given = pd.Series(given) if isinstance(given, Mapping) else given
        if not isinstance(given, pd.Series):
            raise TypeError(
                f"{what} is {given!r}: the name of a column, or a mapping of items to "
                "values, is needed."
            )
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
        """Return a matrix whose rows add up the values of each group of pairs."""
        value = np.ones(len(self)) if value is None else value
        keep = np.flatnonzero(group >= 0)
        shape = (group.max(initial=-1) + 1, len(self))
        return csr_array((value[keep], (group[keep], keep)), shape=shape)


@dataclass(frozen=True)
class PopularityCap:
    """Constraint: an item may be in a limited number of lists.

    Parameters
    ----------
    max_lists : int or float
        The largest number of lists that contain an item. Below 1, it is a share of all
        lists.

    See Also
    --------
    rerank : Choose lists that satisfy constraints.
    CategoryQuota : Limit the items of a category in each list.
    Budget : Limit the cost of each list.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.ranking import PopularityCap, rerank
    >>> top = pd.DataFrame({"user": [1, 1, 2, 2], "item": list("abab")})
    >>> top["score"] = [5.0, 4.0, 5.0, 2.0]
    >>> rerank(top, k=1, constraints=[PopularityCap(0.5)])["item"].tolist()
    ['b', 'a']
    """

    max_lists: float

    def rows(self, candidates):
        """Express the constraint as linear inequalities.

        Parameters
        ----------
        candidates : object
            The pairs to choose from, as :func:`~sklearn_causalrec.ranking.rerank` hands
            them over.

        Returns
        -------
        matrix : csr_array of shape (n_items, n_candidates)
            The matrix that counts the chosen pairs of each item.
        low : ndarray of shape (n_items,)
            The lower bounds, which are 0.
        high : ndarray of shape (n_items,)
            The upper bounds.

        Raises
        ------
        ValueError
            If `max_lists` is out of range.
        """
        most = self.max_lists
        real = isinstance(most, Real) and not isinstance(most, bool)
        if not real or not most > 0 or (most >= 1 and most % 1 != 0):
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
    """Constraint: each list has at most, or at least, so many items of a category.

    Parameters
    ----------
    category : str or mapping of item to category
        The category of each item: a column of the candidates or of ``items``, or the
        categories themselves. An item without a category (None or NaN) counts for none.
    value : object, default=None
        The category that is constrained. With None, each category is, which makes lists
        diverse.
    at_least : int, default=0
        The smallest number of items of the category in a list. It needs `value`.
    at_most : int, default=None
        The largest number of items of the category in a list. With None, there is no
        upper limit.

    See Also
    --------
    rerank : Choose lists that satisfy constraints.
    PopularityCap : Limit the number of lists that contain an item.
    Budget : Limit the cost of each list.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.ranking import CategoryQuota, rerank
    >>> top = pd.DataFrame({"user": [1, 1, 1], "item": list("abc")})
    >>> top["score"] = [5.0, 4.0, 1.0]
    >>> genre = {"a": "drama", "b": "drama", "c": "news"}
    >>> quota = CategoryQuota(genre, "news", at_least=1)
    >>> rerank(top, k=2, constraints=[quota])["item"].tolist()
    ['a', 'c']
    """

    category: object
    value: object = None
    at_least: int = 0
    at_most: int | None = None

    def rows(self, candidates):
        """Express the constraint as linear inequalities.

        Parameters
        ----------
        candidates : object
            The pairs to choose from, as :func:`~sklearn_causalrec.ranking.rerank` hands
            them over.

        Returns
        -------
        matrix : csr_array of shape (n_rows, n_candidates)
            The matrix that counts the chosen pairs of each user and category.
        low : ndarray of shape (n_rows,)
            The lower bounds.
        high : ndarray of shape (n_rows,)
            The upper bounds.

        Raises
        ------
        ValueError
            If the quota is out of range, the category is unknown, or a user has fewer
            candidates of it than `at_least`.
        """
        low, high = self.at_least, self.at_most
        for name, count in (
            ("at_least", low),
            ("at_most", 0 if high is None else high),
        ):
            if not isinstance(count, Integral) or count < 0:
                raise ValueError(f"{name} is {count!r}: 0 or more items of a list.")
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
            if not isinstance(self.value, Hashable):
                raise TypeError(f"value is {self.value!r}, which is no category.")
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
    """Constraint: the items of a list may cost so much together.

    Parameters
    ----------
    cost : str or mapping of item to number
        The cost of each item: a column of the candidates or of ``items``, or the costs
        themselves. Costs are not negative.
    limit : float or mapping of user to number
        The largest total cost of a list, for all users or for each user.

    See Also
    --------
    rerank : Choose lists that satisfy constraints.
    PopularityCap : Limit the number of lists that contain an item.
    CategoryQuota : Limit the items of a category in each list.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.ranking import Budget, rerank
    >>> top = pd.DataFrame({"user": [1, 1, 1], "item": list("abc")})
    >>> top["score"] = [5.0, 4.0, 2.0]
    >>> budget = Budget({"a": 9.0, "b": 5.0, "c": 4.0}, limit=9.0)
    >>> rerank(top, k=2, constraints=[budget])["item"].tolist()
    ['b', 'c']
    """

    cost: object
    limit: object

    def rows(self, candidates):
        """Express the constraint as linear inequalities.

        Parameters
        ----------
        candidates : object
            The pairs to choose from, as :func:`~sklearn_causalrec.ranking.rerank` hands
            them over.

        Returns
        -------
        matrix : csr_array of shape (n_users, n_candidates)
            The matrix that adds up the costs of the chosen pairs of each user.
        low : ndarray of shape (n_users,)
            The lower bounds, which are 0.
        high : ndarray of shape (n_users,)
            The limits.

        Raises
        ------
        ValueError
            If a cost or a limit is unknown or negative.
        """
        given = candidates.of_items(self.cost, "cost")
        cost = column(given, "cost", allow_nan=True)
        wrong = ~(cost >= 0)
        if wrong.any():
            item = candidates.item_ids.tolist()[int(wrong.argmax())]
            raise ValueError(
                f"The cost of the item {item!r} is {cost[wrong][0]}: a number, 0 or "
                "more."
            )
        limit = self.limit
        if isinstance(limit, (Mapping, pd.Series)):
            unknown = [user for user in candidates.users if user not in limit]
            if unknown:
                raise ValueError(f"limit is not known for the user {unknown[0]!r}.")
            limit = [
                number(limit[user], f"limit[{user!r}]", 0, infinite=True)
                for user in candidates.users
            ]
        else:
            limit = np.full(
                len(candidates.users), number(limit, "limit", 0, infinite=True)
            )
        A = candidates.sums(candidates.user, cost)
        return A, np.zeros(A.shape[0]), np.asarray(limit, float)


def _values(score, k, fill):
    """Return what the program adds up: each place first, if lists are to be filled."""
    if not fill:
        return score
    spread = np.ptp(score)
    return k + (score - score.min()) / (spread if spread > 0 else 1.0)


def _solve(value, A, low, high, users, gap):
    """Return the best choice, as a bool array of shape (n,)."""
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


def rerank(
    candidates,
    k=10,
    constraints=(),
    *,
    items=None,
    fill=None,
    gap=0.0,
    user=None,
    item=None,
):
    """Choose the best lists that satisfy all constraints.

    The total score is maximised by an integer program, which is solved to optimality
    (HiGHS, through :func:`scipy.optimize.milp`). No other choice from the candidates
    that satisfies the constraints has a higher total. Caps and quotas alone form a
    network flow, which is solved fast. Budgets form one knapsack per user. Budgets
    together with a cap form one knapsack for all users, which may need a `gap` to be
    solved in time.

    Parameters
    ----------
    candidates : frame with columns of users, items and scores
        The pairs to choose from. Pass what :func:`~sklearn_causalrec.recommend` returns
        with a larger `k` than that of the lists.
    k : int, default=10
        The largest number of items per list.
    constraints : sequence of PopularityCap, CategoryQuota, Budget and MMR, default=()
        The constraints. Any object is allowed whose method ``rows(candidates)`` returns
        a sparse matrix over the candidates, with lower and upper bounds; or whose
        method ``values(candidates, score)`` returns what is added up in place of the
        scores.
    items : frame, default=None
        A table of the items, with the column of item ids, which is called as in the
        candidates, and the columns that constraints name.
    fill : bool, default=None
        Whether a longer list is better than a higher score. With False, the score alone
        counts: pairs with a negative score are left out, and a budget may go to a few
        expensive items. With None, it is False if there is a Budget, else True.
    gap : float, default=0.0
        The relative gap up to which the total may stay below the highest one.
    user, item : str, default=None
        The columns of the users and of the items in the candidates. With None, the
        columns that are called "user" and "item", or else the first and the second
        column, as :func:`~sklearn_causalrec.recommend` returns them.

    Returns
    -------
    DataFrame
        The chosen rows of the candidates. Their ``rank`` is counted again by score, or
        in the order of an :class:`MMR`.

    Raises
    ------
    ValueError
        If the constraints cannot be satisfied, a category or a cost is unknown, a
        column is missing, a pair occurs twice, a score is not finite, or the candidates
        were drawn with ``explore``.

    See Also
    --------
    sklearn_causalrec.recommend : Make the candidates.
    PopularityCap : Limit the number of lists that contain an item.
    CategoryQuota : Limit the items of a category in each list.
    Budget : Limit the cost of each list.
    MMR : Keep similar items apart.

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
    frame, items = _pandas(candidates, "candidates"), _pandas(items, "items")
    keys = _columns_of_ids(frame, user, item)
    k = _check(frame, k, items, keys)
    gap = number(gap, "gap", 0)
    constraints = _checked(constraints)
    if frame.empty:
        return frame
    n, score = len(frame), column(frame["score"], "score")
    problem = _Candidates(frame, k, items, keys)
    of_user = problem.sums(problem.user)
    rows = [(of_user, np.zeros(of_user.shape[0]), np.full(of_user.shape[0], float(k)))]
    for constraint in constraints:
        if hasattr(constraint, "rescored"):
            score = constraint.rescored(problem, score)
        else:
            rows.append(constraint.rows(problem))
    A = csr_array(vstack([row[0] for row in rows]))
    low, high = (np.concatenate([row[i] for row in rows]) for i in (1, 2))
    if fill is None:
        fill = not any(isinstance(c, Budget) for c in constraints)
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
        users = pd.unique(frame[keys[0]].iloc[part]).tolist()
        chosen[part] = _solve(value, own[mine], low[mine], high[mine], users, gap)
    out, user = frame[chosen], problem.user[chosen]
    order = np.lexsort((-score[chosen], user))
    out, user = out.iloc[order].reset_index(drop=True), pd.Series(user[order])
    out["rank"] = user.groupby(user).cumcount() + 1
    return out


def _pandas(frame, name):
    if hasattr(frame, "to_pandas"):
        return frame.to_pandas()
    if isinstance(frame, pd.DataFrame) or (frame is None and name == "items"):
        return frame
    raise TypeError(
        f"{name} is of type {type(frame).__name__}: a frame with named columns is "
        "needed."
    )


def _checked(constraints):
    if not isinstance(constraints, Iterable):
        raise TypeError(f"constraints is {constraints!r}: a list of them is needed.")
    constraints = list(constraints)
    for constraint in constraints:
        if not hasattr(constraint, "rows") and not hasattr(constraint, "rescored"):
            raise TypeError(
                f"constraints holds {constraint!r}, which has no method rows or "
                "rescored: a PopularityCap, a CategoryQuota, a Budget or an MMR."
            )
    return constraints


def _columns_of_ids(frame, user, item):
    """The columns of users and items: as named, "user" and "item", or the first two."""
    keys = []
    for place, (role, named) in enumerate((("user", user), ("item", item))):
        first = list(frame.columns[place : place + 1])
        unnamed = role in frame.columns or first in ([], ["rank"], ["score"])
        keys.append(named or (role if unnamed else first[0]))
    if keys[0] == keys[1]:
        raise ValueError(
            f"Which columns of the candidates, {list(frame.columns)}, hold the users "
            "and the items? Name them, user=… and item=…."
        )
    return keys


def _check(frame, k, items, keys):
    lacking = [c for c in (*keys, "score") if c not in frame.columns]
    if lacking:
        raise ValueError(
            f"candidates lack the columns {lacking}: pass what recommend returns."
        )
    if items is not None and keys[1] not in items.columns:
        raise ValueError(
            f"items lack the column {keys[1]!r}; they have {list(items.columns)}."
        )
    k = whole_number(k, "k")
    if "propensity" in frame.columns:
        raise ValueError(
            "These lists were drawn at random, and choosing among them would make "
            "their propensities wrong: recommend without explore=, then rerank."
        )
    for name in keys:
        if len(frame):
            labels(frame[name], f"the column {name!r} of candidates")
    twice = frame.duplicated(keys)
    if twice.any():
        pair = frame.loc[twice, keys].iloc[0].tolist()
        raise ValueError(f"The pair {pair} is there twice.")
    return k
