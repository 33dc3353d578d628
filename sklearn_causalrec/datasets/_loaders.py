"""Loaders of the real data that comes with the package."""

from importlib import resources
from numbers import Integral
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

_DATA = resources.files(__package__) / "data"
_ACIC_SOURCE = (
    "https://github.com/BiomedSciAI/causallib/tree/master/causallib/datasets/data/"
    "acic_challenge_2016"
)


def _read_csv(path):
    with path.open("rb") as file:
        return pd.read_csv(
            file, compression="gzip" if path.name.endswith(".gz") else None
        )


def load_kuairec_slice(*, as_frame: bool = True) -> Bunch:
    """Load watch ratios of short videos that were shown at random.

    This is a slice of KuaiRec [1]_: 700 users, each with 83 of 2,391 videos. The videos
    were drawn uniformly at random, so no pair was selected. One can therefore simulate
    exposure by a known mechanism, train a model on the exposed rows, and judge it on
    all rows.

    The data are licensed under CC BY-SA 4.0, which covers derived data files too.

    Parameters
    ----------
    as_frame : bool, default=True
        Whether `data` and `target` are pandas objects. With False, they are numpy
        arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        A dictionary-like object with the following attributes.

        data : DataFrame or ndarray of shape (58100, 2)
            The columns `user_id` and `item_id`, which are integers.
        target : Series or ndarray of shape (58100,)
            The watch ratio: the seconds watched divided by the duration of the video.
            It ranges from 0 to 144. It is at least 1 ("watched to the end") in 33.8 %
            of the rows.
        frame : DataFrame of shape (58100, 3) or None
            The columns of `data` and `target` side by side. It is None with
            ``as_frame=False``.
        feature_names : list of str
            The names of the columns of `data`.
        target_names : list of str
            The name of the target.
        DESCR : str
            The description of the data, with attribution and licence.
        filename : str
            The name of the file inside the package.

    See Also
    --------
    load_acic2016 : Load real covariates with a simulated treatment and outcome.
    make_exposure_log : Simulate a log of exposures with known effects.

    References
    ----------
    .. [1] Gao, C., Li, S., Lei, W., Chen, J., Li, B., Jiang, P., He, X., Mao, J. and
       Chua, T.-S. (2022). "KuaiRec: A fully-observed dataset and insights for
       evaluating recommender systems." CIKM, pages 540-550.

    Examples
    --------
    >>> from sklearn_causalrec.datasets import load_kuairec_slice
    >>> kuairec = load_kuairec_slice()
    >>> kuairec.data.head(2)
       user_id  item_id
    0       19     7113
    1       19     3105
    >>> print(f"{(kuairec.target >= 1).mean():.3f}")
    0.338
    """
    filename = "kuairec_slice.csv.gz"
    frame = _read_csv(_DATA / filename)
    data, target = frame[["user_id", "item_id"]], frame["watch_ratio"]
    return Bunch(
        data=data if as_frame else data.to_numpy(),
        target=target if as_frame else target.to_numpy(),
        frame=frame if as_frame else None,
        feature_names=list(data.columns),
        target_names=[target.name],
        DESCR=(_DATA / "kuairec_slice.rst").read_text(encoding="utf-8"),
        filename=filename,
    )


def _acic2016_outcomes(i, data_home):
    if not isinstance(i, Integral) or isinstance(i, bool) or i < 1:
        raise ValueError(f"i must be a positive integer, got {i!r}.")
    name = f"zymu_{i}.csv"
    if i == 1:
        return _DATA / f"acic2016_{name}.gz"
    missing = ""
    if data_home is not None:
        folder = Path(data_home).expanduser()
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
        missing = f", and neither {name} nor {name}.gz is in {str(folder)!r}"
    raise FileNotFoundError(
        f"load_acic2016(i={i}): only file 1 comes with the package{missing}. Download "
        f"{name} from {_ACIC_SOURCE} and pass its folder as data_home."
    )


