"""Settings of networks and their training, and how their parameters are checked."""

import math
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_causalrec.networks.batches import rows_a_batch
from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.encoders.base import ACTIVATIONS
from sklearn_causalrec.networks.objectives.base import objective_class

SHARED_CONSTRAINTS = {
    "user": [str, Integral, None],
    "item": [str, Integral, None],
    "time": [str, Integral, None],
    "treatment": [str, Integral, None],
    "propensity": [str, Integral, None],
    "hidden_layer_sizes": ["array-like"],
    "embedding_dim": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS))],
    "optimizer": [StrOptions({"adam", "sgd"})],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "learning_rate_schedule": [StrOptions({"constant", "cosine", "plateau"})],
    "momentum": [Interval(Real, 0, 1, closed="left")],
    "l1": [Interval(Real, 0, None, closed="left")],
    "l2": [Interval(Real, 0, None, closed="left")],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "device": [str],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}

# With "auto", training stops early from so many rows on.
EARLY_STOPPING_ROWS = 400
# With "auto", hidden layers are smooth below so many rows.
ELU_ROWS = 2_000
# With "auto", epochs and patience; and the steps that they stand for at least.
EPOCHS, PATIENCE = 100, 5
STEPS, PATIENT_STEPS = 1_500, 150


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the networks of an estimator are, and how they are trained.

    The fields are parameters of the estimator of the same name, but for ``device``,
    which is the device that it stands for. Made once a fit, by :meth:`of`.
    """

    objective: str
    clip: float | None
    hidden_layer_sizes: tuple
    embedding_dim: int
    activation: str
    dropout: float
    optimizer: str
    learning_rate: float
    learning_rate_schedule: str
    momentum: float
    l1: float
    l2: float
    batch_size: int | str
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int | str
    tol: float
    device: str

    @classmethod
    def of(cls, estimator, device):
        """The settings of an estimator.

        Parameters
        ----------
        estimator : estimator
            Has a parameter for each field.
        device : str
            The device to train on.

        Returns
        -------
        Settings
            Of the class on which this is called.
        """
        names = [field.name for field in fields(cls) if field.name != "device"]
        return cls(**{name: getattr(estimator, name) for name in names}, device=device)

    @property
    def layers(self):
        """Arguments of the network that say how its layers are."""
        return {
            "hidden_layer_sizes": self.hidden_layer_sizes,
            "embedding_dim": self.embedding_dim,
            "activation": self.activation,
            "dropout": self.dropout,
        }

    def stops_early(self, n_rows, epochs):
        """Whether rows are held out to say when to stop.

        Parameters
        ----------
        n_rows : int
            Number of rows to train on.
        epochs : int
            Largest number of epochs.

        Returns
        -------
        bool
            True where early stopping is asked for and there is more than one epoch.
        """
        asked = self.early_stopping
        if isinstance(asked, str):
            asked = n_rows >= EARLY_STOPPING_ROWS
        return bool(asked) and epochs > 1


@dataclass(frozen=True, kw_only=True)
class RecommenderSettings(Settings):
    """Settings of the networks of a recommender; some may be "auto"."""

    encoder: str
    input_noise: float
    max_epochs: int | str

    @classmethod
    def of(cls, estimator, device):
        """The settings of an estimator, with what is usual for its objective.

        Parameters
        ----------
        estimator : estimator
            Has a parameter for each field.
        device : str
            The device to train on.

        Returns
        -------
        RecommenderSettings
            Those that depend on the log may still be "auto".
        """
        settings = super().of(estimator, device)
        objective = objective_class(settings.objective)
        usual = dict(objective.usual)
        if objective.retrieves:
            usual |= ENCODERS[settings.encoder].query.usual
        auto = {k: v for k, v in usual.items() if getattr(settings, k) == "auto"}
        return replace(settings, **auto)

    def of_log(self, n_rows, n_kept):
        """These settings with numbers and names in place of "auto".

        An epoch of a small log is a few steps. Its epochs and its patience are as many
        as make a number of steps, if these are more than the usual ones.

        Parameters
        ----------
        n_rows : int
            Number of rows of the log.
        n_kept : int
            Number of them to train on, those for validation included.

        Returns
        -------
        RecommenderSettings
            Where nothing is held out, the number of epochs is the usual one.
        """
        auto = {}
        if self.activation == "auto":
            auto["activation"] = "elu" if n_rows < ELU_ROWS else "relu"
        early = self.stops_early(n_kept, 2)
        batch = rows_a_batch(self.batch_size, n_rows, self.device)
        share = 1 - self.validation_fraction if early else 1
        steps = math.ceil(max(share * n_kept, 1) / batch)
        if self.max_epochs == "auto":
            enough = math.ceil(STEPS / steps) if early else 0
            auto["max_epochs"] = max(EPOCHS, enough)
        if self.n_iter_no_change == "auto":
            enough = math.ceil(PATIENT_STEPS / steps)
            auto["n_iter_no_change"] = max(PATIENCE, enough)
        return replace(self, **auto)
