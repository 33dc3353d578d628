"""Generators of one's own: training draws nothing from torch's, which threads share."""

from contextlib import nullcontext
from threading import Lock

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Held while an operation that takes no generator draws from the one of the process.
_LENT = Lock()


class OwnGenerators(TorchDispatchMode):
    """Within it, the operations of this thread draw from generators of its own.

    Torch has one generator a device and process. Modules draw from it when they are
    made (``torch.nn.Linear``) and when they train (``torch.nn.Dropout``), and most of
    them cannot be told another one. So every operation is looked at as it is
    dispatched, and one that draws is given a generator from here. This holds for the
    current thread alone: fits in other threads do not meet, and nobody's seed moves.

    Few operations take no generator at all (dropout and attention with dropout, both
    fused, on a GPU). Such a one draws from the generator of the process, in a state
    lent to it and taken back, while others of its kind wait.

    Parameters
    ----------
    seed : int
        Where the generators start.

    Attributes
    ----------
    drew : bool
        Whether an operation has drawn yet.
    """

    def __init__(self, seed):
        super().__init__()
        self.seed = int(seed)
        self.drew = False
        self._generators = {}
        self._batches = 0

    @classmethod
    def _should_skip_dynamo(cls):
        """No: torch would import its compiler, which no fit asks for, to keep it away.

        That takes seconds, and 90 MB. Torch names this method in its guide to modes; a
        version that does not ask for it imports its compiler, and works the same.
        """
        return False

    def on(self, device):
        """The generator of a device."""
        device = torch.device(device)
        if device not in self._generators:
            generator = torch.Generator(device).manual_seed(self.seed)
            self._generators[device] = generator
        return self._generators[device]

    def each_batch(self):
        """Itself, to be around the work of a batch, as long as that is of use.

        Looking at every operation takes time. A network whose first batch has drawn
        nothing never will.

        Returns
        -------
        context manager
            Itself, or one that does nothing.
        """
        self._batches += 1
        return self if self.drew or self._batches == 1 else nullcontext()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        device = kwargs.get("device")
        if device is None:
            tensors = [a.device for a in args if isinstance(a, torch.Tensor)]
            device = tensors[0] if tensors else torch.get_default_device()
        own = self.on(device)
        taking = _taking_generator(func)
        if taking is None:
            return self._lending(own, func, args, kwargs)
        self.drew = True
        return taking(*args, **{**kwargs, "generator": own})

    def _lending(self, own, func, args, kwargs):
        """The operation, by the generator of the process in the state of our own."""
        cuda = own.device.type == "cuda"
        shared = torch.cuda.default_generators[own.device.index or 0] if cuda else None
        shared = shared or torch.default_generator
        with _LENT:
            theirs, ours = shared.get_state(), own.get_state()
            shared.set_state(ours)
            try:
                return func(*args, **kwargs)
            finally:
                left = shared.get_state()
                self.drew |= not torch.equal(left, ours)
                own.set_state(left)
                shared.set_state(theirs)


class RankGenerators(OwnGenerators):
    """Generators that draw, in every batch, what no other rank draws.

    They start anew with every batch, from seed, rank and number of the batch: so their
    states need not be kept, and ranks of which some draw more stay together.

    Parameters
    ----------
    seed : int
        The same in every rank.
    rank : int
        Number of the rank.
    batches : int, default=0
        Number of batches that were done before.
    """

    def __init__(self, seed, rank, batches=0):
        super().__init__(seed)
        self.rank, self._batches, self.seed_of_batch = rank, batches, self.seed

    def each_batch(self):
        """As in the base class, after the generators have started anew."""
        drawing = super().each_batch()
        mixed = np.random.SeedSequence([self.seed % 2**63, self.rank, self._batches])
        seed = int(mixed.generate_state(1, np.uint64)[0] >> 1)
        self.seed_of_batch = seed
        for generator in self._generators.values():
            generator.manual_seed(seed)
        return drawing

    def on(self, device):
        """The generator of a device, as it stands in this batch."""
        new = torch.device(device) not in self._generators
        generator = super().on(device)
        return generator.manual_seed(self.seed_of_batch) if new else generator


def _taking_generator(func):
    """The form of an operation that takes a generator; None where there is none."""
    if any(argument.name == "generator" for argument in func._schema.arguments):
        return func
    form = f"{func._overloadname}_generator".removeprefix("default_")
    return getattr(func.overloadpacket, form, None)
