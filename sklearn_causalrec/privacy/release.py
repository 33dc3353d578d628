"""What of a private model may leave the house: all but the log."""

import copy
from typing import Any

from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec.encoding.roles import IdIndex


def public_copy(fitted: Any) -> Any:
    """Return a copy of a private model that holds nothing else of its log.

    The networks of a private training are under the budget. The catalogue that lists
    are made of is not: ids, features, histories and pairs of users are kept as they
    came. The copy has no catalogue and no user ids. What is left was learned under the
    budget, or came from elsewhere than the log: ranges, items, names of columns, arms
    and classes.

    ``predict``, ``predict_proba`` and ``effect`` answer as before. ``recommend`` raises
    an error: who serves lists has a catalogue, and keeps the model that has it.

    Parameters
    ----------
    fitted : CausalDNNRecommender
        Fitted with ``private``. It stays as it is.

    Returns
    -------
    CausalDNNRecommender
        The copy.

    Raises
    ------
    TypeError
        If it is no model with a ``privacy_spent_``, such as a Pipeline, whose steps
        were fitted to the log as well.
    ValueError
        If its training was not private, or had no noise.

    See Also
    --------
    PrivacyBudget : What private training promises.
    data_inventory : What a model holds.

    Examples
    --------
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.privacy import public_copy
    >>> X = [[0.0], [1.0]]
    >>> try:
    ...     public_copy(CausalDNNRecommender(max_epochs=1).fit(X, [0.0, 1.0]))
    ... except ValueError as error:
    ...     print(str(error)[:27])
    The model was not trained u
    """
    check_is_fitted(fitted)
    if not hasattr(fitted, "privacy_spent_"):
        raise TypeError(
            f"{type(fitted).__name__} has no privacy_spent_: pass the fitted "
            "CausalDNNRecommender itself. What stands before it in a Pipeline was "
            "fitted to the log, without a budget."
        )
    spent = fitted.privacy_spent_
    if spent is None or not spent.noise_multiplier:
        raise ValueError(
            "The model was not trained under a budget, private=PrivacyBudget(...): "
            "its weights tell of the log."
        )
    released = copy.deepcopy(fitted)
    released.catalogue_ = None
    released.log_encoder_.users = IdIndex("user")
    return released
