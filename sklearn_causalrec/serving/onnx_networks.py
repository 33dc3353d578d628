"""The networks as a graph of ONNX, by torch's exporter."""

import copy
import logging
import warnings

import torch
from torch import nn

OPSET = 20


class _Recurrent(nn.Module):
    """ONNX's own GRU or LSTM with the weights of torch's, whose gates it orders anew.

    torch's exporter writes out its loop for the batch that it sees, and no other then
    fits.
    """

    def __init__(self, cell):
        super().__init__()
        gates = {"GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}
        self.kind = type(cell).__name__
        self.width = cell.hidden_size
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            parts = getattr(cell, name).detach().chunk(len(gates[self.kind]))
            ordered = torch.cat([parts[g] for g in gates[self.kind]])
            self.register_buffer(name[:-3], ordered)

    def forward(self, items):
        n, length, _ = items.shape
        bias = torch.cat([self.bias_ih, self.bias_hh])[None]
        (states,) = torch.onnx.ops.symbolic_multi_out(
            self.kind,
            [items.transpose(0, 1), self.weight_ih[None], self.weight_hh[None], bias],
            {"hidden_size": self.width}
            | ({"linear_before_reset": 1} if self.kind == "GRU" else {}),
            dtypes=[items.dtype],
            shapes=[(length, 1, n, self.width)],
            version=OPSET,
        )
        return states[:, 0].transpose(0, 1), None


class _Outcomes(nn.Module):
    """The mean outcome of networks: on the link scale, or a probability."""

    def __init__(self, nets, binary):
        super().__init__()
        modules = [copy.deepcopy(net.module_).cpu().float().eval() for net in nets]
        self.networks, self.binary = nn.ModuleList(modules), binary
        for module in modules:
            history = getattr(module.encoder, "history", None)
            if history is not None:
                history.forward = history.states
                if hasattr(history.sequence, "cell"):
                    history.sequence.cell = _Recurrent(history.sequence.cell)

    def forward(self, features, user=None, item=None, history=None, values=None):
        total = 0.0
        for network in self.networks:
            link = network(features, user, item, history, values).outcome
            total = total + (link.sigmoid() if self.binary else link)
        return total / len(self.networks)


def networks_graph(nets, binary, inputs):
    """The graph from encoded rows to the mean outcome of every arm, (n, n_arms).

    Parameters
    ----------
    nets : list of CausalNet
    binary : bool
        Whether outcomes are probabilities.
    inputs : dict of str to tensor
        A few rows, by the names of the network's arguments.

    Returns
    -------
    onnx.ModelProto
        With inputs of these names and the output "mean".
    """
    names = list(inputs)
    rows = torch.export.Dim("n", min=1)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Outcomes(nets, binary),
                kwargs=inputs,
                dynamic_shapes={name: {0: rows} for name in names},
                input_names=names,
                output_names=["mean"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    return program.model_proto
