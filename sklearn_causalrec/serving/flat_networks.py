"""Networks as arrays: their outcomes by numpy alone, of rows and of all pairs.

The arrays are those of the networks where they lie in main memory; nothing is copied.
torch is not imported here.
"""

import numpy as np
from scipy.special import erf, expit

BLOCK = 4096  # rows at once


def _relu(x):
    return np.maximum(x, 0, out=x)


def _elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _gelu(x):
    return (0.5 * x * (1 + erf(x * x.dtype.type(np.sqrt(0.5))))).astype(x.dtype)


def _tanh(x):
    return np.tanh(x, out=x)


_ACTIVATIONS = {"ReLU": _relu, "ELU": _elu, "GELU": _gelu, "Tanh": _tanh}


def _array(tensor):
    return None if tensor is None else tensor.detach().numpy()


class FlatNetwork:
    """One network: a perceptron, a product of id vectors, and linear terms.

    Parameters
    ----------
    module : CausalNetwork
        With an encoder "dnn" or "mf", no history, towers or text, on the CPU.
    """

    def __init__(self, module):
        encoder, wide, scale = module.encoder, module.wide, module.standardize
        self.mean, self.rate = _array(scale.mean), _array(scale.rate)
        self.wide, self.bias = _array(wide.weight), _array(wide.bias)
        tables = ("user", "item")
        self.wide_of, self.vectors = [], []
        for kind in tables:
            for part, into in ((wide, self.wide_of), (module.vectors, self.vectors)):
                table = getattr(part, kind)
                into.append(None if table is None else _array(table.weight))
        self.product = hasattr(encoder, "arm_scale")
        if self.product:
            self.arm_scale = _array(encoder.arm_scale)
            self.of = [list(encoder.of_user), list(encoder.of_item)]
            maps = encoder.user_features, encoder.item_features
            self.maps = [None if m is None else _array(m.weight) for m in maps]
        self._read_perceptron(encoder)

    def _read_perceptron(self, encoder):
        self.activation = None
        self.layers, self.last = [], None
        for layer in encoder.dense:
            if hasattr(layer, "weight"):
                self.layers.append((_array(layer.weight), _array(layer.bias)))
        heads = encoder.heads
        if heads is None:
            return
        self.activation = type(heads.activation).__name__
        weight, bias = _array(heads.weight), _array(heads.bias)
        if heads.hidden is not None:
            hidden = heads.hidden
            self.layers.append((_array(hidden.weight), _array(hidden.bias)))
            # Each arm reads units of its own: zeros between them make one product.
            n_arms, width = weight.shape
            own = np.zeros((n_arms, n_arms, width), weight.dtype)
            own[np.arange(n_arms), np.arange(n_arms)] = weight
            weight = own.reshape(n_arms, -1)
        self.last = weight, bias

    def _standardized(self, features):
        return (features - self.mean) * self.rate

    def _of_ids(self, tables, codes):
        return [
            None if table is None or ids is None else table[ids]
            for table, ids in zip(tables, codes)
        ]

    def _rest(self, hidden):
        """From the sums of the first layer to what the heads say."""
        apply = _ACTIVATIONS[self.activation]
        for weight, bias in self.layers[1:]:
            hidden = apply(hidden) @ weight.T
            hidden += bias
        out = apply(hidden) @ self.last[0].T if self.layers else hidden
        return out + self.last[1] if self.layers else out

    @property
    def _first(self):
        return self.layers[0] if self.layers else self.last

    def link(self, features, user=None, item=None):
        """Outcome of rows under each arm on the link scale, (n, n_arms)."""
        codes = user, item
        x = self._standardized(features)
        out = x @ self.wide.T
        out += self.bias
        for part in self._of_ids(self.wide_of, codes):
            if part is not None:
                out += part
        vectors = self._of_ids(self.vectors, codes)
        read = x
        if self.product:
            sides = [
                v if m is None else v + x[:, of] @ m.T
                for v, m, of in zip(vectors, self.maps, self.of)
            ]
            out += (sides[0] * sides[1]) @ self.arm_scale.T
        else:
            read = np.hstack([x, *(v for v in vectors if v is not None)])
        if self.last is not None:
            weight, bias = self._first
            hidden = read @ weight.T
            hidden += bias
            out += self._rest(hidden)
        return out

    def side(self, features, codes, kind, mine):
        """What one side of pairs adds: to linear terms, products, the first layer.

        Parameters
        ----------
        features : ndarray of shape (n, p)
        codes : ndarray of int of shape (n,)
            Of users where kind is 0, of items where it is 1.
        kind : {0, 1}
        mine : ndarray of bool of shape (p,)
            The features that this side brings; the other brings the rest.

        Returns
        -------
        tuple of (ndarray of shape (n, n_arms), ndarray or None, ndarray or None)
        """
        x = np.where(mine, self._standardized(features), 0).astype(self.wide.dtype)
        out = x @ self.wide.T
        if self.wide_of[kind] is not None:
            out += self.wide_of[kind][codes]
        if kind == 0:
            out += self.bias
        vectors = np.zeros((len(x), 0), x.dtype)  # of users that have none
        if self.vectors[kind] is not None:
            vectors = self.vectors[kind][codes]
        factors = hidden = None
        weight, bias = self._first if self.last is not None else (None, None)
        p = x.shape[1]
        if self.product:
            factors = vectors
            if self.maps[kind] is not None:
                factors = factors + x[:, self.of[kind]] @ self.maps[kind].T
            if self.last is not None:
                hidden = x @ weight.T
        elif self.last is not None:
            width = vectors.shape[1]
            start = p if kind == 0 or self.vectors[0] is None else p + width
            own = weight[:, start : start + width]
            hidden = x @ weight[:, :p].T + vectors @ own.T
        if hidden is not None and kind == 0:
            hidden += bias
        return out, factors, hidden

    def splits(self, mine):
        """Whether products read of each side only what that side brings."""
        if not self.product:
            return True
        return all(m[of].all() for m, of in zip(mine, self.of))

    def pair(self, user, items):
        """Outcome of one user with items on the link scale, (n_items, n_arms).

        Parameters
        ----------
        user, items : tuple
            As :meth:`side` returns it; of the user one row, without its first axis.
        """
        (out, factors, hidden), (outs, more, layers) = user, items
        found = outs + out
        if factors is not None:
            found += more @ (self.arm_scale * factors).T
        if hidden is not None:
            found += self._rest(layers + hidden)
        return found


