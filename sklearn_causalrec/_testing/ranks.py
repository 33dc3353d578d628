"""Processes that stand for machines, started in a moment, for tests."""

import multiprocessing
import os
import signal
import socket
import sys
import time
import traceback
from contextlib import ExitStack
from runpy import run_path

PRELOADED = ["sklearn_causalrec.recommender", "sklearn_causalrec.policy"]


def run_ranks(script, function, size=2, seconds=240, environment=None):
    """Call a function of a script in some processes, which find each other.

    They are forked from a server that has imported the package and done nothing else.

    Parameters
    ----------
    script : str
        File of the function.
    function : str
        Its name; called without arguments.
    size : int, default=2
        Number of processes. RANK and WORLD_SIZE say it, as ``torchrun`` would; PORTS
        has free ports for those that meet more than once.
    seconds : float, default=240
        After which a process that is not done is killed.
    environment : dict of str to str, default=None
        Further variables.

    Returns
    -------
    list of (str, object, float)
        Of each process: "returned", "raised" or "died"; the value, the text of the
        error or the exit code; and the seconds that it took.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ports = _free_ports(10)
    variables = {
        **dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=ports[0], WORLD_SIZE=str(size)),
        "PORTS": " ".join(ports[1:]),
        **(environment or {}),
    }
    started = []
    for rank in range(size):
        ours, theirs = context.Pipe()
        own = {**variables, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        process = context.Process(
            target=_call, args=(theirs, str(script), function, own), daemon=False
        )
        process.start()
        theirs.close()
        started.append((process, ours))
    end, found = time.monotonic() + seconds, []
    for process, ours in started:
        told = None
        try:
            if ours.poll(max(end - time.monotonic(), 0)):
                told = ours.recv()
        except EOFError:
            pass
        process.join(max(end - time.monotonic(), 1))
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)  # and those that it has started
            process.join()
        found.append(told or ("died", process.exitcode, seconds))
    return found


def _free_ports(n):
    with ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in bound]


def _call(pipe, script, function, variables):
    os.setpgid(0, 0)
    os.environ.update(variables)
    import torch

    torch.set_num_threads(1)
    start = time.monotonic()
    try:
        value = run_path(script)[function]()
        kind = "returned"
    except BaseException as error:
        traceback.print_exc(file=sys.stderr)
        kind, value = "raised", f"{type(error).__name__}: {error}"
    pipe.send((kind, value, time.monotonic() - start))
    pipe.close()
