"""Faults in the middle of work, and what there was before them, bit for bit."""

import copy
import os
import random
import re
import signal
import threading
import time
import warnings

import joblib
import matplotlib
import numpy as np
import pandas as pd
import sklearn
import torch

from sklearn_causalrec.serving.state import Writer

# What scipy notes of a sparse matrix when it first looks: it is no other matrix.
_NOTED = re.compile(rb',"_has_(?:canonical_format|sorted_indices)":(?:true|false)')
_DURATION = re.compile(rb'("(?:seconds|dur|_epoch_start)"[,:]) *[-+.\deE]+')


def bits(fitted):
    """All that a model holds but durations and what scipy notes of matrices, as bytes;
    equal models have equal ones."""
    try:
        parts = Writer().write(fitted, "model")
        state = _NOTED.sub(b"", parts["state"])
        return _DURATION.sub(rb"\1 0", state), parts["arrays"]
    except TypeError:  # a part that does not travel in files
        return joblib.hash(fitted)


def process_state():
    """What all code of a process shares, and no call may leave changed."""
    return {
        "torch's generator": torch.get_rng_state().tolist(),
        "numpy's generator": [np.asarray(p).tolist() for p in np.random.get_state()],  # noqa: NPY002
        "Python's generator": random.getstate(),
        "warnings": list(warnings.filters),
        "torch's threads": torch.get_num_threads(),
        "torch's type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "numpy's errors": np.geterr(),
        "numpy's printing": str(np.get_printoptions()),
        "scikit-learn": sklearn.get_config(),
        "matplotlib": dict(matplotlib.rcParams),
        "pandas": [pd.get_option("display.width"), pd.get_option("display.max_rows")],
        "folder": os.getcwd(),
        # torch names its cache once, when it is first needed
        "environment": {k: v for k, v in os.environ.items() if k[:5] != "TORCH"},
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGALRM)],
    }  # fmt: skip


def interrupted(work, delay):
    """Whether Ctrl-C, so many seconds after its start, ended some work.

    Parameters
    ----------
    work : callable
        It is called in the main thread.
    delay : float
        Seconds until SIGINT.

    Returns
    -------
    bool
        False where the work was over before.
    """
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    try:
        sender.start()
        work()
        # The signal may be under way: it has to come before the handler is gone.
        sender.cancel()
        sender.join()
        time.sleep(0.001)
        return False
    except KeyboardInterrupt:
        return True
    finally:
        sender.cancel()
        signal.signal(signal.SIGINT, handler)


def after_an_interrupt(fitted, refit, delay):
    """What a model is after Ctrl-C in the middle of a second fit.

    Parameters
    ----------
    fitted : estimator
        Fitted; it is left as it is.
    refit : callable
        Fits an estimator, in place, to other data.
    delay : float
        Seconds until SIGINT.

    Returns
    -------
    str
        "old" or "new" where all bits are those of before, or those of the second fit;
        "over" where the fit was over before the signal; else "broken".
    """
    model = copy.deepcopy(fitted)
    before, process = bits(model), process_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inside = process_state()["warnings"]
        ended = interrupted(lambda: refit(model), delay)
        filters_kept = process_state()["warnings"] == inside
    now = process_state()
    if not filters_kept or any(now[key] != process[key] for key in process):
        return "broken process"
    if not ended:
        return "over"
    found = bits(model)
    if found == before:
        return "old"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = copy.deepcopy(fitted)
        bits(other)  # does what waits, as above: attributes come in the same order
        refit(other)
    return "new" if found == bits(other) else "broken"
