"""What every metric asks of its arrays before it computes anything."""

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d


def column(values, name, n=None, *, allow_nan=False):
    """One finite float a row.

    Raises
    ------
    ValueError
        If there are not `n` of them, or one is NaN or infinite.
    """
    values = column_or_1d(np.asarray(values, dtype=np.float64))
    if n is not None and len(values) != n:
        raise ValueError(f"{name} has {len(values)} values, and there are {n} rows.")
    if len(values) == 0:
        raise ValueError(f"{name} is empty: there is nothing to average over.")
    wrong = ~np.isfinite(values)
    if allow_nan:
        wrong &= ~np.isnan(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name} is {values[row]} in row {row}: numbers are needed.")
    return values


def probability(values, name, n, *, default=None):
    """One probability in (0, 1] a row; `default` where none are given."""
    if values is None:
        return default
    values = column(values, name, n)
    wrong = (values <= 0) | (values > 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{name} is {values[row]} in row {row}: a probability above 0 and at most "
            "1 is needed, that of what happened in the row."
        )
    return values


def two_arms(treatment, n):
    """True where the row had the second of the two arms.

    Raises
    ------
    ValueError
        If treatment is None, or doesn't take exactly two values.
    """
    if treatment is None:
        raise ValueError(
            "treatment is missing: without the arm of every row an effect can't be "
            "judged. Pass treatment=."
        )
    treatment = np.asarray(treatment)
    if treatment.ndim == 2 and treatment.shape[1] == 1:
        treatment = treatment[:, 0]
    if treatment.ndim != 1 or len(treatment) != n:
        raise ValueError(
            f"treatment has the shape {treatment.shape}, and there are {n} rows."
        )
    if pd.isna(treatment).any():
        row = int(pd.isna(treatment).argmax())
        raise ValueError(f"treatment is missing in row {row}: drop the row.")
    arms = pd.unique(treatment)
    if len(arms) != 2:
        raise ValueError(
            f"treatment takes the values {sorted(arms.tolist())[:5]}: two arms are "
            "compared. Select the rows of two arms."
        )
    return treatment == max(arms)


def exposure(shown, propensity):
    """Probability of the second arm, from that of the arm taken (None: its share).

    Raises
    ------
    ValueError
        If the arm taken was certain.
    """
    n = len(shown)
    if propensity is None:
        return np.full(n, shown.mean())
    taken = probability(propensity, "propensity", n)
    if (taken == 1).any():
        row = int((taken == 1).argmax())
        raise ValueError(
            f"propensity is 1 in row {row}: the other arm was impossible there, and "
            "its effect can't be judged. Leave such rows out."
        )
    return np.where(shown, taken, 1 - taken)


def choice(value, name, known):
    if value not in known:
        raise ValueError(f"{name} is {value!r}: choose one of {sorted(known)}.")
    return value
