"""When training stops, and how the learning rate changes: callbacks of skorch."""

from skorch.callbacks import EarlyStopping, LRScheduler
from skorch.utils import noop


def training_callbacks(settings, epochs, early, threshold_mode="rel"):
    """Callbacks of skorch: early stopping at the best weights, learning-rate schedule.

    Parameters
    ----------
    settings : Settings
        Says schedule, patience and tolerance.
    epochs : int
        Largest number of epochs.
    early : bool
        Whether training may stop early.
    threshold_mode : {"rel", "abs"}, default="rel"
        Whether the tolerance is relative; "abs" is for losses that may be below 0.

    Returns
    -------
    list of (str, Callback)
        By name.
    """
    callbacks = []
    patience = settings.n_iter_no_change
    if early:
        stopper = EarlyStopping(
            patience=patience,
            threshold=settings.tol,
            threshold_mode=threshold_mode,
            load_best=True,
            sink=noop,
        )
        callbacks.append(("early_stopping", stopper))
    schedule = settings.learning_rate_schedule
    if schedule == "cosine":
        scheduler = LRScheduler(policy="CosineAnnealingLR", T_max=epochs)
        callbacks.append(("schedule", scheduler))
    elif schedule == "plateau":
        scheduler = LRScheduler(
            policy="ReduceLROnPlateau",
            monitor="valid_loss" if early else "train_loss",
            factor=0.3,
            patience=max((patience if early else 10) // 3, 1),
            threshold_mode=threshold_mode,
        )
        callbacks.append(("schedule", scheduler))
    return callbacks
