"""Adam with few operations a step, and by rows in large tables of ids."""

from fnmatch import filter as matching
from functools import cache
from inspect import unwrap

import torch

# Not public: None where a version of torch lacks it, and see `runs_bare`.
FUSED = getattr(torch, "_fused_adam_", None)


class DivergenceError(ValueError):
    """Training has left the finite numbers; the estimator stays as it was.

    See Also
    --------
    sklearn_causalrec.CausalDNNRecommender : Its ``fit`` raises it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.networks import DivergenceError
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = CausalDNNRecommender(optimizer="sgd", learning_rate=1e4, random_state=0)
    >>> try:
    ...     model.fit(X, X[:, 0])
    ... except DivergenceError as error:
    ...     print(str(error)[:17])
    training diverged
    """


def named(name, momentum):
    """An optimizer as skorch is told of it.

    Parameters
    ----------
    name : {"adam", "sgd"}
        Its name.
    momentum : float
        Of "sgd".

    Returns
    -------
    dict
        Parameters of a skorch net.
    """
    if name == "sgd":
        own = dict(optimizer=torch.optim.SGD, optimizer__momentum=momentum)
    else:
        own = dict(optimizer=Adam)
    return {**own, "optimizer__fused": True}


def groups_of_weights(names, *, free, of_ids, of_adapters, decay):
    """Rates and decay of the weights, as skorch passes them to an optimizer.

    There are few groups: a fused optimizer runs once a group.

    Parameters
    ----------
    names : list of str
        Names of all weights.
    free : sequence of str
        Names of tables of ids that do not decay.
    of_ids : float
        Learning rate of tables of ids.
    of_adapters : float
        Learning rate of the adapters of a pretrained encoder.
    decay : float
        Weight decay of all weights but intercepts; 0: none.

    Returns
    -------
    list of (str, dict)
        A pattern of names and its settings. The first pattern that fits a name counts.
    """
    shrunk = {"weight_decay": decay} if decay else {}
    fast = {"lr": of_ids}
    groups = [
        *((name, fast) for name in free),
        ("*.user.weight", {**shrunk, **fast}),
        ("*.item.weight", {**shrunk, **fast}),
        ("tilt", fast),
        ("text.lora_*", {"lr": of_adapters}),
    ]
    if decay:
        groups += [("*weight*", shrunk), ("*arm_scale", shrunk)]
    return [group for group in groups if matching(names, group[0])]


@cache
def runs_bare(device):
    """Whether torch's fused operation can be called by itself, with the same result.

    It is no part of what torch promises to keep. Where a later version lacks it, or
    wants other arguments, steps go through ``torch.optim.Adam``, which takes longer.

    Parameters
    ----------
    device : torch.device
        Where the weights are.

    Returns
    -------
    bool
        Whether two steps of two numbers came out as those of ``torch.optim.Adam``.
    """
    try:
        ours, theirs = (
            torch.nn.Parameter(torch.tensor([1.0, -2.0], device=device))
            for _ in range(2)
        )
        options = dict(lr=0.1, weight_decay=0.1)
        mine, reference = Adam([ours], **options), Adam([theirs], **options)
        for _ in range(2):
            ours.grad, theirs.grad = ours.detach().sin(), theirs.detach().sin()
            with torch.no_grad():
                mine._move_bare([ours], mine.param_groups[0], 0)
                reference._move_as_torch([theirs])
    except Exception:
        return False
    return torch.equal(ours, theirs)


