"""How large an effect can be that is not identified: linear programs over types.

Functionals of the effect are arrays of coefficients, one for each value of treatment
and outcome: the sum of ``coefficients[x, y] * P(y | do(x))`` is what is bounded.
"""

from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from sklearn_causalrec.causal.graphs.bitsets import closure, components, members
from sklearn_causalrec.causal.identification.districts import blankets_of
from sklearn_causalrec.causal.identification.evaluation import divide

MOST_TYPES = 100_000
_MOST_COLUMNS = 50_000  # of programs that are solved at once
_PRICE = 100.0  # of slack, in units of the largest coefficient of the objective
_TOLERANCE = 1e-6  # of sums of probabilities


class ContradictionError(ValueError):
    """No model of the graph has the distribution of the table."""


class ExactProgram:
    """An effect that is identified: both bounds are its value.

    Parameters
    ----------
    estimand : Estimand
        P(outcome | do(treatment)).
    joint : JointTable
        The distribution, of all causes of the outcome.
    """

    sharp = True

    def __init__(self, estimand, joint):
        self.estimand, self.levels, self.names = estimand, joint.levels, joint.variables

    def limits(self, tables, coefficients, n_rows=None):
        """The value of the functional under each distribution, twice."""
        index = pd.MultiIndex.from_product(self.levels, names=self.names)
        (x,), (y,) = self.estimand.treatment, self.estimand.outcome
        levels = dict(zip(self.names, self.levels))
        found = np.zeros((len(tables), 2))
        for k, p in enumerate(tables):
            table = pd.Series(p.ravel(), index=index)
            for row, value in zip(coefficients, levels[x]):
                if row.any():
                    chances = self.estimand.evaluate(table, {x: value})
                    found[k] += chances.reindex(levels[y]).to_numpy() @ row
        return found


