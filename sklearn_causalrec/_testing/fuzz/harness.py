"""Calls, and a judgement of what came of each.

A call is good if it returns what an oracle says, or refuses its input with a message of
this package or of scikit-learn's validation. Findings are: an error that escaped from a
line which does not raise one, a wrong result, NaN where nobody said so, a call that
does not return, a changed input, numpy's global generator moved.
"""

import ast
import re
import signal
import threading
import time
import traceback
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGE = str(Path(__file__).parents[2])
LIMIT = 60  # seconds that a call may take


# Clear words of numpy and Python: the range of a seed, the type where a path belongs.
_THEIRS = "Seed must be between", "expected str, bytes or os.PathLike object, not "


class _TooSlow(BaseException):
    pass


class Fuzzer:
    """Makes calls and keeps what they find, one example for each signature.

    Parameters
    ----------
    seed : int
        The seed of all inputs.
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.n_calls = self.n_returned = 0
        self.findings = {}

    def call(
        self,
        what,
        function,
        check=None,
        *,
        nan_ok=False,
        unchanged=(),
        must_return=False,
    ):
        """Call a function of no arguments and judge it.

        Parameters
        ----------
        what : str
            How the call reads.
        function : callable
            The call.
        check : callable, default=None
            Given the result, it returns what is wrong with it, or None.
        nan_ok : bool, default=False
            Whether the result may hold NaN or infinity.
        unchanged : sequence
            Inputs that the call must leave as they are.
        must_return : bool, default=False
            Whether the input is one that nobody may refuse.

        Returns
        -------
        object or None
            The result; None where the call raised.
        """
        self.n_calls += 1
        before = [fingerprint(value) for value in unchanged]
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        try:
            with _time_limit(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function()
        except _TooSlow:
            self._note(f"does not return within {LIMIT} s", what)
            return None
        except Exception as error:
            signature = escaped(error)
            if signature is None and must_return:
                signature = f"{what.split('(')[0]}: a plain call is refused"
            if signature is not None:
                self._note(signature, f"{what}: {error}")
            return None
        finally:
            now = np.random.get_state()[1]  # noqa: NPY002
            if not np.array_equal(now, state):
                self._note("numpy's global generator has moved", what)
            if before != [fingerprint(value) for value in unchanged]:
                self._note("an input was changed", what)
        self.n_returned += 1
        wrong = check(result) if check is not None else None
        if wrong:
            self._note(wrong, what)
        elif not nan_ok and not finite(result):
            self._note(f"{what.split('(')[0]}: NaN or infinity in the result", what)
        return result

    def _note(self, signature, example):
        count, first = self.findings.get(signature, (0, example))
        self.findings[signature] = count + 1, str(first)[:400]

    def report(self):
        """Signatures with their numbers and an example, the most frequent first."""
        found = sorted(self.findings.items(), key=lambda item: -item[1][0])
        lines = [f"{count} x {sign}\n    {first}" for sign, (count, first) in found]
        summary = f"{self.n_calls} calls, {self.n_returned} returned"
        return "\n".join([f"{summary}, {len(found)} findings", *lines])


def run(surface, seed, *, calls=None, seconds=None):
    """Fuzz one surface up to a number of calls, or for some time.

    Parameters
    ----------
    surface : callable
        It draws an input of a Fuzzer and calls with it.
    seed : int
        The seed.
    calls : int, default=None
        The number of calls.
    seconds : float, default=None
        The time, where no number of calls is given.

    Returns
    -------
    Fuzzer
    """
    fuzzer, start = Fuzzer(seed), time.monotonic()
    while (
        fuzzer.n_calls < calls
        if calls is not None
        else time.monotonic() - start < seconds
    ):
        surface(fuzzer)
    return fuzzer


@contextmanager
def _time_limit():
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def escaped(error):
    """A signature of an error that nobody raised for the user; None of others."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    ours = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    ours = [frame for frame in ours if "_testing" not in frame.filename]
    if not ours or re.search("/sklearn/(utils|base|model_selection)", last.filename):
        return None  # Python's own "missing argument", or scikit-learn's validation
    if last is ours[-1] and last.lineno in raising_lines(last.filename):
        return None
    if str(error).startswith(_THEIRS):
        return None
    where = f"{Path(ours[-1].filename).relative_to(PACKAGE)}:{ours[-1].lineno}"
    message = re.sub(r"'[^']*'|\"[^\"]*\"|\d+(\.\d+)?", "#", str(error))[:80]
    return f"{type(error).__name__} escaped at {where}: {message}"


@cache
def raising_lines(filename):
    """Lines of a file that belong to a raise statement."""
    found = set()
    for node in ast.walk(ast.parse(Path(filename).read_text())):
        if isinstance(node, ast.Raise):
            found.update(range(node.lineno, node.end_lineno + 1))
    return found


def finite(result):
    """Whether no number in a result is NaN or infinite."""
    if isinstance(result, pd.DataFrame):
        return all(finite(result.iloc[:, j]) for j in range(result.shape[1]))
    if isinstance(result, dict):
        return all(map(finite, result.values()))
    if isinstance(result, list | tuple):
        return all(map(finite, result))
    if isinstance(result, float | np.floating | np.ndarray | pd.Series):
        values = np.asarray(result)
        return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())
    return True


def fingerprint(value):
    """What shows whether a frame or an array was changed."""
    if isinstance(value, pd.DataFrame):
        return str(value.dtypes.tolist()), value.astype(str).to_csv()
    if isinstance(value, pd.Series):
        return fingerprint(value.to_frame("value"))
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, repr(value.tolist())
    return None
