"""One fit by several processes: each computes its part of every batch."""

import json
import os
import time
from contextlib import contextmanager
from datetime import timedelta
from threading import get_ident

import numpy as np
import torch
import torch.distributed as dist

POLL = 0.02  # seconds between two looks for what another rank says
GRACE = 3.0  # seconds in which a rank that fails is heard by the others
# Tables from so many numbers on send the rows that have a gradient, and no others.
SPARSE_FROM = 2**16

_ranks = None  # of the process: those of the block distributed()


class WorkerError(RuntimeError):
    """Another process of a distributed fit failed, or has other data or parameters.

    All processes raise it, or the error itself, and end: none waits for one that is
    gone.

    See Also
    --------
    sklearn_causalrec.networks.distributed : Where fits are distributed.

    Examples
    --------
    >>> from sklearn_causalrec.networks import WorkerError
    >>> issubclass(WorkerError, RuntimeError)
    True
    """


def current_ranks():
    """The ranks that share fits now.

    Returns
    -------
    Ranks or None
        None outside of :func:`distributed`, and in a single process.

    Raises
    ------
    WorkerError
        In another thread than that which opened the block: ranks have to take part in
        the same work in the same order, which threads do not keep.
    """
    if _ranks is not None and _ranks.thread != get_ident():
        raise WorkerError(
            "Inside of distributed(), a network is to be fitted in a thread of its own "
            "(n_jobs= with threads): the order of such fits differs from process to "
            'process. Use n_jobs=1, or processes, joblib.parallel_config("loky").'
        )
    return _ranks


@contextmanager
def distributed(*, timeout=600.0):
    """Share the training of networks among the processes that ``torchrun`` started.

    Inside, ``fit`` is called as ever, by every process, with the same rows, parameters
    and ``random_state``, which has to be an int. Each process computes the networks'
    outputs of its part of every batch, and they are put together before the loss is
    computed. So the loss is that of one process with the same batches, for weighted
    rows and for every objective; sums differ by rounding alone. ``batch_size`` counts
    the rows of all processes together. All end with the same model.

    Without ``torchrun`` there is one process, and the block changes nothing.

    Parameters
    ----------
    timeout : float, default=600.0
        Seconds to wait for another process before it counts as gone. They have to be
        enough for the slowest to read the data.

    Yields
    ------
    Ranks
        Its ``rank``, ``size`` and ``first`` say which process this is. The first one
        alone should write files.

    Raises
    ------
    WorkerError
        If another process failed, or its rows, parameters or seed differ. It is
        raised within seconds in every process.

    See Also
    --------
    sklearn_causalrec.networks.checkpoints : Go on where a fit was interrupted.

    Notes
    -----
    What ``fit`` does beside networks (encoding, trees of the second stage) every
    process does for itself, all of it. Messages go through gloo, and between GPUs
    through NCCL. Gradients of large tables of ids are sent row by row.

    Examples
    --------
    A script for ``torchrun --nproc-per-node 2 script.py``, which also runs alone:

    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.networks import distributed
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = CausalDNNRecommender(max_epochs=2, random_state=0)
    >>> with distributed() as ranks:
    ...     _ = model.fit(X, X[:, 0])
    >>> if ranks.first:
    ...     print(model.predict(X).shape)
    (200,)
    """
    global _ranks
    if _ranks is not None:
        raise RuntimeError("distributed() stands inside of another distributed().")
    joined = dist.is_initialized()
    size = dist.get_world_size() if joined else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks(None, 0, 1, timeout)
        return
    ranks = _join(joined, timeout)
    _ranks = ranks
    try:
        yield ranks
        _ranks = None
        ranks.end()
    except BaseException as error:
        ranks.fail(error, joined)
        raise
    finally:
        _ranks = None
        if not joined and dist.is_initialized():
            dist.destroy_process_group()


def _join(joined, timeout):
    """The ranks of this run, in a group of processes of its own."""
    cuda = torch.cuda.is_available() and dist.is_nccl_available()
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    limit, group = timedelta(seconds=timeout), None
    # What failed may be followed by another group in the same store, where addresses
    # of processes that are gone would still be found.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    prefix = f"sklearn-causalrec/{attempt}/{_entered()}"
    if joined:
        store = dist.distributed_c10d._get_default_store()
        group = dist.new_group(backend=backend, timeout=limit)
    else:
        try:
            store, rank, size = next(dist.rendezvous("env://", timeout=limit))
        except ValueError as error:
            raise WorkerError(
                f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {error} Start the "
                "script by torchrun, which says where the processes meet."
            ) from error
        own = dist.PrefixStore(f"{prefix}/group", store)
        dist.init_process_group(
            backend, store=own, rank=rank, world_size=size, timeout=limit
        )
    store = dist.PrefixStore(prefix, store)
    return Ranks(store, dist.get_rank(), dist.get_world_size(), timeout, group)


_blocks = 0


def _entered():
    """How many blocks were opened before: the same number in every process."""
    global _blocks
    _blocks += 1
    return _blocks


