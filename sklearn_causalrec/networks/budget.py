"""Budgets of differential privacy: what is asked for, and what a training has spent."""

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Integral, Real

from sklearn_causalrec.encoding.public_ranges import PublicRanges

UNITS = ("user", "row")
ACCOUNTANTS = ("rdp", "prv")


@dataclass(frozen=True)
class PrivacyBudget:
    r"""Train so that no one person's rows can be told from the model.

    Two logs that differ by all rows of one user give networks whose distributions are
    within a factor :math:`e^\epsilon` of each other, but for an event of probability
    :math:`\delta` [1]_. This is DP-SGD [2]_ with the user as the unit [3]_: a step
    draws each user with the same probability, takes one gradient of the mean loss over
    the user's rows, shortens it to `max_grad_norm`, and adds Gaussian noise to the sum.

    It holds for the networks, and for what is computed from them and a row that is
    asked about: ``predict``, ``predict_proba``, ``propensity_scores`` and ``effect``.
    What else would be learned from the log has to come from elsewhere (`ranges`,
    `outcome`, `items`), or is refused by name. The number of users, the arms and the
    classes count as public. The catalogue, which lists are made of, is data: see
    :func:`~sklearn_causalrec.privacy.public_copy`.

    Parameters
    ----------
    epsilon : float
        The budget. At 1 or less it is strong, and at 10 it says little. Infinity adds
        no noise: gradients are shortened all the same, and nothing is promised.
    delta : float
        The probability that the promise does not hold. It has to be below one over the
        number of users.
    max_grad_norm : float, default=1.0
        The length that the gradient of a user is shortened to.
    unit : {"user", "row"}, default="user"
        Whose rows are protected together. "user" needs the user column, which is then
        no input: a vector of a user is that user's data. "row" is for logs in which
        each row is another person, and user is not named.
    max_rows : int, default=32
        The most rows of a user that a step reads. More are drawn from, anew each time.
    ranges : tuple of two float or dict, default=None
        The least and the largest value of each feature, ``{"age": (0, 100)}``, as far
        as it is known without the log; a tuple holds for all features. Values beyond
        count as these. It is needed if there are features.
    outcome : tuple of two float, default=None
        The least and the largest outcome. It is needed for regression.
    items : array-like of ids, default=None
        The ids of all items, from elsewhere than the log. It is needed if the item
        column or a history is named.
    accountant : {"rdp", "prv"}, default="rdp"
        How Opacus adds up steps. "prv" is closer and needs up to a tenth less noise; it
        takes longer, and its numbers are less robust.

    See Also
    --------
    sklearn_causalrec.CausalDNNRecommender : Its parameter `private` takes a budget.
    sklearn_causalrec.privacy.total_spent : The budget that several trainings spend.
    sklearn_causalrec.privacy.public_copy : A private model without the log.

    References
    ----------
    .. [1] Dwork, C. and Roth, A. (2014). "The algorithmic foundations of differential
       privacy." Foundations and Trends in Theoretical Computer Science 9.
    .. [2] Abadi, M. et al. (2016). "Deep learning with differential privacy." CCS.
    .. [3] McMahan, H. B. et al. (2018). "Learning differentially private recurrent
       language models." ICLR.

    Examples
    --------
    >>> from sklearn_causalrec.privacy import PrivacyBudget
    >>> budget = PrivacyBudget(3.0, 1e-5, ranges={"age": (0, 100)}, outcome=(1, 5))
    >>> budget.unit, budget.max_grad_norm
    ('user', 1.0)
    """

    epsilon: float
    delta: float
    max_grad_norm: float = 1.0
    unit: str = "user"
    max_rows: int = 32
    ranges: tuple | dict | None = None
    outcome: tuple | None = None
    items: tuple | None = field(default=None, repr=False)
    accountant: str = "rdp"

    def __post_init__(self):
        for name in ("epsilon", "delta", "max_grad_norm"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and not isinstance(value, bool)):
                raise ValueError(f"{name} is {value!r}: a number is needed.")
            if not value > 0 or (name == "max_grad_norm" and not math.isfinite(value)):
                raise ValueError(f"{name} is {value!r}: it has to be above 0.")
        if self.delta >= 1:
            raise ValueError(f"delta is {self.delta!r}, a probability below 1.")
        if not isinstance(self.max_rows, Integral) or self.max_rows < 1:
            raise ValueError(f"max_rows is {self.max_rows!r}: at least 1.")
        for name, known in (("unit", UNITS), ("accountant", ACCOUNTANTS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of {known}."
                )
        object.__setattr__(self, "items", self.public.items)

    @property
    def public(self):
        """What is known without the log.

        Returns
        -------
        PublicRanges
            Ranges of features and outcome, and the items.
        """
        return PublicRanges(self.ranges, self.outcome, self.items)


@dataclass(frozen=True)
class PrivacySpent:
    """What a private training has spent, and how.

    Parameters
    ----------
    epsilon, delta : float
        What holds for each unit, by the accountant. It is at most what was asked for.
    unit : {"user", "row"}
        Whose rows are protected together.
    max_rows : int
        The most rows of a unit that a step read.
    max_grad_norm : float
        The length that the gradient of a unit was shortened to.
    noise_multiplier : float
        The standard deviation of the noise on a sum of gradients, in multiples of
        `max_grad_norm`.
    sample_rate : float
        The probability with which a step drew a unit.
    steps : int
        The number of steps, of all networks together.
    secret_noise : bool
        Whether sampling and noise came from the system's source of randomness. If not,
        they follow from ``random_state``, and the promise holds against those alone who
        do not know it.
    accountant : str
        Which accountant of Opacus has added up.

    See Also
    --------
    PrivacyBudget : What is asked for.
    total_spent : The budget that several trainings spend.

    Examples
    --------
    >>> from sklearn_causalrec.privacy import PrivacySpent
    >>> PrivacySpent(2.9, 1e-5, "user", 32, 1.0, 1.1, 0.1, 200, True)
    epsilon 2.9 and delta 1e-05 for each user, at most 32 rows of each a step
    """

    epsilon: float
    delta: float
    unit: str
    max_rows: int
    max_grad_norm: float
    noise_multiplier: float
    sample_rate: float
    steps: int
    secret_noise: bool
    accountant: str = "rdp"

    def __repr__(self):
        rows = f", at most {self.max_rows} rows of each a step"
        return (
            f"epsilon {self.epsilon:.3g} and delta {self.delta:.3g} for each "
            f"{self.unit}{rows if self.unit == 'user' else ''}"
        )

    @property
    def words(self):
        """What was spent, in sentences for people.

        Returns
        -------
        str
            The sentences.
        """
        if not math.isfinite(self.epsilon):
            return (
                f"Gradients of each {self.unit} were shortened, and no noise was added:"
                " nothing is promised."
            )
        noise = (
            "Noise came from the system's randomness."
            if self.secret_noise
            else "Noise follows from random_state: keep that secret, or fit with None."
        )
        return (
            f"Differential privacy of the networks: {self!r}, {self.steps} steps. "
            f"{noise} The catalogue that lists are made of is data, and not under it."
        )


def total_spent(spent, delta=None):
    """Return the epsilon that several trainings on the same people spend together.

    Parameters
    ----------
    spent : sequence of PrivacySpent
        The ``privacy_spent_`` of each model. Their units have to be the same.
    delta : float, default=None
        The probability that the promise does not hold. None stands for the largest of
        the trainings.

    Returns
    -------
    float
        The epsilon of all of them, by Rényi differential privacy. Which training came
        next may have depended on the models before.

    Raises
    ------
    ValueError
        If none is given, or their units differ.

    See Also
    --------
    PrivacyBudget : What one training may spend.

    Examples
    --------
    >>> from sklearn_causalrec.privacy import PrivacySpent, total_spent
    >>> one = PrivacySpent(2.9, 1e-5, "user", 32, 1.0, 2.0, 0.1, 200, True)
    >>> bool(total_spent([one]) < total_spent([one, one]) < 2 * total_spent([one]))
    True
    """
    spent = list(spent)
    if not spent:
        raise ValueError("spent holds no training.")
    if len({one.unit for one in spent}) > 1:
        raise ValueError("The units differ: what a user and what a row spend is apart.")
    steps = [(one.noise_multiplier, one.sample_rate, one.steps) for one in spent]
    return spent_by(steps, max(s.delta for s in spent) if delta is None else delta)


def accounting():
    """Opacus' accounting, which loads when it is first needed.

    Returns
    -------
    module
        ``opacus.accountants``.

    Raises
    ------
    ImportError
        If Opacus is not installed.
    """
    try:
        from opacus import accountants
    except ImportError as error:
        raise ImportError(
            "Private training adds up its budget by Opacus: pip install "
            "'sklearn-causalrec[private]'."
        ) from error
    return accountants


def noise_for(budget, sample_rate, steps):
    """Return the noise with which so many steps spend a budget.

    Parameters
    ----------
    budget : PrivacyBudget
        What may be spent.
    sample_rate : float
        The probability with which a step draws a unit.
    steps : int
        The number of steps.

    Returns
    -------
    float
        The standard deviation in multiples of ``max_grad_norm``.
    """
    if math.isinf(budget.epsilon):
        return 0.0
    asked = budget.epsilon, budget.delta, sample_rate, steps, budget.accountant
    return _noise_for(*asked)


@lru_cache(64)
def _noise_for(epsilon, delta, sample_rate, steps, accountant):
    """As :func:`noise_for`; a search asks the same many times."""
    accounting()
    from opacus.accountants.utils import get_noise_multiplier

    with _quiet():
        return float(
            get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=sample_rate,
                steps=steps,
                accountant=accountant,
            )
        )


def spent_by(history, delta, accountant="rdp"):
    """Return the epsilon of some steps.

    Parameters
    ----------
    history : list of (float, float, int)
        Noise multiplier, sample rate and number of steps.
    delta : float
        The probability that the promise does not hold.
    accountant : {"rdp", "prv"}, default="rdp"
        How to add up.

    Returns
    -------
    float
        Infinity where a step had no noise.
    """
    if any(noise == 0 for noise, _, steps in history if steps):
        return math.inf
    found = accounting().create_accountant(mechanism=accountant)
    found.history = list(history)
    with _quiet():
        return float(found.get_epsilon(delta))


@contextmanager
def _quiet():
    """Without Opacus' hints at other grids of orders: its bounds hold on any."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order")
        yield
