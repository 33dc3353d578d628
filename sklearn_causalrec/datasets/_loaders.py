"""Real data that comes with the package."""

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


def load_kuairec_slice(*, as_frame=True):
    """Load watch ratios of short videos that were shown at random.

    A slice of KuaiRec [1]_: 700 users, each with 83 of 2,391 videos drawn uniformly at
    random. As nothing was selected, exposure can be simulated on top of it by a stated
    mechanism, and a model trained on the selected rows be judged on all of them.

    The data are licensed under CC BY-SA 4.0, which covers derived data files too.

    Parameters
    ----------
    as_frame : bool, default=True
        Whether `data` and `target` are pandas objects or numpy arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : DataFrame or ndarray of shape (58100, 2)
            Columns `user_id` and `item_id`, integers.
        target : Series or ndarray of shape (58100,)
            Watch ratio: seconds watched divided by the video's duration, from 0 to
            144. At least 1 ("watched to the end") in 33.8 % of the rows.
        frame : DataFrame of shape (58100, 3) or None
            `data` and `target` side by side; None with ``as_frame=False``.
        feature_names : list of str
            Names of the columns of `data`.
        target_names : list of str
            Name of the target.
        DESCR : str
            Description, attribution and licence.
        filename : str
            Name of the file inside the package.

    References
    ----------
    .. [1] C. Gao, S. Li, W. Lei, J. Chen, B. Li, P. Jiang, X. He, J. Mao, T.-S. Chua:
           KuaiRec: A Fully-observed Dataset and Insights for Evaluating Recommender
           Systems. CIKM 2022.

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
        if not isinstance(data_home, (str, PathLike)):
            raise TypeError(
                f"data_home must be the path of a folder, got {data_home!r}."
            )
        folder = Path(data_home).expanduser()
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
        missing = f", and neither {name} nor {name}.gz is in {str(folder)!r}"
    raise FileNotFoundError(
        f"load_acic2016(i={i}): only file 1 comes with the package{missing}. Download "
        f"{name} from {_ACIC_SOURCE} and pass its folder as data_home."
    )


def load_acic2016(i=1, *, data_home=None, as_frame=True):
    """Load one file of the causal inference challenge ACIC 2016.

    58 real covariates of 4,802 rows with a simulated treatment and outcome [1]_, so
    that the effect of every row is known. File 1 comes with the package; the covariates
    are the same for all files.

    The data are licensed under the Community Data License Agreement - Sharing 1.0.

    Parameters
    ----------
    i : int, default=1
        Number of the file. For others than 1 see `data_home`.

    data_home : path-like, default=None
        Folder with the files ``zymu_<i>.csv`` (or ``.csv.gz``) of causallib, wanted for
        ``i > 1``.

    as_frame : bool, default=True
        Whether arrays are pandas objects or numpy arrays.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        data : DataFrame or ndarray of shape (4802, 82)
            Covariates, all numeric: the three columns of letters (`x_2`, `x_21`,
            `x_24`) are one-hot encoded in place, one column a letter. The letters
            themselves are in `frame`.
        target : Series or ndarray of shape (4802,)
            Observed outcome: `y1` where treated, `y0` elsewhere.
        treatment : Series or ndarray of shape (4802,)
            0 or 1.
        mu0, mu1 : Series or ndarray of shape (4802,)
            Expected outcome without and with treatment.
        effect : Series or ndarray of shape (4802,)
            ``mu1 - mu0``, in units of the outcome.
        frame : DataFrame of shape (4802, 64) or None
            The covariates as published, then `z`, `y0`, `y1`, `mu0`, `mu1` and the
            observed outcome `y`; None with ``as_frame=False``.
        feature_names : list of str
            Names of the columns of `data`.
        target_names : list of str
            Name of the target.
        DESCR : str
            Description, attribution and licence.
        filename : str
            Name of the file of outcomes.

    Raises
    ------
    FileNotFoundError
        If `i` is not 1 and the file is not in `data_home`.

    References
    ----------
    .. [1] V. Dorie, J. Hill, U. Shalit, M. Scott, D. Cervone: Automated versus
           Do-It-Yourself Methods for Causal Inference: Lessons Learned from a Data
           Analysis Competition. Statistical Science 34(1), 2019.

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
