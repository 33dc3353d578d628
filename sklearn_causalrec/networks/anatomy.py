"""What a network is made of, and what flows where: read off the modules at work."""

from typing import NamedTuple

import torch
from torch import nn


class Block(NamedTuple):
    """A part of a network: an input, layers with parameters, or an output."""

    name: str  # where it is, as print(module) says; or what goes in or comes out
    kind: str  # "input", "layer" or "output"
    what: str  # its layer and shapes
    n_parameters: int
    sources: tuple[int, ...]  # the positions of the blocks that feed it


def _layers(module, prefix=""):
    """Modules with parameters of their own, outermost first; each parameter once.

    A module that only arranges others is looked into. So is one that holds an encoder
    of rows, whose own parameters are told apart from its layers'.
    """
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        own = any(True for _ in child.parameters(recurse=False))
        arranges = not own or isinstance(getattr(child, "dense", None), nn.Module)
        if arranges:
            yield from _layers(child, f"{path}.")
        else:
            yield path, child


def _loose(module, layers):
    """Parameters that belong to none of the layers, by name."""
    held = {id(p) for _, layer in layers for p in layer.parameters()}
    return [(n, p) for n, p in module.named_parameters() if id(p) not in held]


def _told(layer, shape):
    """What a layer is, and what it makes of a row."""
    if isinstance(layer, nn.Linear):
        return f"Linear {layer.in_features} → {layer.out_features}"
    if isinstance(layer, nn.Embedding):
        return f"Embedding {layer.num_embeddings:,} × {layer.embedding_dim}"
    return f"{type(layer).__name__} → {_shape(shape)}"


def _shape(shape):
    return " × ".join(map(str, shape)) or "1"


def _tensors(values):
    """The tensors among arguments or results, nested ones too."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors(tuple(values.values()))
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)


class _Trace:
    """Who made each tensor, by the graph that autograd keeps of a pass."""

    def __init__(self):
        self.made = {}  # node of autograd -> block
        self.leaves = {}  # id of a parameter or an input -> block
        self.stored = {}  # place in memory -> blocks: for what was detached
        self.alive = []  # a place in memory must not be used twice

    def note(self, tensor, block):
        self.alive.append(tensor)
        if tensor.grad_fn is not None:
            self.made[tensor.grad_fn] = block
        self.remember(tensor, {block})

    def remember(self, tensor, blocks):
        self.alive.append(tensor)
        self.stored.setdefault(tensor.untyped_storage().data_ptr(), set()).update(
            blocks
        )

    def origins(self, tensor):
        """The blocks that a tensor was computed from, the nearest ones."""
        if tensor.grad_fn is None:
            found = self.stored.get(tensor.untyped_storage().data_ptr(), ())
            return {*found, *self._leaf(tensor)}
        found, seen, queue = set(), set(), [tensor.grad_fn]
        while queue:
            node = queue.pop()
            if node in self.made:
                found.add(self.made[node])
                continue
            found |= self._leaf(getattr(node, "variable", None))
            for after, _ in node.next_functions:
                if after is not None and after not in seen:
                    seen.add(after)
                    queue.append(after)
        return found

    def _leaf(self, tensor):
        block = self.leaves.get(id(tensor))
        return set() if block is None else {block}


def anatomy(module, inputs):
    """The blocks of a network, in an order in which data flow through them.

    Parameters
    ----------
    module : nn.Module
        A network, such as ``nets_[0].module_`` of an estimator.
    inputs : dict of str to tensor
        What it reads of a few rows.

    Returns
    -------
    list of Block
        The parameters of the blocks add up to those of the network.
    """
    layers = list(_layers(module))
    blocks, trace, pasts = [], _Trace(), set()

    def add(name, kind, layer=None, n_parameters=0, what="", sources=()):
        blocks.append([name, kind, layer, n_parameters, what, set(sources)])
        return len(blocks) - 1

    inputs = {k: v.clone() for k, v in inputs.items()}
    for name, value in inputs.items():
        if value.is_floating_point():
            value.requires_grad_(True)
        ids = not value.is_floating_point()
        width = value[0].numel()
        what = f"{width:,} {'codes' if ids else 'numbers'}" if width > 1 else "1 code"
        what = "1 number" if not ids and width == 1 else what
        place = add(name, "input", what=what)
        if ids and width > 1:
            pasts.add(place)
        trace.leaves[id(value)] = place
        trace.remember(value, {place})
    for name, parameter in _loose(module, layers):
        what = f"parameters {_shape(parameter.shape)}"
        trace.leaves[id(parameter)] = add(
            name, "layer", n_parameters=parameter.numel(), what=what
        )
    hooks, place_of = [], {}
    for path, layer in layers:
        n = sum(p.numel() for p in layer.parameters())
        place_of[layer] = add(path, "layer", layer, n)

    def after_layer(layer, args, kwargs, result):
        block = place_of[layer]
        for tensor in _tensors((args, kwargs)):
            found = trace.origins(tensor)
            codes = not (tensor.is_floating_point() or tensor.dtype == torch.bool)
            if codes and not found:
                found = pasts  # codes of histories are cut and filled up on the way
            blocks[block][5] |= found - {block}
        for tensor in _tensors(result):
            blocks[block][4] = blocks[block][4] or _told(layer, tensor.shape[1:])
            trace.note(tensor, block)

    def after_any(part, args, result):
        for tensor in _tensors(result):
            trace.remember(tensor, trace.origins(tensor))

    inside = {id(p) for _, layer in layers for p in layer.modules()}
    for part in module.modules():
        if part in place_of:
            hooks.append(part.register_forward_hook(after_layer, with_kwargs=True))
        elif id(part) not in inside:
            hooks.append(part.register_forward_hook(after_any))
    mode = module.training
    try:
        module.train(False)
        with torch.enable_grad():
            result = module(**inputs)
    finally:
        module.train(mode)
        for hook in hooks:
            hook.remove()
    for name, tensor in result._asdict().items():
        if tensor is not None:
            what = f"{tensor.shape[1]} a row"
            add(name, "output", what=what, sources=trace.origins(tensor))
    return _in_order(blocks)


def _in_order(blocks):
    """Blocks after those that feed them; without inputs that nothing reads."""
    read = set().union(*(b[5] for b in blocks))
    order, left = [], [k for k, b in enumerate(blocks) if b[1] != "input" or k in read]
    while left:
        ready = [k for k in left if blocks[k][5] <= {*order}]
        order += ready
        left = [k for k in left if k not in ready]
    place = {k: i for i, k in enumerate(order)}
    return [
        Block(name, kind, what, n, tuple(sorted(place[s] for s in sources)))
        for name, kind, _, n, what, sources in (blocks[k] for k in order)
    ]
