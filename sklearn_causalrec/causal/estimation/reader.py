"""From X, y and treatment to the nodes of a graph, checked before any work."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from sklearn_causalrec.causal.graph import CausalGraph
from sklearn_causalrec.causal.graphs.bitsets import as_names
from sklearn_causalrec.causal.partial import PartialGraph
from sklearn_causalrec.encoding.arms import distinct_arms, read_treatment
from sklearn_causalrec.encoding.checks import as_outcome, is_copy, refuse_large
from sklearn_causalrec.encoding.cluster_columns import (
    cluster_names,
    clusters_of,
    given_clusters,
    is_auto,
    warn_of_ids,
)
from sklearn_causalrec.encoding.frames import native, refuse_unclear
from sklearn_causalrec.encoding.kinds import as_series, kind_of


def as_frame(estimator, X, reset, optional=(), gaps=False):
    """X as a DataFrame of finite values; columns of an array are x0, x1, ...

    ``optional`` are columns that new rows may lack. With ``gaps``, numbers and times
    may be missing.
    """
    refuse_unclear(X)
    if not hasattr(X, "columns"):
        finite = "allow-nan" if gaps else True
        X = validate_data(
            estimator, X, dtype=None, reset=reset, ensure_all_finite=finite
        )
        return pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])])
    if reset or all(name in X.columns for name in optional):
        validate_data(estimator, X, skip_check_array=True, reset=reset)
    else:
        optional = [name for name in optional if name not in X.columns]
        wanted = [c for c in estimator.feature_names_in_ if c not in optional]
        if lacking := [c for c in wanted if c not in X.columns]:
            raise ValueError(f"X lacks the columns {lacking} that fit saw.")
        X = X[wanted]
    if not len(X):
        raise ValueError("X has 0 sample(s): at least one row is needed.")
    if not isinstance(X, pd.DataFrame):
        X = pd.DataFrame({name: as_series(X[name], name) for name in X.columns})
    for name in X.columns:
        bad = X[name].isna().to_numpy()
        if gaps and kind_of(X[name], name) in ("number", "time"):
            bad = np.zeros(len(X), bool)
        if pd.api.types.is_float_dtype(X[name]):
            bad = bad | np.isinf(X[name].to_numpy(dtype=float, na_value=np.nan))
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"Input X contains NaN or infinity: column {name!r}, row {row}. "
                "Impute it, or drop the row; missing numbers also go to nuisance "
                "models that take them, such as HistGradientBoostingRegressor, with "
                "effect_model=None."
            )
        if pd.api.types.is_float_dtype(X[name]):
            values = X[name].to_numpy(dtype=float, na_value=np.nan)
            refuse_large(values, f"column {name!r}")
    return native(X).reset_index(drop=True)


def _columns_of(treatment):
    """Treatments passed beside X as a frame; an order of categories stays."""
    if hasattr(treatment, "columns"):
        columns = [treatment[name] for name in treatment.columns]
    elif np.ndim(treatment) == 1:
        columns = [treatment]
    else:
        columns = [column for _, column in pd.DataFrame(treatment).items()]
    return pd.DataFrame(
        {k: as_series(column, "treatment") for k, column in enumerate(columns)}
    )


def joint_arms(frame):
    """Levels of the treatments, joint where several, and the code of every row."""
    parts = [distinct_arms(read_treatment(frame[name])) for name in frame]
    stacked = np.column_stack([code for _, code in parts])
    levels, arm = np.unique(stacked, axis=0, return_inverse=True)
    arms = [
        tuple(values.tolist()[c] for (values, _), c in zip(parts, level))
        for level in levels
    ]
    return (arms if frame.shape[1] > 1 else [a[0] for a in arms]), arm.ravel()


class Reader:
    """Which column is which node: learned in ``fit``, applied to new rows.

    Parameters
    ----------
    graph : CausalGraph, PartialGraph or None
    treatment : name, list of names, or None
        Columns of X, or names for the treatment passed beside it.
    outcome : name or None
        None: the name of y, or the node that X lacks.
    cluster : name, list of names, "auto" or None
        The columns of ids by which rows belong together. They are no covariates,
        unless the graph has them as nodes.
    gaps : bool, default=False
        Whether numbers and times of covariates may be missing.

    Attributes
    ----------
    treatments : tuple of names
        Empty where there is none.
    outcome : name
    columns : tuple of names
        Columns of X that are not treatments.
    graph : CausalGraph or PartialGraph
        The one given; otherwise every column causes treatments and outcome.
    clusters : Clusters or None
        Which rows of ``fit`` belong together.
    """

    def __init__(self, graph, treatment, outcome, cluster=None, gaps=False):
        self.given = graph
        self.cluster = cluster
        self.treatments = () if treatment is None else tuple(as_names(treatment))
        self.outcome = outcome
        self.gaps = gaps

    def fit(self, estimator, X, y, treatment, cluster=None):
        """Names and arrays of a log.

        Returns
        -------
        frame : DataFrame
            Treatments and other columns.
        y : ndarray of shape (n,)
        """
        frame = as_frame(estimator, X, reset=True, gaps=self.gaps)
        frame = self._read_clusters(frame, cluster)
        name = getattr(y, "name", None)
        y = as_outcome(estimator, y, len(frame))
        if len(frame) < 2:
            raise ValueError(f"X has {len(frame)} sample(s): at least 2 are needed.")
        self.separate = False  # whether treatments came beside X
        if treatment is None:
            if lacking := [t for t in self.treatments if t not in frame]:
                raise ValueError(
                    f"the treatment {lacking[0]!r} is no column of X, whose columns "
                    f"are {list(frame.columns)[:12]}; name one, or pass treatment= to "
                    "fit."
                )
        else:
            frame = self._beside(frame, treatment)
        for role in self.treatments:
            if (missing := frame[role].isna().to_numpy()).any():
                raise ValueError(
                    f"Input X contains NaN: the treatment {role!r} is missing in row "
                    f"{int(missing.argmax())}. Drop rows without a treatment."
                )
        self.columns = tuple(c for c in frame if c not in self.treatments)
        if self.treatments:
            self._check_graph(frame, y, name)
        else:
            self.graph = None
            if self.given is not None:
                raise ValueError(
                    "a graph is given and no treatment: name the node whose effect is "
                    f"asked for, treatment=...; the nodes are {list(self.given.nodes)}."
                )
        if is_auto(self.cluster) and self.clusters is None:
            warn_of_ids({c: frame[c] for c in self.columns})
        return frame, y

    def _read_clusters(self, frame, given):
        """Take the ids by which rows belong together out of the frame."""
        names, self.clusters = cluster_names(self.cluster), None
        if lacking := [name for name in names if name not in frame]:
            raise ValueError(
                f"cluster={lacking[0]!r} is no column of X, whose columns are "
                f"{list(frame.columns)[:12]}; name one, or pass cluster= to fit."
            )
        if given is not None:
            if names:
                raise ValueError(
                    f"cluster came twice: as an argument and as the columns {names} of "
                    "X. Drop one."
                )
            self.clusters = given_clusters(given, len(frame))
        elif names:
            columns = {name: frame[name] for name in names}
            self.clusters = clusters_of(columns, len(frame))
        nodes = getattr(self.given, "nodes", ())
        self._ids = [name for name in names if name not in nodes]
        return frame.drop(columns=self._ids)

    def _beside(self, frame, treatment):
        values = _columns_of(treatment)
        own = getattr(treatment, "name", None)
        names = self.treatments or ("treatment" if own is None else own,)
        if values.shape[1] != len(names):
            raise ValueError(
                f"treatment has {values.shape[1]} columns; the treatments are "
                f"{list(names)}."
            )
        if len(values) != len(frame):
            raise ValueError(
                f"treatment has {len(values)} rows and X has {len(frame)}: pass one "
                "value a row."
            )
        if twice := [t for t in names if t in frame]:
            raise ValueError(
                f"treatment came twice: as an argument and as the column {twice[0]!r} "
                "of X. Drop one."
            )
        missing = values.isna().to_numpy().any(1)
        if missing.any():
            row = int(missing.argmax())
            raise ValueError(
                f"treatment is {values.iloc[row].tolist()} in row {row}: drop rows "
                "without a treatment."
            )
        self.treatments, self.separate = names, True
        values.columns = list(names)
        return pd.concat([values, frame], axis=1)

    def _outcome_name(self, frame, name):
        """The outcome's name; a column of X that bears it is the outcome itself."""
        if self.outcome is not None:
            name = self.outcome
        if name is None or name in self.treatments:
            # pandas names y = z + X["shown"] "shown"
            while name is None or name in frame:
                name = "y" if name is None else f"{name}_"
        elif name in frame:
            raise ValueError(
                f"the outcome {name!r} is also a column of X, and every column of X "
                "counts as a confounder: an effect adjusted for its own outcome is "
                f"zero. Drop it, X.drop(columns={name!r}); or, if y is another "
                'variable, give it another name, y.rename("y").'
            )
        return name

    def _refuse_copies(self, frame, y, name):
        """Columns that equal the outcome or a treatment are no confounders."""
        others = {f"the outcome {name!r}": pd.Series(y)}
        others |= {f"the treatment {t!r}": frame[t] for t in self.treatments}
        for what, values in others.items():
            for column in self.columns:
                if is_copy(frame[column].to_numpy(), values.to_numpy()):
                    raise ValueError(
                        f"column {column!r} of X equals {what} in every row, and every "
                        "column of X counts as a confounder. Drop it, "
                        f"X.drop(columns={column!r}); or pass a graph that says what "
                        "it is."
                    )

    def _check_graph(self, frame, y, name):
        if self.given is None:
            name = self._outcome_name(frame, name)
            self._refuse_copies(frame, y, name)
            self.outcome = name
            edges = [(t, name) for t in self.treatments]
            edges += [(c, e) for c in self.columns for e in (*self.treatments, name)]
            nodes = [*self.columns, *self.treatments, name]
            self.graph = CausalGraph.from_edges(edges, nodes=nodes)
            return
        if not isinstance(self.given, CausalGraph | PartialGraph):
            raise TypeError(
                f"graph is a {type(self.given).__name__}: pass a CausalGraph, for "
                "instance CausalGraph('z -> x -> y; z -> y'), or a PartialGraph."
            )
        self.graph = self.given
        nodes = [*self.graph.nodes]
        lacking = [v for v in nodes if v not in frame]
        if self.outcome is None:
            if name in nodes:
                self.outcome = name
            elif len(lacking) == 1:
                (self.outcome,) = lacking
            else:
                raise ValueError(
                    f"which node is y? Name it, outcome=...; y is called {name!r}, and "
                    f"the nodes that are no columns of X are {lacking}."
                )
        elif self.outcome not in nodes:
            raise ValueError(
                f"the outcome {self.outcome!r} is no node of the graph, whose nodes "
                f"are {nodes[:12]}."
            )
        if self.outcome in frame:
            raise ValueError(
                f"the outcome {self.outcome!r} is also a column of X: drop it there."
            )
        if lacking := [v for v in lacking if v != self.outcome]:
            latent = f"; or say that they are latent, graph.project({lacking})"
            if isinstance(self.graph, PartialGraph):
                latent = ""
            raise ValueError(
                f"the graph has the nodes {lacking}, which are no columns of X. Add "
                f"the columns{latent}."
            )
        if strange := [c for c in frame if c not in nodes]:
            raise ValueError(
                f"X has the columns {strange}, which are no nodes of the graph. Drop "
                "them, or add them to the graph with what they cause and what causes "
                "them."
            )

    def rows(self, estimator, X, treatment=None):
        """Frame of new rows: with the treatments where they are known."""
        optional = () if self.separate else self.treatments
        frame = as_frame(estimator, X, False, (*optional, *self._ids), self.gaps)
        frame = frame.drop(columns=[name for name in self._ids if name in frame])
        if treatment is not None and self.treatments:
            if np.ndim(treatment) == 0:
                treatment = np.repeat(np.asarray([treatment]), len(frame))
            values = _columns_of(treatment)
            frame = frame.drop(columns=[t for t in self.treatments if t in frame])
            if values.shape != (len(frame), len(self.treatments)):
                raise ValueError(
                    f"treatment has shape {values.shape}, and there are {len(frame)} "
                    f"rows and the treatments {list(self.treatments)}."
                )
            values.columns = list(self.treatments)
            frame = pd.concat([values, frame], axis=1)
        return frame
