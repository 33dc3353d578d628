"""Networks: an encoder of the row, and heads for outcome, exposure and imputation."""

from typing import NamedTuple

import torch
from torch import nn

from sklearn_causalrec.networks.sequences import HistoryEncoder

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Output(NamedTuple):
    """What a network says of n rows and A arms."""

    outcome: torch.Tensor  # (n, A) on the link scale
    exposure: torch.Tensor | None  # (n, A) logits; with one arm a log density ratio
    imputation: torch.Tensor | None  # (n, A) on the link scale


class Standardize(nn.Module):
    """Features to mean 0 and scale 1, with additive noise while training."""

    def __init__(self, mean, scale, noise=0.0):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("rate", 1 / torch.as_tensor(scale, dtype=torch.float32))
        self.noise = noise

    def forward(self, x):
        x = (x - self.mean) * self.rate
        if self.training and self.noise > 0:
            x = x + self.noise * torch.randn_like(x)
        return x


def dense_layers(n_in, sizes, activation, dropout):
    """Linear, activation and dropout for every size; and the width that comes out."""
    layers = []
    for size in sizes:
        layers += [nn.Linear(n_in, size), ACTIVATIONS[activation]()]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        n_in = size
    return nn.Sequential(*layers), n_in


def id_table(n_ids, width, std):
    """Embeddings of n ids and, last, of every id not seen (at zero: the average)."""
    table = nn.Embedding(n_ids + 1, width)
    nn.init.normal_(table.weight, std=std) if std else nn.init.zeros_(table.weight)
    with torch.no_grad():
        table.weight[-1] = 0.0
    return table


class ArmHeads(nn.Module):
    """One hidden layer and one output for each arm (Shalit et al. 2017)."""

    def __init__(self, n_in, width, n_arms, activation):
        super().__init__()
        self.hidden = nn.Linear(n_in, n_arms * width) if width else None
        self.activation = ACTIVATIONS[activation]()
        self.weight = nn.Parameter(torch.empty(n_arms, width or n_in))
        self.bias = nn.Parameter(torch.zeros(n_arms))
        nn.init.normal_(self.weight, std=0.5 * (width or n_in) ** -0.5)

    def forward(self, representation):
        if self.hidden is None:
            return representation @ self.weight.T + self.bias
        h = self.activation(self.hidden(representation))
        if len(self.weight) == 1:
            return h @ self.weight.T + self.bias
        return (h.unflatten(1, self.weight.shape) * self.weight).sum(2) + self.bias


class WidePart(nn.Module):
    """Linear terms: features, and a bias for each user and item."""

    def __init__(self, n_features, n_users, n_items, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_features))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.user = id_table(n_users, n_out, 0) if n_users else None
        self.item = id_table(n_items, n_out, 0) if n_items else None

    def forward(self, x, user, item):
        out = nn.functional.linear(x, self.weight, self.bias)
        if self.user is not None:
            out = out + self.user(user)
        if self.item is not None:
            out = out + self.item(item)
        return out


class IdVectors(nn.Module):
    """Embeddings of users and items."""

    def __init__(self, n_users, n_items, width):
        super().__init__()
        self.user = id_table(n_users, width, 0.1) if n_users else None
        self.item = id_table(n_items, width, 0.1) if n_items else None

    def forward(self, user, item):
        """One (n, width) tensor for each kind of id there is."""
        tables = ((self.user, user), (self.item, item))
        return [table(ids) for table, ids in tables if ids is not None]


class Towers(nn.Module):
    """A layer for each group of features; one vector instead where it is missing.

    Parameters
    ----------
    groups : list of list of int
        Positions of the features of each group.
    width : int
        Of each group's layer.
    activation : str
    """

    def __init__(self, groups, width, activation):
        super().__init__()
        self.groups = groups
        self.layers = nn.ModuleList(nn.Linear(len(g), width) for g in groups)
        self.missing = nn.Parameter(torch.zeros(len(groups), width))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x):
        """Features (n, p) with gaps to the vectors of the groups and to features
        (n, p + n_groups) with no gaps, which say what was missing."""
        gaps = torch.stack([x[:, g[0]].isnan() for g in self.groups], dim=1)
        x = x.nan_to_num()
        seen = [
            torch.where(gap.unsqueeze(1), instead, self.activation(layer(x[:, g])))
            for g, layer, instead, gap in zip(
                self.groups, self.layers, self.missing, gaps.T
            )
        ]
        return torch.cat(seen, dim=1), torch.cat([x, gaps.to(x.dtype)], dim=1)


class ReadOut(nn.Module):
    """A linear head on the representation, with a wide part of its own."""

    def __init__(self, width, n_features, n_users, n_items, n_out):
        super().__init__()
        self.deep = nn.Linear(width, n_out, bias=False) if width else None
        self.wide = WidePart(n_features, n_users, n_items, n_out)

    def forward(self, representation, x, user, item):
        out = self.wide(x, user, item)
        return out if self.deep is None else out + self.deep(representation)