class Ranks:
    """The processes that share a fit, and the place of this one among them.

    Parameters
    ----------
    store : Store or None
        What all processes can read and write.
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    timeout : float
        Seconds to wait for another process.
    group : ProcessGroup or None, default=None
        Of torch.distributed; None is the default one.

    Attributes
    ----------
    first : bool
        Whether this is the process that writes files.
    """

    def __init__(self, store, rank, size, timeout, group=None):
        self.rank, self.size, self.first = rank, size, rank == 0
        self.thread = get_ident()
        self._store, self._timeout, self._group = store, timeout, group
        self._meetings = 0

    def __repr__(self):
        return f"rank {self.rank} of {self.size}"

    # -- agreement -----------------------------------------------------------------
    def agree(self, facts):
        """Wait for all ranks, and raise where the facts of one are others.

        Parameters
        ----------
        facts : dict of str to str
            By name, as it is to stand in an error.

        Raises
        ------
        WorkerError
            If a fact differs, or a rank failed, has ended or does not come.
        """
        self._meetings += 1
        with self._hearing():
            self._store.set(f"{self._meetings}/{self.rank}", json.dumps(facts))
            said = [self._wait(r) for r in range(self.size)]
        for name in facts:
            for rank, theirs in enumerate(said):
                if theirs.get(name) != said[0].get(name):
                    raise WorkerError(
                        f"Rank {rank} has other {name} than rank 0: "
                        f"{theirs.get(name)}, not {said[0].get(name)}. All processes "
                        "have to call fit with the same rows, the same parameters and "
                        "the same int as random_state."
                    )

    def _wait(self, rank):
        """What a rank says at this meeting."""
        key, end = f"{self._meetings}/{rank}", time.monotonic() + self._timeout
        while not self._store.check([key]):
            self._raise_what_failed()
            if self._store.check([f"ended/{rank}"]):
                raise WorkerError(
                    f"Rank {rank} has ended, and rank {self.rank} trains another "
                    "network: their scripts or parameters differ."
                )
            if time.monotonic() > end:
                raise WorkerError(
                    f"Rank {rank} did not come within {self._timeout:g} seconds: see "
                    "its output, or raise timeout= of distributed()."
                )
            time.sleep(POLL)
        return json.loads(self._store.get(key))

    def _raise_what_failed(self):
        for kind, word in (("failed", "failed"), ("followed", "gave up")):
            for rank in range(self.size):
                if self._store.check([f"{kind}/{rank}"]):
                    what = self._store.get(f"{kind}/{rank}").decode()
                    raise WorkerError(f"Rank {rank} {word}: {what}")

    @contextmanager
    def _hearing(self):
        """Say which rank failed, where messages do not come through."""
        try:
            yield
        except WorkerError:
            raise
        except RuntimeError as error:
            end = time.monotonic() + GRACE
            try:
                while time.monotonic() < end:
                    self._raise_what_failed()
                    time.sleep(POLL)
            except WorkerError as told:
                raise told from error
            except RuntimeError:
                pass  # the store is gone, too
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise WorkerError(
                f"Rank {self.rank} has lost the others: one was killed, or the "
                f"network failed ({why})."
            ) from error

    def end(self):
        """Wait until every rank is here: none ends well where another fails."""
        with self._hearing():
            self._store.set(f"ended/{self.rank}", "")
            ended = [f"ended/{r}" for r in range(self.size)]
            limit = time.monotonic() + self._timeout
            while not self._store.check(ended):
                self._raise_what_failed()
                if time.monotonic() > limit:
                    raise WorkerError(
                        f"Rank {self.rank} is at the end of distributed(), and another "
                        f"did not come within {self._timeout:g} seconds."
                    )
                time.sleep(POLL)
        try:
            self._store.set(f"left/{self.rank}", "")
            if self.first:
                self._linger()
        except RuntimeError:
            pass  # all were here: what comes now is no failure

    def fail(self, error, joined):
        """Tell the others of an error, and wake those who wait for a message."""
        text = (str(error).splitlines() or [""])[0]
        kind, what = "failed", f"{type(error).__name__}: {text}"
        if isinstance(error, WorkerError):  # what another did is told by that one
            kind, what = "followed", text
        try:
            self._store.set(f"{kind}/{self.rank}", what)
            self._store.set(f"left/{self.rank}", "")
            dist.destroy_process_group(self._group if joined else None)
            self._linger()
        except Exception:
            pass  # nobody is left to be told; the error itself goes on

    def _linger(self):
        """The store may be this process's: let the others read it."""
        keys = [f"left/{r}" for r in range(self.size)]
        end = time.monotonic() + GRACE
        while not self._store.check(keys) and time.monotonic() < end:
            time.sleep(POLL)

    # -- batches -------------------------------------------------------------------
    def own(self, n):
        """The part of n rows that is this rank's, and where all parts begin and end."""
        cuts = [n * r // self.size for r in range(self.size + 1)]
        return slice(cuts[self.rank], cuts[self.rank + 1]), cuts

    def forward(self, call, batch, whole=()):
        """What a network says of a batch, of which each rank computes its part.

        Parameters
        ----------
        call : callable
            From a dict of tensors to a tensor, or a named tuple of tensors or None,
            of a row each.
        batch : dict of str to tensor
            Rows. What is no tensor is passed on as it is.
        whole : collection of str, default=()
            Names of tensors that are no rows, and that every rank reads whole.

        Returns
        -------
        tensor or named tuple
            Of all rows. The gradient reaches the network through this rank's part
            alone, ``size`` times as large, so that the mean over ranks is that of the
            whole batch.
        """
        rows = {
            name: value
            for name, value in batch.items()
            if isinstance(value, torch.Tensor) and name not in whole
        }
        n = len(next(iter(rows.values())))
        if n < self.size:
            return call(batch)
        own, cuts = self.own(n)
        out = call(batch | {name: value[own] for name, value in rows.items()})
        return self.gathered(out, cuts)

    def gathered(self, out, cuts):
        """The parts of all ranks, one after the other, as in :meth:`forward`."""
        if isinstance(out, torch.Tensor):
            return _Gathered.apply(out, self, cuts)
        parts = [part for part in out if part is not None]
        wide = _Gathered.apply(torch.cat(parts, dim=1), self, cuts)
        whole = iter(wide.split([part.shape[1] for part in parts], dim=1))
        return type(out)(*(None if part is None else next(whole) for part in out))

    def rows_of_all(self, part, cuts):
        """Rows of all ranks, in their order."""
        sizes = np.diff(cuts)
        padded = part.new_zeros((int(sizes.max()), *part.shape[1:]))
        padded[: len(part)] = part
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with self._hearing():
            dist.all_gather(found, padded, group=self._group)
        return torch.cat([one[:size] for one, size in zip(found, sizes)])

    # -- gradients -----------------------------------------------------------------
    def average_gradients(self, net):
        """Put the mean over the ranks in the place of every gradient.

        Parameters
        ----------
        net : CausalNet
            After ``backward``.
        """
        tables = {
            module.weight
            for module in net.module_.modules()
            if isinstance(module, torch.nn.Embedding)
            and module.weight.numel() >= SPARSE_FROM
        }
        dense, rows = [], []
        for group in net.optimizer_.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    sparse = weight in tables or weight.grad.is_sparse
                    (rows if sparse else dense).append(weight)
        if rows:
            dense += self._average_rows(rows)
        if not dense:
            return
        flat = torch.cat([weight.grad.flatten() for weight in dense])
        with self._hearing():
            dist.all_reduce(flat, group=self._group)
        flat /= self.size
        parts = flat.split([weight.numel() for weight in dense])
        for weight, part in zip(dense, parts):
            weight.grad.copy_(part.view_as(weight))

    def _average_rows(self, weights):
        """Average rows with a gradient; the weights where that would send more."""
        local = [_rows_with_gradient(weight.grad) for weight in weights]
        counts = torch.tensor([[len(index) for index, _ in local]])
        cuts = range(self.size + 1)
        counts = self.rows_of_all(counts.to(weights[0].device), cuts).cpu().numpy()
        left = []
        for j, (weight, (index, values)) in enumerate(zip(weights, local)):
            if 2 * counts[:, j].max() > len(weight) and not weight.grad.is_sparse:
                left.append(weight)
                continue
            ends = np.append(0, np.cumsum(counts[:, j]))
            index = self.rows_of_all(index, ends)
            values = self.rows_of_all(values, ends) / self.size
            if weight.grad.is_sparse:
                weight.grad = torch.sparse_coo_tensor(
                    index.unsqueeze(0), values, weight.shape
                ).coalesce()
            else:
                weight.grad.zero_().index_add_(0, index, values)
        return left

    # -- what the first rank says ----------------------------------------------------
    def of_first(self, numbers):
        """An array of float64 of the first rank, the same shape in all."""
        out = torch.as_tensor(numbers, dtype=torch.float64).clone()
        with self._hearing():
            dist.broadcast(out, self._root, group=self._group)
        return out.numpy()

    def bytes_of_first(self, given):
        """Bytes, or None, of the first rank; what others give is not read."""
        size = int(self.of_first([-1.0 if given is None else len(given)])[0])
        if size < 0:
            return None
        out = torch.empty(size, dtype=torch.uint8)
        if self.first:
            out = torch.frombuffer(bytearray(given), dtype=torch.uint8)
        with self._hearing():
            dist.broadcast(out, self._root, group=self._group)
        return out.numpy().tobytes()

    @property
    def _root(self):
        return 0 if self._group is None else dist.get_global_rank(self._group, 0)


class _Gathered(torch.autograd.Function):
    """Rows of all ranks, with the gradient of this rank's."""

    @staticmethod
    def forward(ctx, part, ranks, cuts):
        ctx.own = slice(cuts[ranks.rank], cuts[ranks.rank + 1])
        ctx.size = ranks.size
        return ranks.rows_of_all(part, cuts)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.size * gradient[ctx.own], None, None


def _rows_with_gradient(gradient):
    """Positions and values of the rows of a gradient that are not 0."""
    if gradient.is_sparse:
        gradient = gradient.coalesce()
        return gradient.indices()[0], gradient.values()
    index = (gradient != 0).any(1).nonzero()[:, 0]
    return index, gradient[index]
