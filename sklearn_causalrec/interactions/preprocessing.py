"""make_preprocessor: a ColumnTransformer for a frame, proposed as code."""

import inspect
import re
from collections.abc import Sequence
from importlib import import_module
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import check_scalar

from sklearn_causalrec._utils.typing import Frame
from sklearn_causalrec.encoding.times import as_frame, check_columns
from sklearn_causalrec.interactions.features import (
    CalendarFeatures,
    DenseVectors,
    TextBag,
)

_ID_NAME = re.compile(r"(^|_)(id|uuid)$", re.IGNORECASE)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]|$)")
_TEXT_FROM = 3  # words, on average
_WIDTH = 88
_WHY = {
    "roles": "what the estimator reads by name, as it is",
    "numbers": "gaps at the median, with a column that says so",
    "categories": "unseen and rare values share a column, or none",
    "texts": "words of more weight the rarer they are",
    "dates": "hour, weekday and month as circles, weekend, days since the start",
    "vectors": "a column a dimension",
}


def column_kind(values, max_categories):
    """What a column holds.

    Parameters
    ----------
    values : Series
    max_categories : int

    Returns
    -------
    kind : {"numbers", "categories", "texts", "dates", "vectors", None}
        None: the column is better left out.
    why : str
        Where it is left out.
    """
    given = values.dropna()
    if given.empty:
        return None, "all of it is missing"
    first = given.iloc[0]
    if isinstance(first, (list, tuple, np.ndarray)):
        sizes = given.map(np.size)
        if sizes.nunique() > 1 or np.asarray(first).dtype.kind not in "fiub":
            return None, "sequences of differing lengths, or not of numbers"
        return "vectors", ""
    if len(given) == len(values) and given.nunique() == 1:
        return None, f"it is {given.tolist()[0]!r} in every row"
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        return "dates", ""
    if values.dtype.kind in "fiu":
        return "numbers", ""
    if values.dtype.kind == "b" or isinstance(values.dtype, pd.CategoricalDtype):
        return "categories", ""
    if hasattr(first, "tzinfo"):
        return "dates", ""
    if not given.map(lambda v: isinstance(v, str)).all():
        return "categories", ""
    if given.map(_ISO_DATE.match).notna().all():
        return "dates", ""
    n_unique = given.nunique()
    if n_unique > 20 and given.str.split().str.len().mean() >= _TEXT_FROM:
        return "texts", ""
    if n_unique > max(max_categories, len(given) / 2):
        return None, f"{n_unique} different values in {len(given)} rows: an id?"
    return "categories", ""


def _estimators(value):
    """An estimator and those inside it."""
    if isinstance(value, BaseEstimator):
        yield value
        for inner in value.get_params(deep=False).values():
            yield from _estimators(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _estimators(inner)


def _code(value):
    """The expression that makes an estimator, without its defaults."""
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
    """The outermost module that has the name, as users import it."""
    parts = module.split(".")
    for depth in range(2, len(parts)):
        outer = ".".join(parts[:depth])
        if hasattr(import_module(outer), name):
            return outer
    return module


def _imports(estimators):
    """Lines that import the classes, from the modules that make them public."""
    found = {("sklearn.compose", "ColumnTransformer")}
    for estimator in estimators:
        name = type(estimator).__name__
        module = _public_module(type(estimator).__module__, name)
        found.add((module, "make_pipeline" if _is_made_pipeline(estimator) else name))
    for module in sorted({module for module, _ in found}):
        names = sorted(name for other, name in found if other == module)
        yield f"from {module} import {', '.join(names)}"


class Preprocessor(ColumnTransformer):
    """A :class:`~sklearn.compose.ColumnTransformer` that shows itself as code.

    ``repr`` is the expression that makes it; ``print`` adds the imports, and why each
    column is where it is. It is what :func:`make_preprocessor` returns.
    """

    def _lines(self, comments):
        why = getattr(self, "_why", {})
        yield "ColumnTransformer("
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

    Columns with a role pass through unchanged. Of the others numbers are imputed and
    scaled, categories one-hot encoded, texts become tf-idf, dates calendar features,
    and vectors columns. What looks like an id, is constant or empty is left out; the
    printed code says so.

    Parameters
    ----------
    df : pandas or polars DataFrame
        Only looked at; ``fit`` the result.
    user, item, time, treatment, propensity : str, optional
        Columns with a role, named again in the estimator. A `time` of datetimes also
        gives calendar features.
    outcome : str or list of str, optional
        Columns that are no features: left out.
    max_categories : int, default=30
        Of a column; rarer ones are put together.
    max_words : int, default=100
        Of a text column.

    Returns
    -------
    Preprocessor
        Its output is a pandas frame whose column names are the input's where a column
        is not split.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import make_preprocessor
    >>> df = pd.DataFrame({"user": [1, 2, 3], "age": [30, None, 40],
    ...                    "country": ["DE", "DE", "DE"]})
    >>> print(make_preprocessor(df, user="user"))  # doctest: +ELLIPSIS
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    <BLANKLINE>
    preprocessor = ColumnTransformer(
        [
            # what the estimator reads by name, as it is
            ('roles', 'passthrough', ['user']),
            # gaps at the median, with a column that says so
            (
                'numbers',
                make_pipeline(SimpleImputer(...), StandardScaler()),
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
    columns["roles"] = named
    left_out = {}
    for name in df.columns:
        if name in outcomes:
            left_out[name] = "an outcome"
        elif name == time and column_kind(df[name], max_categories)[0] == "dates":
            columns["dates"].append(name)
        elif name in named:
            continue
        elif isinstance(name, str) and _ID_NAME.search(name):
            left_out[name] = "called an id; give it a role, or add it"
        else:
            kind, why = column_kind(df[name], max_categories)
            if kind is None:
                left_out[name] = why
            else:
                columns[kind].append(name)
    impute = SimpleImputer(strategy="median", add_indicator=True)
    transformers = {
        "roles": "passthrough",
        "numbers": make_pipeline(impute, StandardScaler()),
        "categories": OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=max_categories,
            sparse_output=False,
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