class Adam(torch.optim.Adam):
    r"""Fused Adam [1]_; large tables of ids move in the rows that a batch has.

    Weights whose gradient is dense move as in ``torch.optim.Adam(fused=True)``, to the
    last bit. The step around the fused operation is leaner: a network here is small,
    and Python takes as long as the arithmetic. Hooks of torch on steps do not run.
    Where torch has no such operation to call, its own step is taken.

    A weight with a sparse gradient is a table of ids. Adam itself would read and write
    all of its rows, and both of its moments, in every batch. Here only the rows
    :math:`p` of the batch move, and what Adam does in the steps between is done at
    once [2]_: after :math:`k` steps without the id,

    .. math::

        v &\leftarrow \beta_2^k v + (1 - \beta_2) g^2, \qquad
        a = \eta \Big/ \left(\sqrt{v / (1 - \beta_2^t)} + \epsilon\right), \\
        p &\leftarrow (p - a g) / (1 + a k \lambda),

    for the learning rate :math:`\eta`, the decay :math:`\lambda` and the step
    :math:`t`. The first moment is left out: after some ten steps without the id Adam
    has moved :math:`p` by all of :math:`a g`. The decay of the :math:`k` steps is the
    proximal step of its penalty, so that :math:`p` comes to rest where the gradient of
    all its rows and that of the penalty cancel: the prior counts as it should for an
    id with one row as for one with a thousand.

    Parameters
    ----------
    params : iterable
        Weights, or groups of them with settings of their own.
    lr : float, default=1e-3
        The learning rate.
    **options
        Those of ``torch.optim.Adam``; it is fused in any case.

    See Also
    --------
    sklearn_causalrec.networks.net.CausalNet : Steps it.

    References
    ----------
    .. [1] Kingma, D. and Ba, J. (2015). "Adam: a method for stochastic optimization."
       ICLR.
    .. [2] Carpenter, B. (2008). "Lazy sparse stochastic gradient descent for
       regularized multinomial logistic regression." Alias-i.

    Examples
    --------
    >>> import torch
    >>> from sklearn_causalrec.networks.optimizers import Adam
    >>> table = torch.nn.Embedding(1000, 2, sparse=True)
    >>> before = table.weight.detach().clone()
    >>> optimizer = Adam(table.parameters(), lr=0.1)
    >>> table(torch.tensor([3, 5, 3])).sum().backward()
    >>> optimizer.step()
    >>> (table.weight != before).any(dim=1).nonzero()[:, 0]
    tensor([3, 5])
    """

    def __init__(self, params, lr=1e-3, **options):
        super().__init__(params, lr=lr, **{**options, "fused": True})
        self._counts = {}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._counts = {}
        for known in self.state.values():
            if "moved" in known:  # torch loads states in the type of their weights
                known["moved"] = known["moved"].to(torch.int32)

    def zero_grad(self, set_to_none=True):
        """Forget the gradients; see ``torch.optim.Optimizer.zero_grad``."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    @torch.no_grad()
    def step(self, closure=None):
        """Move the weights by their gradients.

        Parameters
        ----------
        closure : None
            Not used: the loss is evaluated once.
        """
        later = []  # by torch's own step
        for place, group in enumerate(self.param_groups):
            dense = []
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse:
                    self._move_rows(p, group)
                else:
                    dense.append(p)
            if dense and runs_bare(dense[0].device):
                self._move_bare(dense, group, place)
            else:
                later += dense
        if later:
            self._move_as_torch(later)

    # Torch wraps both to tell its compiler to keep out, and imports it to do so: 90 MB
    # and seconds, in the first fit of a process. No fit here is compiled.
    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    _step_of_torch = unwrap(torch.optim.Adam.step)

    # Torch would wrap the step with a profile and hooks, which cost as much as it.
    step.hooked = True  # type: ignore[attr-defined]

    def _move_as_torch(self, dense):
        """The step of torch, which reads all weights that have a gradient."""
        kept = set(map(id, dense))
        aside = []
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and id(p) not in kept:
                    aside.append((p, p.grad))
                    p.grad = None
        try:
            self._step_of_torch()
        finally:
            for p, grad in aside:
                p.grad = grad

    def _move_bare(self, dense, group, place):
        """The fused step of a group."""
        states = [self.state[p] or self._begin(p) for p in dense]
        steps = self._count(dense, states, place)
        beta1, beta2 = group["betas"]
        FUSED(
            dense,
            [p.grad for p in dense],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            amsgrad=False,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _count(self, dense, states, place):
        """The numbers of steps, one more for each: those of a group in one tensor."""
        weights = [id(p) for p in dense]
        known = self._counts.get(place)
        if (
            known is None
            or known[0] != weights
            or known[1].data_ptr() != states[0]["step"].data_ptr()  # others were loaded
        ):
            together = torch.stack([state["step"] for state in states])
            for state, own in zip(states, together.unbind()):
                state["step"] = own
            known = self._counts[place] = weights, together
        known[1].add_(1)
        return [state["step"] for state in states]

    def _begin(self, p):
        state = self.state[p]
        state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
        state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        return state

    def _move_rows(self, p, group):
        """The lazy step of the rows of a table that have a gradient."""
        state = self.state[p]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg_sq"] = torch.zeros_like(p)
            # The step that moved each row last; 0: none did.
            state["moved"] = torch.zeros(len(p), dtype=torch.int32, device=p.device)
        state["step"] += 1
        t = int(state["step"])
        grad = p.grad.coalesce()
        rows, g = grad.indices()[0], grad.values()
        if not len(rows):
            return
        beta = group["betas"][1]
        gap = (t - state["moved"].index_select(0, rows)).to(p.dtype).unsqueeze(1)
        v = state["exp_avg_sq"].index_select(0, rows)
        v.mul_(beta**gap).addcmul_(g, g, value=1 - beta)
        state["exp_avg_sq"].index_copy_(0, rows, v)
        state["moved"].index_fill_(0, rows, t)
        rate = (v / (1 - beta**t)).sqrt_().add_(group["eps"]).reciprocal_()
        rate.mul_(group["lr"])
        new = p.index_select(0, rows).addcmul_(rate, g, value=-1)
        if group["weight_decay"]:
            new.div_(1 + rate * (gap * group["weight_decay"]))
        p.index_copy_(0, rows, new)

    def never_moved(self, p):
        """The rows of a table that no step has moved.

        Parameters
        ----------
        p : Parameter
            The table.

        Returns
        -------
        tensor of bool of shape (n_rows,) or None
            None where the table is not moved by rows.
        """
        moved = self.state[p].get("moved") if p in self.state else None
        return None if moved is None else moved == 0
