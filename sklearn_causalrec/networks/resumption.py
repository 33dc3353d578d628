"""Trainings that go on where they were interrupted, from files in a folder."""

import hashlib
import io
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import EarlyStopping, LRScheduler

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.networks.generators import RankGenerators
from sklearn_causalrec.networks.ranks import current_ranks

FORMAT = 1
SUFFIX = ".checkpoint"

_keeper = None  # of the process: that of the block checkpoints()


@contextmanager
def checkpoints(folder, *, every=60.0):
    """Keep the state of every training in a folder, and go on from what is there.

    A fit that is interrupted (a machine fails, a process is killed, Ctrl-C) is started
    again by the same script. Networks that were ready are read from the folder. The
    one that was being trained goes on from its last checkpoint, in the middle of an
    epoch too, with its optimizer, its generators and its place in the order of the
    rows. The result is that of a fit without interruption, bit for bit on one machine.

    Parameters
    ----------
    folder : str or path
        Where the files are written. It is made if there is none. The processes of
        :func:`distributed` read and write it by the first of them; name a folder that
        every machine sees, since another may be the first after a restart.
    every : float, default=60.0
        Seconds between two checkpoints of a training; 0 writes one after every step.
        The end of a training is always written.

    Yields
    ------
    None
        The block is what is kept. Files that it used are removed where it ends without
        an error: save the model inside.

    Raises
    ------
    OSError
        If the folder cannot be written.
    ValueError
        If a file of this fit cannot be read.

    Warns
    -----
    UserWarning
        If the folder holds checkpoints of another fit alone. A training is known by
        its rows, its parameters and its seed: set ``random_state`` to an int.

    See Also
    --------
    sklearn_causalrec.networks.distributed : One fit by several processes.

    Notes
    -----
    Files are written beside their place and then moved there, so none is ever half
    written. They hold tensors and numbers, and opening one runs no code. They tell as
    much of the log as the model does.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.networks import checkpoints
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = CausalDNNRecommender(max_epochs=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder, checkpoints(folder):
    ...     model.fit(X, X[:, 0]).predict(X).shape
    (200,)
    """
    global _keeper
    if _keeper is not None:
        raise RuntimeError("checkpoints() stands inside of another checkpoints().")
    _keeper = keeper = Keeper(Path(folder), every)
    try:
        yield
    finally:
        _keeper = None
    keeper.clear()


def refuse_private():
    """Refuse a private training where it would be shared or kept.

    Raises
    ------
    ValueError
        Inside of :func:`checkpoints`, or of :func:`distributed` with several ranks.
    """
    for name, there in (("distributed", current_ranks()), ("checkpoints", _keeper)):
        if there is not None:
            raise ValueError(
                f"private= and {name}() do not go together: the noise of a private "
                "training is drawn once, in one process, and is not kept. Call fit "
                "outside of the block."
            )