class FlatNetworks:
    """The networks of an ensemble, whose mean predicts.

    Parameters
    ----------
    networks : list of FlatNetwork
    log_encoder : LogEncoder
        Knows the scale of the outcome.
    """

    def __init__(self, networks, log_encoder):
        self.networks, self.log_encoder = networks, log_encoder

    @classmethod
    def of(cls, ensemble):
        """The networks as arrays, over the same memory.

        Parameters
        ----------
        ensemble : Ensemble

        Returns
        -------
        FlatNetworks or None
            None where a network has a history, towers, text, an encoder other than
            "dnn" and "mf" or a loss over the catalogue, or is not on the CPU.
        """
        for net in ensemble.nets:
            module = net.module_
            encoder = type(module.encoder)
            plain = (
                net.device == "cpu"
                and type(module).__name__ == "CausalNetwork"
                and module.towers is None
                and getattr(module, "text", None) is None
                and encoder.__module__.startswith("sklearn_causalrec.")
                and encoder.__name__ in ("DNN", "MF")
                and getattr(module.encoder, "history", None) is None
            )
            if not plain:
                return None
        networks = [FlatNetwork(net.module_) for net in ensemble.nets]
        return cls(networks, ensemble.log_encoder)

    def copy(self):
        """With arrays of its own, which no training changes."""
        import copy

        return FlatNetworks(copy.deepcopy(self.networks), self.log_encoder)

    def _mean(self, links):
        total = 0.0
        for link in links:
            total = total + (expit(link) if self.log_encoder.binary else link)
        return self.log_encoder.in_units(total / len(self.networks))

    def outcome(self, features, user=None, item=None):
        """Mean outcome of rows in the units of y, (n, n_arms).

        Parameters
        ----------
        features : ndarray of shape (n, p), float32
        user, item : ndarray of int of shape (n,), default=None
        """
        parts = []
        for start in range(0, max(len(features), 1), BLOCK):
            b = slice(start, start + BLOCK)
            codes = (None if ids is None else ids[b] for ids in (user, item))
            given = (features[b], *codes)
            parts.append(self._mean([net.link(*given) for net in self.networks]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def splits(self, mine):
        """Whether the networks read of each side of a pair only what it brings.

        Parameters
        ----------
        mine : sequence of two ndarray of bool
            The features that users, and that items bring.

        Returns
        -------
        bool
        """
        return all(net.splits(mine) for net in self.networks)

    def side(self, features, codes, kind, mine):
        """One side of pairs, a tuple of each network: see :meth:`FlatNetwork.side`."""
        return [net.side(features, codes, kind, mine) for net in self.networks]

    def pairs(self, users, position, items):
        """Mean outcome of a user with some items in the units of y, (n, n_arms).

        Parameters
        ----------
        users, items : list of tuple
            As :meth:`side` returns it.
        position : int
            Which of the users.
        """
        links = []
        for net, of_users, of_items in zip(self.networks, users, items):
            user = tuple(None if part is None else part[position] for part in of_users)
            links.append(net.pair(user, of_items))
        return self._mean(links)
