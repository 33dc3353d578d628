"""Settings that all threads of the process share, changed for as long as one needs it.

``warnings.catch_warnings`` and ``threadpool_limits`` put back what they found. Where
two threads take turns, one of them finds what the other has set, and puts that back
last: the process stays changed. Here the first to come sets, and the last to go undoes.
"""

import warnings
from contextlib import contextmanager
from functools import cache
from itertools import count
from threading import Condition, RLock, get_ident

from joblib import Parallel
from joblib.parallel import BACKENDS, get_active_backend
from threadpoolctl import ThreadpoolController

_LOCK = RLock()
_ENDED = Condition()
_RUNNING = {}  # of work that is shared out: how many of its tasks run in this process
_TOKENS = count()
_HELD = {}  # what is set -> how it is undone, and the threads that need it


@contextmanager
def _held(key, change):
    """``change()`` once for all; it returns ``undo(threads)``, called by the last."""
    with _LOCK:
        if key not in _HELD:
            _HELD[key] = [change(), set(), 0]
        _HELD[key][1].add(get_ident())
        _HELD[key][2] += 1
    try:
        yield
    finally:
        with _LOCK:
            _HELD[key][2] -= 1
            if not _HELD[key][2]:
                undo, threads, _ = _HELD.pop(key)
                undo(threads)


def parallel(n_jobs=None, **options):
    """A ``joblib.Parallel`` that starts processes and never forks them.

    Torch and OpenMP keep threads, which a fork does not copy: a child that fits then
    waits for them forever. `docs/parallel.md` says more.

    Parameters
    ----------
    n_jobs : int, default=None
        Jobs done at once. None is what ``joblib.parallel_config`` says, or else 1.
    **options
        Other parameters of ``joblib.Parallel``.

    Returns
    -------
    joblib.Parallel
    """
    backend, wanted = get_active_backend()
    if isinstance(backend, BACKENDS["multiprocessing"]):
        options = {**options, "backend": "loky"}
        n_jobs = wanted if n_jobs is None else n_jobs
    return Parallel(n_jobs, **options)


class Shared:
    """Work that threads share; whoever gives it up waits until none is at it.

    After Ctrl-C, joblib leaves its threads to themselves. They would go on with their
    tasks, and change what all threads share, such as warning filters, after the caller
    has been told that all is over.
    """

    def __init__(self):
        self._token = next(_TOKENS)  # a lock would not go to other processes

    @contextmanager
    def task(self):
        """Be one of those that do the work."""
        with _ENDED:
            _RUNNING[self._token] = _RUNNING.get(self._token, 0) + 1
        try:
            yield
        finally:
            with _ENDED:
                _RUNNING[self._token] -= 1
                if not _RUNNING[self._token]:
                    del _RUNNING[self._token]
                _ENDED.notify_all()

    @contextmanager
    def waited_for(self):
        """Wait for tasks that run still, where the block ends by an error."""
        try:
            yield
        except BaseException:
            with _ENDED:
                _ENDED.wait_for(lambda: self._token not in _RUNNING)
            raise


@cache
def _pools():
    # finding the thread pools takes longer than a small fit
    return ThreadpoolController()


@contextmanager
def one_thread():
    """One thread for every task inside: sums in another order have other last bits.

    OpenMP counts threads for each caller, BLAS for the process. Besides, threads of
    BLAS cost small matrices more than they give, many times so where other processes
    want the same cores.
    """

    def limit():
        limited = _pools().select(user_api="blas").limit(limits=1)
        return lambda threads: limited.restore_original_limits()

    with _held("blas", limit), _pools().select(user_api="openmp").limit(limits=1):
        yield


def quiet(message="", category=Warning):
    """Ignore some warnings inside.

    Parameters
    ----------
    message : str, default=""
        Pattern of the start of the text; the empty one is of every text.
    category : type, default=Warning
        Class of the warnings.

    Returns
    -------
    context manager
    """

    def ignore():
        known, found = list(warnings.filters), warnings.filters
        warnings.filterwarnings("ignore", message, category)
        ours = warnings.filters[0]

        def undo(threads):
            # somebody's catch_warnings may have put a copy in the list's place
            for filters in (found, warnings.filters):
                if ours in filters:
                    filters.remove(ours)
            if ours in known:  # the user's own, which had moved to the front
                found.insert(known.index(ours), ours)

        return undo

    return _held(("quiet", message, category), ignore)


def filters_kept():
    """Put warning filters back after fits that several threads did at once.

    scikit-learn, too, uses ``catch_warnings``, at every check of an array: two fits at
    once leave filters that nobody has asked for. The fits of one thread leave none,
    and nothing is changed after them.

    Returns
    -------
    context manager
    """

    def keep():
        filters, found = warnings.filters, list(warnings.filters)

        def undo(threads):
            if len(threads) > 1:
                filters[:] = found
                warnings.filters = filters

        return undo

    return _held("filters", keep)