class TypeProgram:
    r"""Bounds by a linear program over response types [1]_ [2]_.

    The treatment lies in a district D: nodes that latent causes join. What they do to
    D is a distribution over types, each of which says what every node of D does at
    every value of its parents. It is bound by the data through Q[D] = P(D | do(parents
    of D)), which is linear in it. So is the effect,

    .. math:: P(y \mid do(x)) = \sum \prod_{D' \ne D} Q[D'] \; Q[D \setminus x],

    in which all other districts are known. Where a parent outside D acts on all nodes
    of D, each of its values has a program of its own.

    Parameters
    ----------
    graph : CausalGraph
        The graph on the causes of the outcome.
    y, x : int
        The numbers of outcome and treatment.
    sizes : sequence of int
        The number of values of each node, in topological order.

    Attributes
    ----------
    sharp : bool
        Whether no bounds could be narrower: where a latent cause joins every two nodes
        of D. Elsewhere the bounds hold, and may be too wide.

    References
    ----------
    .. [1] Balke, A. and Pearl, J. (1997). "Bounds on treatment effects from studies
       with imperfect compliance." JASA 92.
    .. [2] Sachs, M., Jonzon, G., Sjölander, A. and Gabriel, E. (2023). "A general
       method for deriving tight symbolic bounds on causal effects." JCGS 32.
    """

    def __init__(self, graph, y, x, sizes):
        self.graph, self.y, self.x, self.sizes = graph, y, x, list(sizes)
        near = closure(graph.siblings_of, 1 << x, graph.everything)
        self.district = members(near)
        parents = {v: set(graph.parents_of[v]) for v in self.district}
        outside = set().union(*parents.values()) - set(self.district)
        self.strata = sorted(outside.intersection(*parents.values()))
        self.outside = sorted(outside.difference(self.strata))
        self.parents = {
            v: sorted(near.difference(self.strata)) for v, near in parents.items()
        }
        self.sharp = all(
            len({*graph.siblings_of[v]} & {*self.district}) == len(self.district) - 1
            for v in self.district
        )
        bases = [
            self.sizes[v]
            ** np.prod([self.sizes[p] for p in self.parents[v]], dtype=float)
            for v in self.district
        ]
        self.n_types = int(min(np.prod(bases), 1e18))
        if self.n_types > MOST_TYPES:
            what = ", ".join(map(str, graph.listed(near)))
            raise ValueError(
                f"the bounds take {np.prod(bases):.3g} response types of {what}, more "
                f"than {MOST_TYPES:,}: let these nodes and their parents have fewer "
                "values."
            )

    # -- types -------------------------------------------------------------------------

    def _configurations(self):
        """Values of the parents outside that are no strata: a list of dicts."""
        ranges = [range(self.sizes[v]) for v in self.outside]
        return [dict(zip(self.outside, values)) for values in product(*ranges)]

    def _cells(self, given, x=None):
        """What every type makes of D: the place of its values among all of D's."""
        codes, stride, value = np.arange(self.n_types), 1, dict(given)
        cell = np.zeros(self.n_types, int)
        for v in self.district:
            size, at = self.sizes[v], np.zeros(self.n_types, int)
            base = size ** int(np.prod([self.sizes[p] for p in self.parents[v]]))
            for p in self.parents[v]:
                at = at * self.sizes[p] + value[p]
            own = codes // stride % base
            value[v] = own // size**at % size
            stride *= base
            if v == self.x and x is not None:
                value[v] = np.full(self.n_types, x)
            cell = cell * size + value[v]
        return cell

    @cached_property
    def _observed(self):
        """A row for each configuration and value of D, a column a type: 0 and 1."""
        from scipy.sparse import coo_matrix

        n_cells = int(np.prod([self.sizes[v] for v in self.district]))
        rows = [
            k * n_cells + self._cells(given)
            for k, given in enumerate(self._configurations())
        ]
        columns = np.tile(np.arange(self.n_types), len(rows))
        shape = (len(rows) * n_cells, self.n_types)
        rows = np.concatenate(rows)
        return coo_matrix((np.ones(len(rows)), (rows, columns)), shape).tocsr()

    @cached_property
    def _interventional(self):
        """For every value of x and configuration, the cell of each type under do(x)."""
        return [
            [self._cells(given, x) for given in self._configurations()]
            for x in range(self.sizes[self.x])
        ]

    # -- what the data say -------------------------------------------------------------

    def _data(self, p):
        """Q[D], and the weight of the values of all other nodes.

        Returns
        -------
        q : ndarray of shape (n_strata, n_configurations, n_cells)
        weight : ndarray of shape (n_strata, n_configurations, n_cells, 1 or n_outcomes)
            With an axis of the outcome where that is no node of D.
        share : ndarray of shape (n_strata, n_configurations)
            The probability of each configuration.
        """
        near, far = [], []
        for part in components(self.graph.siblings_of, self.graph.everything):
            found = near if self.x in part else far
            found += blankets_of(self.graph, part)
        groups = [self.strata, self.outside, self.district]
        last = [] if self.y in self.district else [self.y]
        return (
            self._grouped(_product(p, near), groups, mean=True),
            self._grouped(_product(p, far), [*groups, last]),
            self._grouped(p, groups[:2]),
        )

    def _grouped(self, array, groups, mean=False):
        """Sum over the nodes that are in no group; then one axis a group.

        With ``mean`` the array does not depend on them.
        """
        kept = sorted(k for group in groups for k in group)
        out = tuple(k for k in range(array.ndim) if k not in kept)
        if mean:
            array = array.reshape([n for k, n in enumerate(array.shape) if k in kept])
            array = np.broadcast_to(array, [self.sizes[k] for k in kept])
        else:
            array = np.broadcast_to(array, self.sizes).sum(axis=out)
        order = [kept.index(k) for group in groups for k in group]
        shape = [int(np.prod([self.sizes[k] for k in group])) for group in groups]
        return array.transpose(order).reshape(shape)

    def _objective(self, weight, coefficients):
        """The functional as a coefficient a type, for one stratum."""
        found = np.zeros(self.n_types)
        shape = [self.sizes[v] for v in self.district]
        for x, row in enumerate(coefficients):
            if not row.any():
                continue
            for k, cell in enumerate(self._interventional[x]):
                if self.y in self.district:
                    axis = self.district.index(self.y)
                    values = weight[k, :, 0] * row[np.indices(shape)[axis].ravel()]
                else:
                    values = weight[k] @ row
                found += values[cell]
        if np.isnan(found).any():
            raise ValueError(
                "the effect asks for a combination of values that has probability zero "
                "in the table (positivity): leave out values that never occur."
            )
        return found

    # -- bounds ------------------------------------------------------------------------

    def limits(self, tables, coefficients, n_rows=None):
        """The smallest and the largest value that the functional can have.

        Parameters
        ----------
        tables : sequence of ndarray
            Joint distributions, with an axis for each node.
        coefficients : ndarray of shape (n_treatments, n_outcomes)
            The functional.
        n_rows : float, default=None
            The number of rows that a distribution was counted in. Where no model has
            just this distribution, the nearest that one has is taken, if chance makes
            up for the distance. With None it is taken to be exact; with 0 any distance
            is.

        Returns
        -------
        ndarray of shape (n_tables, 2)
            The bounds under each distribution.

        Raises
        ------
        ContradictionError
            If no model of the graph has a distribution.
        ValueError
            If the effect asks for values that never occur.
        """
        problems = []
        for place, p in enumerate(tables):
            for q, weight, share in zip(*self._data(p)):
                objective = self._objective(weight, coefficients)
                if objective.any():
                    problems.append((place, objective, q, share))
        found = np.zeros((len(tables), 2))
        most = max(_MOST_COLUMNS // self.n_types, 1)
        for start in range(0, len(problems), most):
            some = problems[start : start + most]
            places = [place for place, *_ in some]
            for side, sign in enumerate((1, -1)):
                values = sign * self._solve(sign, some, n_rows)
                np.add.at(found[:, side], places, values)
        return found

    def _solve(self, sign, problems, n_rows):
        """The smallest values of several programs, solved as one.

        A program has slack at a price so high that it is used only where nothing is
        feasible otherwise.
        """
        from scipy.optimize import linprog
        from scipy.sparse import block_diag, identity, kron

        known = [~np.isnan(q).any(1) for _, _, q, _ in problems]
        if np.all(known):
            matrix = kron(identity(len(problems)), self._with_slack(known[0]), "csr")
        else:
            matrix = block_diag([self._with_slack(its) for its in known], "csr")
        costs, values = [], []
        for (_, objective, q, _), its in zip(problems, known):
            values.append(q[its].ravel())
            price = _PRICE * np.abs(objective).max()
            costs.append(np.r_[sign * objective, np.full(2 * len(values[-1]), price)])
        found = linprog(
            np.concatenate(costs), A_eq=matrix, b_eq=np.concatenate(values),
            method="highs",
        )  # fmt: skip
        if not found.success:
            raise RuntimeError(f"the linear program was not solved: {found.message}")
        solved = np.split(found.x, np.cumsum([len(cost) for cost in costs])[:-1])
        for x, its, (*_, share) in zip(solved, known, problems):
            self._check_distance(x[self.n_types :].sum(), share[its], n_rows)
        return np.array(
            [x[: self.n_types] @ c[: self.n_types] for x, c in zip(solved, costs)]
        )

    def _with_slack(self, known):
        """The rows of some configurations, and columns of slack up and down."""
        from scipy.sparse import hstack, identity

        matrix = self._observed
        matrix = matrix[np.repeat(known, matrix.shape[0] // len(known))]
        slack = identity(matrix.shape[0])
        return hstack([matrix, slack, -slack])

    def _check_distance(self, distance, share, n_rows):
        """Refuse a distribution that is too far from all that the graph can have."""
        allowed = _TOLERANCE
        if n_rows is not None:
            # The shares of m cells in n rows are further off than this in one of 1,000
            # samples at most (Weissman et al., 2003), and never by more than 2.
            cells = np.prod([self.sizes[v] for v in self.district])
            rows = np.maximum(n_rows * share, 1e-9)
            squares = 2 * (cells * np.log(2) + np.log(1000)) / rows
            allowed += np.minimum(np.sqrt(squares), 2).sum()
        if distance > allowed:
            names = ", ".join(map(str, self.graph.listed(_mask(self.district))))
            raise ContradictionError(
                f"the graph cannot have this distribution of {names}: it is at a "
                f"distance of {distance:.3g} from all that it can have, such as where "
                "an instrument acts on the outcome directly. See to the graph."
                + ("" if n_rows else " For a table of counted rows, pass n_rows=.")
            )


def _mask(nodes):
    return sum(1 << k for k in nodes)


def _marginal(p, keep):
    out = tuple(k for k in range(p.ndim) if k not in keep)
    return p.sum(axis=out, keepdims=True)


def _product(p, blankets):
    """The product of P(v | blanket); zero where a factor is, NaN if one is unknown."""
    q = np.ones([1] * p.ndim)
    for v, blanket in blankets:
        term = divide(_marginal(p, {v, *blanket}), _marginal(p, set(blanket)))
        q = np.where((q == 0) | (term == 0), 0.0, q * term)
    return q