class Keeper:
    """The folder of a block :func:`checkpoints`."""

    def __init__(self, folder, every):
        self.folder, self.every = folder, every
        self.used = []
        self.known = None  # whether a file was this fit's; None: not asked yet
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"The folder {folder} cannot be written.")

    def read(self, path):
        """Bytes of a file, or None where there is none."""
        self.used.append(path)
        there = path.exists()
        if self.known is None and not there and any(self.folder.glob(f"*{SUFFIX}")):
            warn_user(
                f"The folder {self.folder} holds checkpoints, and none is of this fit: "
                "its rows, its parameters or its seed are others (random_state has to "
                "be an int). It starts from the beginning."
            )
        self.known = bool(self.known) or there
        return path.read_bytes() if there else None

    def write(self, path, state):
        """A file that is there whole or not at all."""
        beside = path.with_suffix(f".{os.getpid()}.part")
        try:
            with open(beside, "wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def clear(self):
        """Remove the files of the block, when all ranks are at its end."""
        ranks = current_ranks()
        if ranks is not None:
            ranks.agree({})
        if ranks is None or ranks.first:
            for path in self.used:
                path.unlink(missing_ok=True)


def facts_of(net, X, y, kept, held_out, seed, epochs, callbacks):
    """What makes a training the one it is, as short texts by name.

    Parameters
    ----------
    net : CausalNet
        Before its training.
    X : dict of tensors
        The rows.
    y : tensor of shape (n,)
        The outcome.
    kept, held_out : array of int
        Rows to train on, and for validation; the latter or None.
    seed : int
        Of the order of the batches.
    epochs : int
        Largest number of epochs.
    callbacks : list of (name, Callback)
        Of the training.

    Returns
    -------
    dict of str to str
        Of rows, parameters and seed.
    """
    rows = _digest([*X.items(), ("y", y)])
    options = {k: v for k, v in vars(net).items() if "__" in k and k[0] != "_"}
    for name in [k for k in options if k.startswith(("iterator", "callbacks"))]:
        del options[name]
    names = ("lr", "batch_size", "l1", "l2", "n_rows", "optimizer", "criterion")
    told = [(name, getattr(net, name)) for name in names] + sorted(options.items())
    told += [(name, c.get_params()) for name, c in callbacks]
    parameters = _digest(
        [*told, ("epochs", epochs), ("module", str(net.module_)), ("kind", type(net))]
    )
    weights = [*net.module_.state_dict().items(), *net.criterion_.state_dict().items()]
    drawn = _digest([("seed", seed), ("kept", kept), ("held", held_out), *weights])
    return {
        "rows": f"{len(y)} rows ({rows})",
        "parameters": f"those of digest {parameters}",
        "seeds": f"those of digest {drawn}",
    }


def _digest(named):
    """A short hash of texts, numbers and arrays."""
    seen = hashlib.blake2b(digest_size=8)

    def add(value):
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.ndarray) and value.dtype != object:
            seen.update(f"{value.dtype}{value.shape}".encode())
            seen.update(np.ascontiguousarray(value).view(np.uint8).data)
        elif isinstance(value, dict):
            for key in sorted(value, key=str):
                seen.update(str(key).encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            for one in value:
                add(one)
        elif isinstance(value, type):
            seen.update(value.__qualname__.encode())
        elif not callable(value):
            seen.update(repr(value).encode())

    for name, value in named:
        seen.update(f"\0{name}\0".encode())
        add(value)
    return seen.hexdigest()


def shared_and_kept(net, X, y, kept, held_out, generators, epochs, callbacks):
    """Who shares a training that begins, and what keeps it.

    Parameters
    ----------
    net : CausalNet
        Before its training.
    X, y, kept, held_out, epochs, callbacks
        As in :func:`facts_of`.
    generators : OwnGenerators
        What the training would draw from.

    Returns
    -------
    dict of str to object
        Attributes to lend the net: ``ranks``, ``checkpoint`` (both may be None), and
        the ``generators`` that this rank draws from.

    Raises
    ------
    WorkerError
        If ranks differ.
    """
    ranks = current_ranks()
    lent = dict(ranks=ranks, checkpoint=None, generators=generators)
    if ranks is None and _keeper is None:
        return lent
    given = (net, X, y, kept, held_out, generators.seed, epochs, callbacks)
    facts = facts_of(*given)
    if ranks is not None:
        kept_in = "none" if _keeper is None else "a folder"
        ranks.agree({**facts, "checkpoints()": kept_in})
        lent["generators"] = RankGenerators(generators.seed, ranks.rank)
    if _keeper is not None:
        key = _digest(sorted(facts.items()))
        lent["checkpoint"] = Checkpoint(_keeper, key, ranks, callbacks, epochs)
    return lent


class Checkpoint:
    """The file of one training, and where the training stands.

    Parameters
    ----------
    keeper : Keeper
        Of the folder.
    key : str
        What the training is known by.
    ranks : Ranks or None
        Who share it.
    callbacks : list of (name, Callback)
        Of skorch, whose states are kept, too.
    epochs : int
        Largest number of epochs.
    """

    def __init__(self, keeper, key, ranks, callbacks, epochs):
        self.keeper, self.ranks, self.epochs = keeper, ranks, epochs
        self.callbacks = dict(callbacks)
        self.path = keeper.folder / f"{key}{SUFFIX}"
        self.before = 0  # epochs in the history when the training began
        self.middle, self.is_over = None, False
        self.drawing = {}  # generators of the batches, by name
        self.stood = {}  # where they stood between two epochs
        self.written = time.monotonic()

    @property
    def _first(self):
        return self.ranks is None or self.ranks.first

    def restore(self, net):
        """Bring a net to where the file says; nothing, where there is none.

        Parameters
        ----------
        net : CausalNet
            At the beginning of its training, after the callbacks have heard of it.

        Returns
        -------
        int
            Number of epochs that are left.
        """
        self.before = len(net.history)
        given = self.keeper.read(self.path) if self._first else None
        if self.ranks is not None:
            given = self.ranks.bytes_of_first(given)
        if given is None:
            return self.epochs
        try:
            state = torch.load(io.BytesIO(given), weights_only=True)
            if state["format"] != FORMAT:
                raise ValueError(f"its format is {state['format']}")
        except Exception as error:
            raise ValueError(
                f"The checkpoint {self.path} cannot be read ({error}): remove it, and "
                "this training starts from its beginning."
            ) from error
        net.module_.load_state_dict(state["module"])
        net.criterion_.load_state_dict(state["criterion"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history.clear()
        net.history.extend(state["history"])
        net.start = state["start"]
        self.is_over = state["over"]
        if not self.is_over:
            _set_generators(net.generators, state["generators"])
        for name, known in state["callbacks"].items():
            callback = self.callbacks[name]
            if isinstance(callback, LRScheduler):
                callback.lr_scheduler_.load_state_dict(known)
            else:
                vars(callback).update(known)
        self.middle, self.stood = state["middle"], state["stood"]
        for record in net.history[self.before :]:
            if net.progress is not None:
                net.progress(record)
        if self.is_over:
            return 0
        return self.epochs - (len(net.history) - self.before)

    def steps(self, net, iterator, losses, sizes):
        """Batches of an epoch that are not done yet, each kept when its step is done.

        Parameters
        ----------
        net : CausalNet
            While training.
        iterator : iterable
            Gives the batches of an epoch. Generators among its attributes are what it
            draws from.
        losses : list of tensors
            Of the steps that are done; filled where the epoch began before.
        sizes : list of int
            Rows in each of them.

        Yields
        ------
        tuple
            A batch.
        """
        drawing = {
            name: value
            for name, value in vars(iterator).items()
            if isinstance(value, torch.Generator)
        }
        if getattr(net, "draws", None) is not None:
            drawing["draws"] = net.draws
        middle, self.middle = self.middle, None
        self.drawing, stood, self.stood = drawing, self.stood, {}
        _set(drawing, stood if middle is None else middle["began"])
        began = _states(drawing)
        done = 0 if middle is None else middle["done"]
        for k, batch in enumerate(iterator):
            if k < done:
                if k == done - 1:  # before the loader draws for the next batch
                    self._go_on(net, middle, drawing, losses, sizes)
                continue
            yield batch
            if self._due():
                facts = dict(
                    done=k + 1,
                    began=began,
                    now=_states(drawing),
                    losses=[float(loss) for loss in losses],
                    sizes=list(sizes),
                    criterion=_plain(net.criterion_),
                )
                self._write(net, net.start, net.history[:-1], middle=facts)

    def _go_on(self, net, middle, drawing, losses, sizes):
        _set(drawing, middle["now"])
        vars(net.criterion_).update(middle["criterion"])
        like = net.criterion_.outcome_loss
        losses[:] = [like.new_tensor(loss) for loss in middle["losses"]]
        sizes[:] = middle["sizes"]

    def _due(self):
        over = time.monotonic() - self.written >= self.keeper.every
        return self._first and over

    def epoch_begins(self, net):
        """Write, if it is time, what stands between two epochs."""
        if len(net.history) > self.before and self.middle is None and self._due():
            self._write(net, net.start, net.history)

    def over(self, net, start):
        """Write the end of the training, as it is before the best epoch is taken."""
        if self._first and not self.is_over:
            self._write(net, start, net.history, over=True)

    def _write(self, net, start, history, middle=None, over=False):
        callbacks = {}
        for name, callback in self.callbacks.items():
            if isinstance(callback, LRScheduler):
                callbacks[name] = callback.lr_scheduler_.state_dict()
            elif isinstance(callback, EarlyStopping):
                callbacks[name] = dict(
                    misses_=callback.misses_,
                    dynamic_threshold_=float(callback.dynamic_threshold_),
                    best_model_weights_=callback.best_model_weights_,
                    best_epoch_=callback.best_epoch_,
                )
        state = dict(
            format=FORMAT,
            module=net.module_.state_dict(),
            criterion=net.criterion_.state_dict(),
            optimizer=net.optimizer_.state_dict(),
            history=[dict(record) for record in history],
            start=None if start is None else float(start),
            generators=None if over else _state_of_generators(net.generators),
            callbacks=callbacks,
            middle=middle,
            stood=_states(self.drawing),
            over=over,
        )
        self.keeper.write(self.path, state)
        self.written = time.monotonic()


def _plain(criterion):
    """Numbers and tensors that an objective has beside its parameters."""
    kinds = (bool, int, float, tuple, torch.Tensor)
    return {
        k: v
        for k, v in vars(criterion).items()
        if k != "training" and isinstance(v, kinds)
    }


def _states(generators):
    return {name: one.get_state() for name, one in generators.items()}


def _set(generators, states):
    for name, state in states.items():
        generators[name].set_state(state)


def _state_of_generators(own):
    states = {str(k): g.get_state() for k, g in own._generators.items()}
    return dict(states=states, drew=own.drew, batches=own._batches)


def _set_generators(own, state):
    own.drew, own._batches = state["drew"], state["batches"]
    if not isinstance(own, RankGenerators):  # which start anew in every batch
        for device, known in state["states"].items():
            own.on(device).set_state(known)
