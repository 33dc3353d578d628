"""Id tables of trained networks: read side by side, and lengthened by made-up rows."""

import copy

import numpy as np
import torch
from torch import nn


def id_vectors(ensemble, kind):
    """All that the networks learned of each user or item, side by side.

    Parameters
    ----------
    ensemble : Ensemble
    kind : {"user", "item"}

    Returns
    -------
    ndarray of shape (n_ids + 1, width)
        The columns of the id tables (vectors, biases of heads) of all networks. The
        last row stands for ids not seen. Networks without such tables have no columns.
    """
    tables = [t for net in ensemble.nets for t in net.module_._id_tables(kind)]
    if not tables:
        ids = getattr(ensemble.log_encoder, f"{kind}s")
        return np.empty((len(ids) + 1, 0), np.float32)
    return np.hstack([table.weight.detach().cpu().numpy() for table in tables])


def embeddings(ensemble, kind):
    """The vectors of users or items alone, without biases.

    Parameters
    ----------
    ensemble : Ensemble
    kind : {"user", "item"}

    Returns
    -------
    list of ndarray of shape (n_ids + 1, embedding_dim)
        One table a network. The last row stands for ids not seen.
    """
    tables = [getattr(net.module_.vectors, kind) for net in ensemble.nets]
    return [table.weight.detach().cpu().numpy() for table in tables]


def with_more_ids(ensemble, more):
    """The ensemble with rows behind those of its id tables.

    Weights other than those of the tables are shared with the given ensemble, which
    stays as it is.

    Parameters
    ----------
    ensemble : Ensemble
    more : dict of {"user", "item"} to ndarray of shape (n_new, width)
        Columns as in :func:`id_vectors`. The first new row has the code n_ids + 1.

    Returns
    -------
    Ensemble
    """
    out = copy.copy(ensemble)
    out.nets = [_with_own_tables(net) for net in ensemble.nets]
    for kind, rows in more.items():
        start = 0
        for net in out.nets:
            for table in net.module_._id_tables(kind):
                stop = start + table.embedding_dim
                part = torch.as_tensor(rows[:, start:stop]).to(table.weight)
                weight = torch.cat([table.weight.detach(), part])
                table.weight = nn.Parameter(weight, requires_grad=False)
                table.num_embeddings = len(weight)
                start = stop
    return out


def without_ids(nets, kind, keep):
    """Remove rows of the id tables, in place; ids that were removed are as unseen ones.

    The row of unseen ids, where it is the mean of all others, becomes that of those
    which stay: with the old one, these would tell the row that is gone. The nets are
    copies, which leave out the tables of the best epoch that callbacks of skorch hold.

    Parameters
    ----------
    nets : list of CausalNet
    kind : {"user", "item"}
    keep : ndarray of bool of shape (n_ids,)
        Which of the ids stay.
    """
    rows = torch.as_tensor(np.append(np.flatnonzero(keep), len(keep)))
    for net in nets:
        moments = net.optimizer_.state if hasattr(net, "optimizer_") else {}
        for table in net.module_._id_tables(kind):
            at = rows.to(table.weight.device)
            known = table.weight.data[:-1].mean(0)
            is_mean = torch.allclose(table.weight.data[-1], known, rtol=1e-4, atol=1e-6)
            for name, value in moments.get(table.weight, {}).items():
                if value.shape[:1] == table.weight.shape[:1]:
                    moments[table.weight][name] = value[at]
            table.weight.data = table.weight.data[at]
            if is_mean:
                table.weight.data[-1] = table.weight.data[:-1].mean(0)
            table.num_embeddings = len(rows)


def _with_own_tables(net):
    module = net.module_
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    other = object.__new__(type(net))  # copy.copy would go through a pickle
    vars(other).update(vars(net), module_=copy.deepcopy(module, shared))
    return other
