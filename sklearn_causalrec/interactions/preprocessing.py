"""A ColumnTransformer for a frame, proposed as code."""

import inspect
import re
from collections.abc import Sequence
from importlib import import_module
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import check_scalar
from sklearn.utils.metadata_routing import MetadataRequest, MetadataRouter

from sklearn_causalrec._utils.typing import Frame
from sklearn_causalrec.encoding.frames import as_frame, check_columns
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.interactions.column_kinds import column_kind, gaps_tell
from sklearn_causalrec.interactions.columns import (
    CategoryColumns,
    NumberColumns,
)
from sklearn_causalrec.interactions.features import (
    CalendarFeatures,
    DenseVectors,
    TextBag,
)

_ID_NAME = re.compile(r"(^|_)(id|uuid)$", re.IGNORECASE)
_WIDTH = 88
_WHY = {
    "roles": "what the estimator reads by name, as it is",
    "numbers": "gaps at the median, with a column that says so",
    "categories": "unseen and rare values share a column, or none",
    "texts": "words of more weight the rarer they are",
    "dates": "hour, weekday and month as circles, weekend, days since the start",
    "vectors": "a column a dimension",
}


def _estimators(value):
    """Generate an estimator and those inside it."""
    if isinstance(value, BaseEstimator):
        yield value
        for inner in value.get_params(deep=False).values():
            yield from _estimators(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _estimators(inner)


def _code(value):
    """Return the expression that makes an estimator, without its defaults."""
    if not isinstance(value, BaseEstimator):
        return repr(value)
    if _is_made_pipeline(value):
        return f"make_pipeline({', '.join(_code(step) for _, step in value.steps)})"
    defaults = inspect.signature(type(value).__init__).parameters
    changed = [
        f"{name}={_code(given)}"
        for name, given in value.get_params(deep=False).items()
        if repr(given) != repr(defaults[name].default)
    ]
    return f"{type(value).__name__}({', '.join(changed)})"


def _is_made_pipeline(value):
    if not isinstance(value, Pipeline):
        return False
    made = make_pipeline(*(step for _, step in value.steps))
    return [n for n, _ in made.steps] == [n for n, _ in value.steps]


def _public_module(module, name):
    """Return the outermost module that has the name, as users import it."""
    parts = module.split(".")
    for depth in range(2, len(parts)):
        outer = ".".join(parts[:depth])
        if hasattr(import_module(outer), name):
            return outer
    return module


def _imports(estimators):
    """Generate the lines that import the classes from their public modules."""
    found = {("sklearn_causalrec.interactions", "Preprocessor")}
    for estimator in estimators:
        name = type(estimator).__name__
        module = _public_module(type(estimator).__module__, name)
        found.add((module, "make_pipeline" if _is_made_pipeline(estimator) else name))
    for module in sorted({module for module, _ in found}):
        names = sorted(name for other, name in found if other == module)
        yield f"from {module} import {', '.join(names)}"


class Preprocessor(ColumnTransformer):
    """A :class:`~sklearn.compose.ColumnTransformer` that shows itself as code.

    ``repr`` is the expression that makes it. ``print`` adds the imports and the reason
    why each column is where it is.
    :func:`~sklearn_causalrec.interactions.make_preprocessor` returns it.

    It reads the columns that its parts name and no others, unless `remainder` asks for
    them. Frames need not have the others, so lists for new users and items need frames
    of the columns that are read.

    Parameters
    ----------
    transformers : list of tuple
        The parts, each a tuple ``(name, transformer, columns)``.
    remainder : {"drop", "passthrough"} or estimator, default="drop"
        What happens to the columns that no part names.
    sparse_threshold : float, default=0.3
        The density below which sparse outputs are stacked into a sparse matrix.
    n_jobs : int, default=None
        The number of parts that are fitted in parallel. None means 1, unless a
        ``joblib.parallel_config`` context is active. -1 means all processors.
    transformer_weights : dict, default=None
        Factors by name that the outputs of the parts are multiplied with.
    verbose : bool, default=False
        Whether the time that each part takes is printed.
    verbose_feature_names_out : bool, str or callable, default=True
        Whether the names of output columns begin with the name of their part. A str or
        a callable states how the names are made.

    Attributes
    ----------
    transformers_ : list of tuple
        The fitted parts, each a tuple ``(name, transformer, columns)``.
    named_transformers_ : Bunch
        The fitted transformers by name.
    output_indices_ : dict of str to slice
        The output columns of each part.
    n_features_in_ : int
        The number of columns that are read.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns that are read.

    See Also
    --------
    make_preprocessor : Propose such a preprocessor for a frame.
    sklearn.compose.ColumnTransformer : The base class, with all details.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_causalrec.interactions import Preprocessor
    >>> Preprocessor([("numbers", StandardScaler(), ["age"])])
    Preprocessor(
        [
            ('numbers', StandardScaler(), ['age']),
        ],
    )
    """

    def _inputs(self, X):
        """The columns that are read, where they are named and the rest is dropped."""
        named = []
        for _, transformer, columns in self.transformers:
            columns = [columns] if isinstance(columns, str) else columns
            if callable(columns) or isinstance(columns, slice):
                return X
            columns = list(columns)
            if not all(isinstance(column, str) for column in columns):
                return X
            if not (isinstance(transformer, str) and transformer == "drop"):
                named += columns
        if not isinstance(self.remainder, str) or self.remainder != "drop":
            return X
        if not hasattr(X, "columns"):
            return X
        wanted = set(named)
        return X[[column for column in X.columns if column in wanted]]

    def get_metadata_routing(self) -> MetadataRouter:
        """Return who gets which metadata, where metadata routing is on.

        A part that has not said whether it wants ``sample_weight`` does not: weights
        are for the estimator that follows.

        Returns
        -------
        MetadataRouter
            The requests of all parts.
        """
        asked = clone(self)
        for part in asked.get_params().values():
            if not hasattr(part, "set_fit_request"):
                continue
            request = part.get_metadata_routing()
            if isinstance(request, MetadataRequest):
                if request.fit.requests.get("sample_weight", False) is None:
                    part.set_fit_request(sample_weight=False)
        return super(Preprocessor, asked).get_metadata_routing()

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, **params: Any) -> Self:
        """Fit all parts to the columns that they name.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The frame. It needs the columns that the parts name; others are ignored.
        y : array-like of shape (n,), default=None
            The outcome. Parts that learn from it get it.
        **params : dict
            Metadata for the parts, where metadata routing is on.

        Returns
        -------
        Preprocessor
            The fitted preprocessor itself.
        """
        return super().fit(self._inputs(X), y, **params)

    def fit_transform(
        self, X: ArrayLike, y: ArrayLike | None = None, **params: Any
    ) -> pd.DataFrame | np.ndarray:
        """Fit all parts to the columns that they name, and transform these.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The frame. It needs the columns that the parts name; others are ignored.
        y : array-like of shape (n,), default=None
            The outcome. Parts that learn from it get it.
        **params : dict
            Metadata for the parts, where metadata routing is on.

        Returns
        -------
        DataFrame of shape (n, n_columns)
            The outputs of all parts, side by side. It is an array unless ``set_output``
            asks for a frame.
        """
        return super().fit_transform(self._inputs(X), y, **params)

    def transform(self, X: ArrayLike, **params: Any) -> pd.DataFrame | np.ndarray:
        """Transform the columns that the parts name.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The frame. It needs the columns that the parts name; others are ignored.
        **params : dict
            Metadata for the parts, where metadata routing is on.

        Returns
        -------
        DataFrame of shape (n, n_columns)
            The outputs of all parts, side by side. It is an array unless ``set_output``
            asks for a frame.

        Raises
        ------
        ValueError
            If a column is missing, or a part refuses its values.
        """
        return super().transform(self._inputs(X), **params)

    def _lines(self, comments):
        why = getattr(self, "_why", {})
        yield "Preprocessor("
        yield "    ["
        for name, transformer, columns in self.transformers:
            if comments and name in why:
                yield f"        # {why[name]}"
            if not isinstance(columns, (str, slice)) and np.iterable(columns):
                columns = list(columns)
            parts = [repr(name), _code(transformer), repr(columns)]
            line = f"        ({', '.join(parts)}),"
            if len(line) <= _WIDTH:
                yield line
            else:
                yield "        ("
                yield from (f"            {part}," for part in parts)
                yield "        ),"
        yield "    ],"
        if self.remainder != "drop":
            yield f"    remainder={self.remainder!r},"
        if not self.verbose_feature_names_out:
            yield "    verbose_feature_names_out=False,"
        output = getattr(self, "_sklearn_output_config", {}).get("transform")
        yield f').set_output(transform="{output}")' if output else ")"

    def __repr__(self, N_CHAR_MAX=None):
        return "\n".join(self._lines(comments=False))

    def __str__(self):
        estimators = _estimators([part for _, part, _ in self.transformers])
        lines = [*_imports(estimators), ""]
        code = list(self._lines(comments=True))
        lines += [f"preprocessor = {code[0]}", *code[1:]]
        for column, reason in getattr(self, "_left_out", {}).items():
            lines.append(f"# left out: {column!r} ({reason})")
        return "\n".join(lines)


