"""Networks: an encoder of the row, and heads for outcome, exposure and imputation."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.encoders.base import ACTIVATIONS, Inputs
from sklearn_causalrec.networks.text_tower import TextLayer


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


def id_table(n_ids, width, std):
    """Embeddings of n ids and, last, of every id not seen (at zero: the average)."""
    table = nn.Embedding(n_ids + 1, width)
    nn.init.normal_(table.weight, std=std) if std else nn.init.zeros_(table.weight)
    with torch.no_grad():
        table.weight[-1] = 0.0
    return table


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
        return [
            table(ids) for table, ids in tables if table is not None and ids is not None
        ]


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


def _shared(owners, group):
    """The one owner of all features of a group; "context" if there are several."""
    found = {owners[j] for j in group}
    return found.pop() if len(found) == 1 else "context"


def _positions(owners, who):
    return () if owners is None else tuple(j for j, o in enumerate(owners) if o == who)


class WithIdTables(nn.Module):
    """A network whose tables of ids, modules called user or item, can grow."""

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


class CausalNetwork(WithIdTables):
    """Outcome heads for every arm, an exposure head and an imputation head.

    The outcome is a wide part (linear terms and id biases; Cheng et al. 2016) plus the
    deep part of the encoder. The other heads read the encoder's representation, with
    a wide part of their own. With towers, groups of features have a first layer of
    their own.

    Parameters
    ----------
    n_features, n_users, n_items, n_arms : int
        Numbers of each. 0 users or items: there are no such ids.
    mean, scale : array of shape (n_features,)
        Moments of the features, for standardisation.
    encoder : str, default="dnn"
        Name of a registered encoder.
    hidden_layer_sizes, embedding_dim, activation, dropout
        Options of the encoder.
    input_noise : float, default=0.0
        Standard deviation of the noise on features while training.
    exposure, imputation : bool
        Which heads there are beside the outcome.
    shared : bool, default=False
        Whether the loss of the exposure head shapes the representation, as in
        DragonNet. Otherwise the head only reads it.
    history : dict or None, default=None
        ``n_ids``, the number of items, and ``length``, ``mean`` and ``scale`` of the
        histories. Their items share the vectors of the item column.
    towers : list of list of int or None, default=None
        Positions of the features of each group.
    owners : sequence of {"user", "item", "context"} or None, default=None
        Whose each feature is. A group has an owner if all its features have the same.
        None: nobody's.
    text : dict or None, default=None
        ``mean``, ``scale`` and ``adapters`` of a tower of texts; see
        :class:`~sklearn_causalrec.networks.text_tower.TextLayer`. The codes of the
        texts are one column more, behind the features, and ``owners`` tells of it.
    intercept : float or array of shape (n_arms,), default=0.0
        Where the outcome and its imputation start, on the link scale.
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
        owners=None,
        text=None,
        intercept=0.0,
    ):
        super().__init__()
        self.shared = shared
        self.standardize = Standardize(mean, scale, input_noise)
        history = dict(history) if history else None
        n_ids = history.pop("n_ids") if history else n_items
        self.vectors = IdVectors(n_users, n_ids, embedding_dim)
        self.towers = self.text = None
        n_deep = n_features
        n_towers = len(towers or ()) + (text is not None)
        width = max(max(hidden_layer_sizes, default=0) // max(n_towers, 1), 8)
        of_text = [] if owners is None or text is None else [owners[-1]] * width
        owners = None if owners is None else owners[:n_features]
        if towers:
            self.towers = Towers(towers, width, activation)
            n_deep = width * len(towers)
            n_features += len(towers)
            if owners is not None:
                owners = np.repeat([_shared(owners, group) for group in towers], width)
        if text is not None:
            self.text = TextLayer(**text, width=width, activation=activation)
            n_deep += width
            owners = None if owners is None else [*owners, *of_text]
        self.encoder = ENCODERS[encoder](
            Inputs(
                n_deep,
                bool(n_users),
                bool(n_items),
                history,
                of_user=_positions(owners, "user"),
                of_item=_positions(owners, "item"),
            ),
            n_arms,
            hidden_layer_sizes=hidden_layer_sizes,
            embedding_dim=embedding_dim,
            activation=activation,
            dropout=dropout,
        )
        sizes = (n_features, n_users, n_items, n_arms)
        self.wide = WidePart(*sizes)
        self.wide.bias.data[:] = torch.as_tensor(intercept)
        width = self.encoder.width
        self.exposure = ReadOut(width, *sizes) if exposure else None
        self.imputation = ReadOut(width, *sizes) if imputation else None
        if imputation:
            self.imputation.wide.bias.data[:] = torch.as_tensor(intercept)

    def forward(
        self, features, user=None, item=None, history=None, history_values=None, **_
    ):
        text, read = getattr(self, "text", None), None  # absent in earlier files
        if text is not None:
            features, read = features[:, :-1], text(features[:, -1])
        x = deep = self.standardize(features)
        if self.towers is not None:
            deep, x = self.towers(x)
        if read is not None:
            deep = torch.cat([deep, read], dim=1)
        past = None if history is None else (history, history_values)
        outcome, representation = self.encoder(deep, self.vectors, user, item, past)
        fixed = representation.detach()
        seen = representation if self.shared else fixed
        return Output(
            outcome + self.wide(x, user, item),
            self.exposure and self.exposure(seen, x, user, item),
            self.imputation and self.imputation(fixed, x, user, item),
        )

    def users_side(self, users, arm):
        """Vectors (n, width + 2) whose products with the items' are outcomes on the
        link scale, where ids are all there is."""
        bias = self.wide.bias[arm] + self.wide.user(users)[:, arm, None]
        own = self.encoder.of_users(self.vectors, users, arm)
        return torch.cat([own, bias, torch.ones_like(bias)], dim=1)

    def items_side(self, items, arm):
        """Vectors (m, width + 2) of items, beside :meth:`users_side`."""
        bias = self.wide.item(items)[:, arm, None]
        own = self.vectors.item(items)
        return torch.cat([own, torch.ones_like(bias), bias], dim=1)
