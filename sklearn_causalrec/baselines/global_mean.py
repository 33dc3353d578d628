"""The mean outcome for every row."""

from sklearn_causalrec.baselines.base import Baseline, is_classifier


class GlobalMean(Baseline):
    """Predict the mean outcome for every row.

    Parameters
    ----------
    task : {"regression", "classification"}, default="regression"
        The kind of outcome. "classification" means a binary outcome.
    user : str or int, default=None
        The column of X with the user ids, by name or position. It is needed for
        :func:`~sklearn_causalrec.recommend` only.
    item : str or int, default=None
        The column of X with the item ids, by name or position. It is needed for
        :func:`~sklearn_causalrec.recommend` only.

    Attributes
    ----------
    model_ : estimator
        The fitted model of the outcome.
    classes_ : ndarray of shape (2,)
        The classes with ``task="classification"``.
    catalogue_ : Catalogue or None
        The users and items of the log, if both columns are named.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        The names of the columns seen during ``fit``, if there are names.

    See Also
    --------
    Popularity : Predict from the number of rows of the item.
    UserItemBias : Predict from a bias of every user and item.
    NeighborhoodRecommender : Score items by similar items or users.

    Examples
    --------
    >>> from sklearn_causalrec.baselines import GlobalMean
    >>> GlobalMean().fit([[1.0], [2.0]], [1.0, 3.0]).predict([[9.0]]).tolist()
    [2.0]
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if is_classifier(self):
            tags.classifier_tags.poor_score = True
        else:
            tags.regressor_tags.poor_score = True
        return tags