def make_preprocessor(
    df: Frame,
    *,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    treatment: str | None = None,
    propensity: str | None = None,
    outcome: str | Sequence[str] | None = None,
    max_categories: int = 30,
    max_words: int = 100,
) -> Preprocessor:
    """Propose a ColumnTransformer for a frame, to be printed, edited and fitted.

    Columns with a role pass through unchanged. The other columns are treated by what
    they contain. Numbers are imputed and scaled. Categories are one-hot encoded. Texts
    become tf-idf weights. Dates become calendar features. Vectors become columns of
    numbers. Columns that look like ids, are constant or empty, can be meant in two
    ways, or are missing in one arm of the treatment only are left out, and the printed
    code says so.

    Parameters
    ----------
    df : pandas or polars DataFrame
        The frame. It is only looked at: call ``fit`` of the result.
    user : str, default=None
        The column of user ids. Name it again in the estimator, as the other roles.
    item : str, default=None
        The column of item ids.
    time : str, default=None
        The column of times. If it contains datetimes, it passes through and also gives
        calendar features.
    treatment : str, default=None
        The column of the treatment.
    propensity : str, default=None
        The column of the propensity.
    outcome : str or list of str, default=None
        The columns that are not features, such as the outcome. They are left out.
    max_categories : int, default=30
        The largest number of categories per column. Rarer ones are put together. A text
        column with more distinct values than this, and more than half its rows, looks
        like an id.
    max_words : int, default=100
        The largest number of words per text column.

    Returns
    -------
    Preprocessor
        A transformer whose output is a pandas frame. A column that is not split keeps
        its name.

    Raises
    ------
    TypeError
        If `df` is not a frame with named columns.
    ValueError
        If `df` is empty, a column is unknown, or two roles name the same column.

    See Also
    --------
    Preprocessor : The class of the result.
    build_examples : Make the frame from a log.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import make_preprocessor
    >>> df = pd.DataFrame({"user": [1, 2, 3], "age": [30, None, 40],
    ...                    "country": ["DE", "DE", "DE"]})
    >>> print(make_preprocessor(df, user="user"))  # doctest: +ELLIPSIS
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn_causalrec.interactions import NumberColumns, Preprocessor
    <BLANKLINE>
    preprocessor = Preprocessor(
        [
            # what the estimator reads by name, as it is
            ('roles', 'passthrough', ['user']),
            # gaps at the median, with a column that says so
            (
                'numbers',
                make_pipeline(NumberColumns(), SimpleImputer(...), StandardScaler()),
                ['age'],
            ),
        ],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    # left out: 'country' (it is 'DE' in every row)
    """
    check_scalar(max_categories, "max_categories", Integral, min_val=2)
    check_scalar(max_words, "max_words", Integral, min_val=1)
    df = as_frame(df, "df")
    roles = dict(
        user=user, item=item, time=time, treatment=treatment, propensity=propensity
    )
    check_columns(df, **roles, outcome=outcome)
    if len(df) == 0:
        raise ValueError("df is empty: there is nothing to look at.")
    outcomes = outcome if isinstance(outcome, (list, tuple)) else [outcome]
    named = [name for name in roles.values() if name is not None]
    if len(set(named)) < len(named):
        raise ValueError(f"Two roles name the same column: {roles}.")
    if clash := set(named) & set(outcomes):
        raise ValueError(f"{clash.pop()!r} is named as an outcome and as a role.")

    columns = {kind: [] for kind in _WHY}
    made = set(df.attrs.get("made", ())) - set(named)
    columns["roles"] = named
    left_out = {}
    for name in df.columns:
        if name in outcomes:
            left_out[name] = "an outcome"
        elif name in made:
            left_out[name] = "made by build_examples; it is no feature"
        elif name == time and column_kind(df[name], max_categories)[0] == "dates":
            columns["dates"].append(name)
        elif name in named:
            continue
        elif isinstance(name, str) and _ID_NAME.search(name):
            left_out[name] = "called an id; give it a role, or add it"
        elif (arm := gaps_tell(df, name, treatment)) is not None:
            left_out[name] = (
                f"missing only where {treatment} is {shown(arm)}: it would tell the "
                "treatment"
            )
        else:
            kind, why = column_kind(df[name], max_categories)
            if kind is None:
                left_out[name] = why
            else:
                columns[kind].append(name)
    impute = SimpleImputer(strategy="median", add_indicator=True)
    transformers = {
        "roles": "passthrough",
        "numbers": make_pipeline(NumberColumns(), impute, StandardScaler()),
        "categories": make_pipeline(
            CategoryColumns(),
            OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                max_categories=max_categories,
                sparse_output=False,
            ),
        ),
        "texts": TextBag(max_features=max_words),
        "dates": CalendarFeatures(),
        "vectors": DenseVectors(),
    }
    preprocessor = Preprocessor(
        [(kind, transformers[kind], names) for kind, names in columns.items() if names],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    preprocessor._why, preprocessor._left_out = _WHY, left_out
    return preprocessor
