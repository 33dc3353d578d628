"""Runs over many logs that may be cut: what is done is kept, and is not done again.

Logs are outermost and cells innermost, so that a run that ends early has the same
number of logs in every cell.
"""

import json
import time
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed


def add_options(parser):
    """The options ``--keep`` and ``--minutes`` of a script."""
    parser.add_argument("--keep", help="a file that results are appended to")
    parser.add_argument("--minutes", type=float, help="no log starts later than that")


def run(job, cells, seeds, n_jobs=1, keep=None, minutes=None):
    """Results of the logs for which every cell is done.

    Parameters
    ----------
    job : callable
        ``job(*cell, seed)`` gives a result that JSON can write.
    cells : list of tuple of str or int
        What is measured on each log.
    seeds : sequence of int
        The logs.
    n_jobs : int, default=1
        How many run at once.
    keep : path, default=None
        The file; results that it has are taken from there.
    minutes : float, default=None
        After them nothing new is started.

    Returns
    -------
    dict of tuple to list
        Of each cell, the results in the order of the logs.
    """
    known, start = {}, time.monotonic()
    if keep is not None and Path(keep).exists():
        for line in Path(keep).read_text().splitlines():
            cell, seed, value = json.loads(line)
            known[tuple(cell), seed] = value
    for seed in seeds:
        if minutes is not None and time.monotonic() - start > 60 * minutes:
            break
        left = [cell for cell in cells if (tuple(cell), seed) not in known]
        calls = (delayed(job)(*cell, seed) for cell in left)
        results = Parallel(n_jobs, return_as="generator")(calls)
        for value, cell in zip(results, left):  # so that the generator is used up
            line = json.dumps([cell, seed, value], default=float)
            known[tuple(cell), seed] = json.loads(line)[2]
            if keep is not None:
                with Path(keep).open("a") as file:
                    file.write(line + "\n")
    done = [s for s in seeds if all((tuple(c), s) in known for c in cells)]
    error = np.sqrt(0.95 * 0.05 / max(len(done), 1))
    print(
        f"{len(done)} logs a cell, seeds from {seeds[0]}; the standard error of a "
        f"coverage of 0.95 is {error:.3f}\n",
        flush=True,
    )
    return {tuple(cell): [known[tuple(cell), s] for s in done] for cell in cells}
