"""Transformers of text, times and vectors that return dense columns with names."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.typing import Seed
from sklearn_causalrec.encoding.frames import as_frame
from sklearn_causalrec.encoding.times import as_times, has_zone

_CYCLES = {"hour": 24, "weekday": 7, "month": 12}
_PARTS = ("hour", "weekday", "month", "weekend", "elapsed")


class _ByColumn(TransformerMixin, BaseEstimator):
    """Base of transformers that fit something to each column of a frame.

    The names of the output columns begin with the name of the input column.
    """

    def _columns(self, X, *, reset):
        if isinstance(X, pd.Series):
            X = X.to_frame()
        frame = as_frame(X)
        names = [str(c) for c in frame.columns]
        if reset:
            if len(frame) == 0:
                raise ValueError("X is empty.")
            self.feature_names_in_ = np.array(names, dtype=object)
            self.n_features_in_ = len(names)
        elif names != list(self.feature_names_in_):
            raise ValueError(
                f"The columns were {list(self.feature_names_in_)} in fit and are "
                f"{names} here."
            )
        return [(name, frame.iloc[:, j]) for j, name in enumerate(names)]

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> np.ndarray:
        """Get the names of the output columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored. It exists because scikit-learn passes it.

        Returns
        -------
        ndarray of str
            The names, each of which begins with the name of its input column.
        """
        check_is_fitted(self, "feature_names_in_")
        return np.array(self._names_out, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags


def _texts(name, values):
    """Return a column as text, in which a missing value is an empty text."""
    missing = values.isna().to_numpy()
    texts = values.to_numpy(dtype=object)
    for row in np.flatnonzero(~missing):
        if not isinstance(texts[row], str):
            raise ValueError(
                f"The text column {name!r} holds {texts[row]!r} in row {row}."
            )
    return np.where(missing, "", texts)


class TextBag(_ByColumn):
    """Bags of words of text columns, as dense columns.

    It applies :class:`~sklearn.feature_extraction.text.TfidfVectorizer` to each column
    of a frame. It differs in three ways: it takes any number of columns, it reads a
    missing text as an empty one, and its output is dense. So
    ``set_output(transform="pandas")`` works.

    Parameters
    ----------
    vectorizer : transformer of texts, default=None
        The vectorizer that is cloned and fitted to each column. With None, it is
        ``TfidfVectorizer(max_features=max_features, sublinear_tf=True,
        strip_accents="unicode")``.
    max_features : int, default=200
        The largest number of words per column. The most frequent words are kept. It
        applies to the default vectorizer only.
    n_components : int, default=None
        The number of dimensions that each column's bag is reduced to by
        :class:`~sklearn.decomposition.TruncatedSVD`. A bag with no more words than that
        stays as it is. With None, no bag is reduced.
    random_state : int, RandomState instance or None, default=None
        The seed of the reduction. Pass an int for reproducible results.

    Attributes
    ----------
    vectorizers_ : dict of str to vectorizer
        The fitted vectorizer of each column.
    reducers_ : dict of str to TruncatedSVD
        The fitted reducer of each column that is reduced.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns seen during ``fit``.

    See Also
    --------
    TextEmbedding : Embed texts by a pretrained model.
    make_preprocessor : Propose a preprocessor with a transformer for every column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import TextBag
    >>> X = pd.DataFrame({"title": ["a golden story", None, "golden tools"]})
    >>> TextBag().set_output(transform="pandas").fit_transform(X).round(1)
       title_golden  title_story  title_tools
    0           0.6          0.8          0.0
    1           0.0          0.0          0.0
    2           0.6          0.0          0.8
    """

    def __init__(
        self,
        vectorizer: Any = None,
        *,
        max_features: int = 200,
        n_components: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.vectorizer = vectorizer
        self.max_features = max_features
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the words of each column.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The text columns. Missing values are allowed.
        y : None
            Ignored.

        Returns
        -------
        TextBag
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If a column has no word at all, or contains something other than text.
        """
        self.vectorizers_, self.reducers_, self._names_out = {}, {}, []
        for name, values in self._columns(X, reset=True):
            vectorizer = self.vectorizer
            if vectorizer is None:
                vectorizer = TfidfVectorizer(
                    max_features=self.max_features,
                    sublinear_tf=True,
                    strip_accents="unicode",
                )
            try:
                vectorizer = clone(vectorizer).fit(_texts(name, values))
            except ValueError as error:
                if "vocabulary" not in str(error) and "no terms" not in str(error):
                    raise
                raise ValueError(
                    f"The text column {name!r} holds no word: all of it is missing, "
                    "empty, or stop words. Leave it out."
                ) from None
            self.vectorizers_[name] = vectorizer
            words = vectorizer.get_feature_names_out()
            if self.n_components is not None and len(words) > self.n_components:
                reducer = TruncatedSVD(
                    self.n_components, random_state=self.random_state
                )
                bag = vectorizer.transform(_texts(name, values))
                self.reducers_[name] = reducer.fit(bag)
                words = range(self.n_components)
            self._names_out += [f"{name}_{word}" for word in words]
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Compute the bag of words of each text.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The text columns, the same as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_words)
            The weights of the words, or the reduced dimensions, column by column. It is
            a frame if ``set_output`` asks for one.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, or contain something other than
            text.
        """
        check_is_fitted(self, "vectorizers_")
        bags = []
        for name, values in self._columns(X, reset=False):
            bag = self.vectorizers_[name].transform(_texts(name, values))
            if name in self.reducers_:
                bag = self.reducers_[name].transform(bag)
            bags.append(bag.toarray() if sparse.issparse(bag) else np.asarray(bag))
        return np.hstack(bags)


class TextEmbedding(_ByColumn):
    """Embeddings of text columns by a sentence-transformers model.

    Parameters
    ----------
    model : str or object, default="all-MiniLM-L6-v2"
        The name or the folder of a model of the package sentence-transformers, which
        must then be installed. It can also be any object with a method
        ``encode(list of str)`` that returns an array with one row per text.

    Attributes
    ----------
    model_ : object
        The model that encodes the texts.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns seen during ``fit``.

    See Also
    --------
    TextBag : Bags of words, which need no pretrained model.
    DenseVectors : Columns that already contain embeddings.

    Notes
    -----
    Every distinct text is encoded once. A missing text is read as an empty one.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import TextEmbedding
    >>> class LengthModel:
    ...     def encode(self, texts):
    ...         return np.array([[len(text), text.count(" ")] for text in texts])
    >>> X = pd.DataFrame({"title": ["a golden story", None]})
    >>> TextEmbedding(LengthModel()).set_output(transform="pandas").fit_transform(X)
       title_0  title_1
    0       14        2
    1        0        0
    """

    def __init__(self, model: Any = "all-MiniLM-L6-v2") -> None:
        self.model = model

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Load the model, and learn the size of its vectors.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The text columns. Only their names are used.
        y : None
            Ignored.

        Returns
        -------
        TextEmbedding
            The fitted transformer itself.

        Raises
        ------
        ImportError
            If `model` is a str and sentence-transformers is not installed.
        """
        columns = self._columns(X, reset=True)
        self.model_ = self.model
        if isinstance(self.model, str):
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError:
                raise ImportError(
                    f"TextEmbedding({self.model!r}) needs the package "
                    "sentence-transformers: pip install sentence-transformers. Without "
                    "it, use TextBag, or pass an object with a method encode."
                ) from None
            self.model_ = SentenceTransformer(self.model)
        size = np.shape(self.model_.encode([""]))[1]
        self._names_out = [f"{name}_{j}" for name, _ in columns for j in range(size)]
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Encode the texts.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The text columns, the same as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_columns * size)
            The vectors of all columns, side by side. It is a frame if ``set_output``
            asks for one.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, or contain something other than
            text.
        """
        check_is_fitted(self, "model_")
        parts = []
        for name, values in self._columns(X, reset=False):
            codes, unique = pd.factorize(_texts(name, values))
            parts.append(np.asarray(self.model_.encode(list(unique)))[codes])
        return np.hstack(parts)


class CalendarFeatures(_ByColumn):
    """Hour, weekday, month, weekend and elapsed time of columns of datetimes.

    Parameters
    ----------
    parts : tuple of str, default=("hour", "weekday", "month", "weekend", "elapsed")
        The features to compute. "hour", "weekday" and "month" are positions on a
        circle; each gives two columns, a sine and a cosine. "weekend" is 1 on Saturdays
        and Sundays, else 0. "elapsed" is the time in days since the earliest time that
        ``fit`` saw.
    timezone : str, default=None
        The time zone in which hours and days are read, for instance "Europe/Berlin".
        Times with a zone are converted to it. Times without a zone are taken to be in
        it already. With None, it is UTC.

    Attributes
    ----------
    start_ : dict of str to Timestamp
        The earliest time of each column.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns seen during ``fit``.

    See Also
    --------
    PastAggregates : The time since the last event of a user or an item.
    make_preprocessor : Propose a preprocessor with a transformer for every column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import CalendarFeatures
    >>> X = pd.DataFrame({"time": pd.to_datetime(["2024-01-06T06", "2024-01-08T00"])})
    >>> calendar = CalendarFeatures(parts=("hour", "weekend"))
    >>> calendar.set_output(transform="pandas").fit_transform(X).round(1)
       time_hour_sin  time_hour_cos  time_weekend
    0            1.0            0.0           1.0
    1            0.0            1.0           0.0
    """

    def __init__(
        self, parts: Sequence[str] = _PARTS, *, timezone: str | None = None
    ) -> None:
        self.parts = parts
        self.timezone = timezone

    def _local(self, name, values):
        zoned = has_zone(values)
        times = as_times(values, name, timezone=None if zoned else self.timezone)
        if times.dtype.kind != "M":
            raise ValueError(
                f"The column {name!r} holds numbers, which have no calendar. Convert "
                'them first, for instance with pd.to_datetime(…, unit="s").'
            )
        if self.timezone is not None:
            times = times.dt.tz_localize("UTC").dt.tz_convert(self.timezone)
            times = times.dt.tz_localize(None)
        return times

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the earliest time of each column.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of datetimes, or of text in ISO 8601.
        y : None
            Ignored.

        Returns
        -------
        CalendarFeatures
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If a part is unknown, a time is missing, or a column contains numbers.
        """
        if unknown := [part for part in self.parts if part not in _PARTS]:
            raise ValueError(f"parts must be some of {_PARTS}, got {unknown[0]!r}.")
        self.start_, self._names_out = {}, []
        for name, values in self._columns(X, reset=True):
            self.start_[name] = self._local(name, values).min()
            for part in self.parts:
                ends = ("_sin", "_cos") if part in _CYCLES else ("",)
                self._names_out += [f"{name}_{part}{end}" for end in ends]
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the calendar features of each time.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of datetimes, the same as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_columns)
            The features of all columns, side by side. It is a frame if ``set_output``
            asks for one.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, or a time is missing.
        """
        check_is_fitted(self, "start_")
        columns = []
        for name, values in self._columns(X, reset=False):
            times = self._local(name, values)
            day = times.dt
            values = {
                "hour": day.hour + day.minute / 60 + day.second / 3600,
                "weekday": day.day_of_week,
                "month": day.month - 1 + (day.day - 1) / day.days_in_month,
            }
            for part in self.parts:
                if part in _CYCLES:
                    angle = 2 * np.pi * values[part].to_numpy() / _CYCLES[part]
                    columns += [np.sin(angle), np.cos(angle)]
                elif part == "weekend":
                    columns.append((day.day_of_week >= 5).to_numpy(float))
                else:
                    elapsed = times - self.start_[name]
                    columns.append((elapsed / pd.Timedelta("1D")).to_numpy())
        return np.column_stack(columns)


class DenseVectors(_ByColumn):
    """Split columns of vectors, such as image embeddings, into columns of numbers.

    A missing vector becomes zeros. The column ``<name>_missing`` is 1 in such a row,
    else 0.

    Attributes
    ----------
    sizes_ : dict of str to int
        The length of the vectors of each column.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        The names of the columns seen during ``fit``.

    See Also
    --------
    TextEmbedding : Embed texts by a pretrained model.
    make_preprocessor : Propose a preprocessor with a transformer for every column.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import DenseVectors
    >>> X = pd.DataFrame({"image": [[1.0, 2.0], None]})
    >>> DenseVectors().set_output(transform="pandas").fit_transform(X)
       image_0  image_1  image_missing
    0      1.0      2.0            0.0
    1      0.0      0.0            1.0
    """

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the length of the vectors of each column.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of vectors: each cell is a list, a tuple or an array, or
            missing.
        y : None
            Ignored.

        Returns
        -------
        DenseVectors
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If a column has no vector.
        """
        self.sizes_, self._names_out = {}, []
        for name, values in self._columns(X, reset=True):
            lengths = values.dropna().map(np.size)
            if lengths.empty:
                raise ValueError(f"The column {name!r} holds no vector: leave it out.")
            self.sizes_[name] = size = int(lengths.iloc[0])
            self._names_out += [f"{name}_{j}" for j in range(size)]
            self._names_out.append(f"{name}_missing")
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the vectors of all columns, side by side.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p), or Series of shape (n,)
            The columns of vectors, the same as in ``fit``.

        Returns
        -------
        ndarray of shape (n, n_columns)
            The numbers of each vector, followed by the column that says whether it is
            missing, as float64. It is a frame if ``set_output`` asks for one.

        Raises
        ------
        ValueError
            If a vector has another length than in ``fit``, or a number is not finite.
        """
        check_is_fitted(self, "sizes_")
        parts = []
        for name, values in self._columns(X, reset=False):
            missing = values.isna().to_numpy()
            out = np.zeros((len(values), self.sizes_[name] + 1))
            out[missing, -1] = 1.0
            given = values.to_numpy(dtype=object)
            for row in np.flatnonzero(~missing):
                try:
                    out[row, :-1] = np.ravel(given[row])
                    if np.size(given[row]) != self.sizes_[name]:
                        raise ValueError
                except (TypeError, ValueError):
                    raise ValueError(
                        f"The column {name!r} holds {given[row]!r} in row {row}, not a "
                        f"vector of {self.sizes_[name]} numbers."
                    ) from None
            if not np.isfinite(out).all():
                row = int(np.argwhere(~np.isfinite(out))[0, 0])
                raise ValueError(
                    f"The column {name!r} has a vector that is not finite in row {row}."
                )
            parts.append(out)
        return np.hstack(parts)