class CausalNetwork(nn.Module):
    """Outcome heads for every arm, an exposure head and an imputation head.

    The outcome is a wide part (linear terms and id biases; Cheng et al. 2016) plus a
    deep part. With ``encoder="dnn"`` the deep part is a multilayer perceptron over
    features and id embeddings whose last hidden layer belongs to the arm (TARNet,
    Shalit et al. 2017; with the exposure head DragonNet, Shi et al. 2019). With
    ``encoder="mf"`` it is the inner product of user and item vectors (Koren et al.
    2009), plus a perceptron over the features where there are any. A history of items
    adds its states, and their products with the item's vector, to what the
    perceptron reads; its items share the item's vectors. With towers, groups of
    features have a first layer of their own.

    Parameters
    ----------
    n_features, n_users, n_items, n_arms : int
        0 users or items: no such ids.
    mean, scale : array of shape (n_features,)
        Of the features, for standardisation.
    exposure, imputation : bool
        Which heads there are beside the outcome.
    history : dict, optional
        ``n_ids``, ``length``, ``mean`` and ``scale`` of a
        :class:`~sklearn_causalrec.networks.sequences.HistoryEncoder`.
    towers : list of list of int, optional
    intercept : float or array of shape (n_arms,)
        Where the outcome and its imputation start, on the link scale.
    shared : bool
        Whether the exposure loss shapes the representation, as in DragonNet; else
        the head reads the representation only.
    """

    def __init__(
        self,
        n_features,
        n_users,
        n_items,
        n_arms,
        mean,
        scale,
        encoder="dnn",
        hidden_layer_sizes=(128, 64),
        embedding_dim=16,
        activation="relu",
        dropout=0.0,
        input_noise=0.0,
        exposure=True,
        imputation=False,
        shared=False,
        history=None,
        towers=None,
        intercept=0.0,
    ):
        super().__init__()
        self.encoder = encoder
        self.shared = shared
        self.standardize = Standardize(mean, scale, input_noise)
        n_ids = history["n_ids"] if history else n_items
        self.vectors = IdVectors(n_users, n_ids, embedding_dim)
        self.history = self.towers = None
        n_dense = n_features
        if towers:
            width = max(max(hidden_layer_sizes, default=0) // len(towers), 8)
            self.towers = Towers(towers, width, activation)
            n_dense = width * len(towers)
            n_features += len(towers)
        if encoder != "mf":
            n_dense += embedding_dim * (bool(n_users) + bool(n_items))
        if history:
            moments = history["mean"], history["scale"]
            self.history = HistoryEncoder(
                encoder, embedding_dim, history["length"], *moments, dropout
            )
            n_dense += embedding_dim * (1 + bool(n_items)) * self.history.n_states
        *common, last = (
            hidden_layer_sizes if n_dense and len(hidden_layer_sizes) else (0,)
        )
        self.dense, width = dense_layers(n_dense, common, activation, dropout)
        self.heads = ArmHeads(width, last, n_arms, activation) if n_dense else None
        if encoder == "mf":
            self.arm_scale = nn.Parameter(torch.ones(n_arms, embedding_dim))
            self.arm_scale.requires_grad_(n_arms > 1)
            width += embedding_dim
        sizes = (n_features, n_users, n_items, n_arms)
        self.wide = WidePart(*sizes)
        self.wide.bias.data[:] = torch.as_tensor(intercept)
        self.exposure = ReadOut(width, *sizes) if exposure else None
        self.imputation = ReadOut(width, *sizes) if imputation else None
        if imputation:
            self.imputation.wide.bias.data[:] = torch.as_tensor(intercept)

    def encode(self, x, user, item, past):
        """The deep part of the outcome, (n, A), and the representation under it."""
        vectors = self.vectors(user, item)
        if self.encoder != "mf":
            if self.history is not None:
                states = self.history(self.vectors.item, *past)
                match = [] if item is None else states * vectors[-1]
                vectors += [*states, *match]
            representation = self.dense(torch.cat([x, *vectors], dim=1))
            return self.heads(representation), representation
        product = vectors[0] * vectors[1]
        outcome = product @ self.arm_scale.T
        if self.heads is None:
            return outcome, product
        dense = self.dense(x)
        return outcome + self.heads(dense), torch.cat([product, dense], dim=1)

    def forward(
        self, features, user=None, item=None, history=None, history_values=None, **_
    ):
        x = deep = self.standardize(features)
        if self.towers is not None:
            deep, x = self.towers(x)
        past = history, history_values
        outcome, representation = self.encode(deep, user, item, past)
        fixed = representation.detach()
        seen = representation if self.shared else fixed
        return Output(
            outcome + self.wide(x, user, item),
            self.exposure and self.exposure(seen, x, user, item),
            self.imputation and self.imputation(fixed, x, user, item),
        )

    def outcome_matrix(self, users, items, arm):
        """Outcome of every user with every item, where ids are all there is."""
        vectors = self.vectors.user(users) * self.arm_scale[arm]
        bias = self.wide.bias[arm] + self.wide.user(users)[:, arm, None]
        out = torch.addmm(bias, vectors, self.vectors.item(items).T)
        return out.add_(self.wide.item(items)[:, arm].contiguous())

    def _id_tables(self, kind):
        return [m for name, m in self.named_modules() if name.split(".")[-1] == kind]

    @torch.no_grad()
    def settle_unseen_ids(self):
        """Ids not seen share the mean of the trained vectors."""
        for kind in ("user", "item"):
            for table in self._id_tables(kind):
                table.weight[-1] = table.weight[:-1].mean(0)

    @torch.no_grad()
    def grow_ids(self, n_users, n_items):
        """Room for more ids, which start as the unseen ones; whether there was need."""
        grown = False
        for kind, n_ids in (("user", n_users), ("item", n_items)):
            for table in self._id_tables(kind):
                weight = table.weight
                new = n_ids + 1 - len(weight)
                if new > 0:
                    more = weight[-1:].expand(new, -1)
                    table.weight = nn.Parameter(torch.cat([weight, more]))
                    table.num_embeddings = n_ids + 1
                    grown = True
        return grown
