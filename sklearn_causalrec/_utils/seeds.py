"""Seeds of models that have none: nothing is drawn from numpy's global generator."""

from sklearn.base import clone


def seeded(model, seed):
    """A clone in which every open ``random_state``, nested ones too, is set.

    Parameters
    ----------
    model : estimator
        Any estimator, such as a pipeline.
    seed : int
        Where the generators of its parts start.

    Returns
    -------
    estimator
        The clone.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_causalrec._utils.seeds import seeded
    >>> seeded(LogisticRegression(), 3).random_state
    3
    """
    model = clone(model)
    unseeded = {
        name: seed
        for name, value in model.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return model.set_params(**unseeded)
