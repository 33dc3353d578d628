"""Several processes that answer on one socket, and the one that looks after them."""

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from threading import Thread

logger = logging.getLogger("sklearn_causalrec.serving")
SOON = 5.0  # seconds; a worker that ends sooner has hardly begun
PAUSE = 1.0  # seconds, before another one is started in its place
GIVE_UP = 5  # workers that ended so soon, one after the other


def run_workers(
    n: int,
    work: Callable[[], int],
    ended: Callable[[int], None],
    patience: float,
    follow: Callable[[bool], None] = lambda asked: None,
) -> int:
    """Fork workers, start those anew that die, and end them all when asked to.

    What the process holds, such as the model, is there once for all workers, until one
    of them writes to its page (copy on write). The process must have no threads, those
    of OpenMP and torch included.

    Parameters
    ----------
    n : int
        The number of workers.
    work : callable
        What a worker does; it returns the status that it exits with.
    ended : callable
        It is told the process id of a worker that has ended.
    patience : float
        Seconds that workers may take to end, before they are killed.
    follow : callable
        It is called again and again, and told whether SIGHUP has come: what this
        process holds is then brought up to date, for workers that start later.

    Returns
    -------
    int
        The status to exit with: 0 after SIGTERM or SIGINT, else that of the workers
        that could not start.
    """
    stop: list[int] = []
    asked: list[int] = []
    ours = [s for s in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, s)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in ours}
    workers: dict[int, float] = {}

    def pass_on(number, frame):
        if number != getattr(signal, "SIGHUP", None):
            stop.append(number)
            number = signal.SIGTERM
        else:
            asked.append(number)
        for pid in list(workers):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    gc.collect()
    gc.freeze()  # or the collector would write to the pages of all objects
    for name in ours:
        signal.signal(getattr(signal, name), pass_on)
    status, failures = 0, 0
    try:
        while not stop and failures < GIVE_UP:
            while len(workers) < n and not stop:
                workers[_fork(work, before)] = time.monotonic()
            pid, status = _ended(workers)
            if pid is None:
                now = bool(asked)
                asked.clear()
                follow(now)
                time.sleep(0.05)
                continue
            ended(pid)
            soon = time.monotonic() - workers.pop(pid) < SOON
            failures = failures + 1 if soon else 0
            if not stop:
                logger.error(
                    "Worker %s ended with %s: another one starts.", pid, status
                )
                time.sleep(PAUSE if soon else 0)
        return _end(workers, ended, patience, 0 if stop else status or 1)
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


class Follower:
    """Replace the model of the process that workers are forked from, as they do theirs.

    Otherwise a worker that starts when the file is broken would answer by the model
    that the server began with, and not by the one that the others have.

    Parameters
    ----------
    host : ModelHost
        It holds the model.
    watch : float
        Seconds between looks at the file; 0 to look only if asked.
    """

    def __init__(self, host, watch):
        self.host, self.watch = host, watch
        self._looked = time.monotonic()

    def __call__(self, asked):
        """Look at the file, if it is time.

        Parameters
        ----------
        asked : bool
            Whether to look in any case.
        """
        now = time.monotonic()
        if asked or (self.watch and now - self._looked >= self.watch):
            self._looked = now
            if self.host.reload(asked):
                gc.collect()
                gc.freeze()


def _fork(work, handlers):
    """A new worker; only its parent comes back from here."""
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that comes before the worker has its own handlers must not reach ours.
    blocked = {getattr(signal, name) for name in handlers}
    old = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        return pid
    status = 1
    try:
        for name, handler in handlers.items():
            signal.signal(getattr(signal, name), handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        Thread(target=_end_with, args=(parent,), daemon=True).start()
        status = work()
    except BaseException as error:
        logger.error("A worker failed: %s", type(error).__name__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_with(parent):
    """End this worker when nobody looks after it any more."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _ended(workers):
    """Process id and status of a worker that has ended, if one has."""
    for pid in list(workers):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return pid, os.waitstatus_to_exitcode(status)
    return None, 0


def _end(workers, ended, patience, status):
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + patience
    while workers:
        pid, _ = _ended(workers)
        if pid is not None:
            ended(pid)
            del workers[pid]
        elif time.monotonic() > until:
            logger.error("Workers %s do not end: they are killed.", sorted(workers))
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            until = float("inf")
        else:
            time.sleep(0.02)
    return status