def load_acic2016(
    i: int = 1, *, data_home: str | PathLike | None = None, as_frame: bool = True
) -> Bunch:
    """Load one file of the causal inference challenge ACIC 2016.

    The 4,802 rows have 58 real covariates. Treatment and outcome are simulated [1]_, so
    the effect of every row is known. File 1 comes with the package. The covariates are
    the same for all files.

    The data are licensed under the Community Data License Agreement - Sharing 1.0.

    Parameters
    ----------
    i : int, default=1
        The number of the file. Files other than 1 are read from `data_home`.
    data_home : path-like, default=None
        The folder with the files ``zymu_<i>.csv`` (or ``.csv.gz``) of the package
        causallib. It is needed for `i` above 1.
    as_frame : bool, default=True
        Whether the data are pandas objects. With False, they are numpy arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        A dictionary-like object with the following attributes.

        data : DataFrame or ndarray of shape (4802, 82)
            The covariates, all numeric. The three columns of letters (`x_2`, `x_21` and
            `x_24`) are one-hot encoded in place, with one column per letter. The
            letters themselves are in `frame`.
        target : Series or ndarray of shape (4802,)
            The observed outcome: `y1` in treated rows, `y0` in the others.
        treatment : Series or ndarray of shape (4802,)
            The treatment, 0 or 1.
        mu0, mu1 : Series or ndarray of shape (4802,)
            The expected outcome without and with treatment.
        effect : Series or ndarray of shape (4802,)
            The effect ``mu1 - mu0``, in units of the outcome.
        frame : DataFrame of shape (4802, 64) or None
            The covariates as published, then `z`, `y0`, `y1`, `mu0`, `mu1` and the
            observed outcome `y`. It is None with ``as_frame=False``.
        feature_names : list of str
            The names of the columns of `data`.
        target_names : list of str
            The name of the target.
        DESCR : str
            The description of the data, with attribution and licence.
        filename : str
            The name of the file of outcomes.

    Raises
    ------
    FileNotFoundError
        If `i` is not 1 and the file is not in `data_home`.
    ValueError
        If `i` is not a positive integer, or the file is not a file of the challenge.

    See Also
    --------
    load_kuairec_slice : Load real outcomes of videos that were shown at random.
    make_exposure_log : Simulate a log of exposures with known effects.

    References
    ----------
    .. [1] Dorie, V., Hill, J., Shalit, U., Scott, M. and Cervone, D. (2019). "Automated
       versus do-it-yourself methods for causal inference: lessons learned from a data
       analysis competition." Statistical Science 34(1).

    Examples
    --------
    >>> from sklearn_causalrec.datasets import load_acic2016
    >>> acic = load_acic2016()
    >>> acic.data.shape
    (4802, 82)
    >>> print(f"{acic.effect.mean():.2f}")
    2.13
    """
    path = _acic2016_outcomes(i, data_home)
    covariates = _read_csv(_DATA / "acic2016_x.csv.gz")
    outcomes = _read_csv(path)
    if list(outcomes.columns) != ["z", "y0", "y1", "mu0", "mu1"] or len(
        outcomes
    ) != len(covariates):
        raise ValueError(
            f"{path} is not a file of the challenge: expected {len(covariates)} rows "
            f"of z, y0, y1, mu0, mu1, got {len(outcomes)} rows of "
            f"{', '.join(map(str, outcomes.columns))}."
        )
    frame = pd.concat([covariates, outcomes], axis=1)
    frame["y"] = np.where(frame["z"] == 1, frame["y1"], frame["y0"])
    data = pd.concat(
        [
            column
            if pd.api.types.is_numeric_dtype(column)
            else pd.get_dummies(column, prefix=name, dtype=float)
            for name, column in covariates.items()
        ],
        axis=1,
    ).astype(float)
    rows = {
        "data": data,
        "target": frame["y"],
        "treatment": frame["z"].rename("treatment"),
        "mu0": frame["mu0"],
        "mu1": frame["mu1"],
        "effect": (frame["mu1"] - frame["mu0"]).rename("effect"),
    }
    if not as_frame:
        rows = {name: values.to_numpy() for name, values in rows.items()}
    return Bunch(
        **rows,
        frame=frame if as_frame else None,
        feature_names=list(data.columns),
        target_names=["y"],
        DESCR=(_DATA / "acic2016.rst").read_text(encoding="utf-8"),
        filename=path.name,
    )
