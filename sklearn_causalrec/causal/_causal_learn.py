"""What everything that rests on causal-learn shares: its import and its data."""

from contextlib import contextmanager

import numpy as np
import pandas as pd

TESTS = ("fisherz", "kci", "chisq", "gsq")
DISCRETE_TESTS = ("chisq", "gsq")


@contextmanager
def needs_causal_learn():
    """Turn a missing causal-learn into a message that says how to get it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            "this needs causal-learn: pip install 'sklearn-causalrec[discovery]'."
        ) from error


def as_matrix(X, test="auto"):
    """Data as a float array, the names of its columns, and the test that suits it.

    Values of discrete tests are replaced by their codes.
    """
    if test not in ("auto", *TESTS):
        raise ValueError(f"test must be 'auto' or one of {TESTS}, got {test!r}.")
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if not isinstance(X, pd.DataFrame):
        array = np.asarray(X)
        if array.ndim != 2:
            raise ValueError(f"X must have rows and columns, got shape {array.shape}.")
        X = pd.DataFrame(array, columns=[f"x{k}" for k in range(array.shape[1])])
    if X.isna().to_numpy().any():
        bad = X.columns[X.isna().any()].tolist()
        raise ValueError(f"X has missing values in {bad}; fill or drop them first.")
    if test == "auto":
        test = "chisq" if (X.nunique() <= 10).all() else "fisherz"
    if test in DISCRETE_TESTS:
        X = X.apply(lambda column: pd.factorize(column, sort=True)[0])
    text = [c for c in X.columns if not pd.api.types.is_numeric_dtype(X[c])]
    if text:
        raise ValueError(f"the columns {text} are not numbers; encode them first.")
    constant = X.columns[X.nunique() < 2].tolist()
    if constant:
        raise ValueError(f"the columns {constant} do not vary; drop them first.")
    return X.to_numpy(dtype=float), [str(c) for c in X.columns], test
