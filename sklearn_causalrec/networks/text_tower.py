"""A tower of text: a pretrained encoder, frozen or tuned, in front of the networks."""

from dataclasses import dataclass
from numbers import Integral
from os import PathLike, fspath
from threading import RLock

import numpy as np
import torch
from torch import nn

from sklearn_causalrec.encoding.texts import NO_TEXT, TextIndex
from sklearn_causalrec.networks.encoders.layers import ACTIVATIONS
from sklearn_causalrec.networks.pretrained import PretrainedEncoder

TRAINING = ("frozen", "lora")
COMPONENTS = 8  # of the vectors, that models of the second stage read
# Adapters start at nothing, and all layers behind them move with them.
ADAPTER_RATE = 0.5


@dataclass(frozen=True)
class PretrainedText:
    """A column of texts, and the pretrained encoder that reads it.

    Texts are an input like any other: of the item, of the user or of the row, as the
    log tells (``catalogue_.owner``). Each distinct text is tokenised once. The encoder
    makes a vector of it, and a layer of the networks reads the vector. A missing text
    has a vector of its own, and so has one of blanks alone.

    Parameters
    ----------
    column : str or int
        The column of X with the texts, by name or position.
    model : str or path-like
        The folder of an encoder of transformers, with its tokenizer: of the types BERT,
        RoBERTa, DistilBERT, MPNet, ELECTRA, ALBERT, DeBERTa, ModernBERT. It can be the
        name of one that was downloaded before. ``fit`` downloads nothing.
    training : {"frozen", "lora"}, default="frozen"
        What is learned. With "frozen", the encoder stays as it is: the vector of each
        distinct text is computed once, and kept. With "lora", adapters of low rank [1]_
        beside all its linear layers are trained with the networks, under their
        objective. The weights of the encoder stay, and all networks share them.
    max_tokens : int, default=128
        The number of tokens of a text that count, the first ones. It is at most what
        the encoder takes.
    rank : int, default=8
        The rank of the adapters.
    license : str, default=None
        The licence of the weights, which become part of the fitted model and of its
        files. With None, it is read from the model's card, or from a file LICENSE; if
        there is none, a warning says so.

    See Also
    --------
    sklearn_causalrec.CausalDNNRecommender : Takes it as its parameter `text`.
    sklearn_causalrec.interactions.TextBag : Features of texts without a model.
    sklearn_causalrec.interactions.TextEmbedding : Frozen vectors as features.

    Notes
    -----
    Dropout is off in the encoder. Adapters are scaled by 2, and learn at half the
    learning rate. The second stage reads the first principal components of the frozen
    vectors, and the outcomes that the networks of the folds predict: what adapters
    learned of a row's own outcome does not enter its effect.

    References
    ----------
    .. [1] Hu, E. J. et al. (2022). "LoRA: low-rank adaptation of large language
       models." ICLR.

    Examples
    --------
    >>> from sklearn_causalrec.networks import PretrainedText
    >>> PretrainedText("title", "models/all-MiniLM-L6-v2", training="lora").rank
    8
    """

    column: str | int
    model: str | PathLike
    training: str = "frozen"
    max_tokens: int = 128
    rank: int = 8
    license: str | None = None

    def __post_init__(self):
        if not isinstance(self.column, (str, Integral)):
            raise ValueError(f"column is {self.column!r}: name one column of texts.")
        if not isinstance(self.model, (str, PathLike)):
            raise ValueError(
                f"model is {self.model!r}: pass the folder of a pretrained encoder, or "
                "the name of one that was downloaded before."
            )
        if self.training not in TRAINING:
            raise ValueError(
                f"training is {self.training!r}: choose one of {TRAINING}."
            )
        for name, least in (("max_tokens", 3), ("rank", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name} is {value!r}: at least {least}.")
        object.__setattr__(self, "model", fspath(self.model))
        if self.license is not None and not isinstance(self.license, str):
            raise ValueError(f"license is {self.license!r}: pass its name as text.")


class TextStore:
    """The texts that a fitted model has met: codes, tokens and frozen vectors.

    Texts that are new to ``predict`` are added, and stay while the process lives; what
    is pickled or saved holds those of ``fit`` alone.

    Parameters
    ----------
    settings : PretrainedText
        What to read, and how.
    device : str, default="cpu"
        Where vectors are computed.

    Attributes
    ----------
    encoder : PretrainedEncoder
        The pretrained network, shared by all that use the texts.
    index : TextIndex
        The codes of the texts.
    n_fit : int
        The number of codes that ``fit`` gave.
    mean, scale : ndarray of shape (width,), float
        The mean of the frozen vectors of the texts of ``fit``, and their root mean
        square distance from it in one direction.
    """

    n_fit = 0
    mean = scale = basis = None
    gaps = False

    def __init__(self, settings, device="cpu"):
        self.settings, self.device = settings, device
        self.column, self.tuned = settings.column, settings.training == "lora"
        rank = settings.rank if self.tuned else 0
        self.encoder = PretrainedEncoder(settings.model, rank, settings.license)
        self.index = TextIndex()
        self._tokens: list = [np.zeros(0, np.int32)]
        self._vectors = np.zeros((1, self.encoder.width), np.float32)
        self._lock = RLock()

    def __len__(self):
        return len(self.index)

    def __getstate__(self):
        """Without the texts that came after ``fit``."""
        n = self.n_fit
        state = {k: v for k, v in vars(self).items() if k != "_lock"}
        state |= {"index": self.index.first(n), "_tokens": self._tokens[:n]}
        return {**state, "_vectors": self._vectors[:n]}

    def __setstate__(self, state):
        vars(self).update(state, _lock=RLock())

    def codes(self, values, name):
        """Codes of texts; see :meth:`TextIndex.codes`."""
        return self.index.codes(values, name)

    def settle(self, codes):
        """What the log of a fit says of its texts.

        Parameters
        ----------
        codes : ndarray of shape (n,)
            Those of its rows.

        Raises
        ------
        ValueError
            If no row has a text.
        """
        self.n_fit = len(self)
        if self.mean is not None:
            return  # scales are those of the first rows
        vectors = self.frozen()[1:]
        if not len(vectors):
            raise ValueError(
                f"The text column {self.column!r} holds no text: all rows are missing "
                "or blank. Leave text= out, or name another column."
            )
        self.mean = vectors.mean(0)
        centred = vectors - self.mean
        scale = np.sqrt(np.mean(centred**2))
        self.scale = float(scale) if scale > 1e-6 else 1.0
        centred = centred.astype(float)
        size, columns = np.linalg.eigh(centred.T @ centred)
        size, columns = size[: -COMPONENTS - 1 : -1], columns[:, : -COMPONENTS - 1 : -1]
        kept = columns[:, size > 1e-8 * max(size[0], 1e-8)]
        signs = np.sign(kept[np.abs(kept).argmax(0), np.arange(kept.shape[1])])
        self.basis = kept * signs / self.scale
        self.gaps = bool((codes == NO_TEXT).any())

    def _tokenise(self, n):
        """Read the texts of the first n codes that have not been read."""
        start = len(self._tokens)
        texts = self.index.texts[start:n]
        if texts:
            texts = [text or "" for text in texts]
            more = self.encoder.tokens(texts, self.settings.max_tokens)
            self._tokens = [*self._tokens, *more]

    def tokens(self, codes):
        """The tokens of the texts of some codes.

        Parameters
        ----------
        codes : sequence of int

        Returns
        -------
        list of ndarray of int32
        """
        with self._lock:
            self._tokenise(len(self))
            return [self._tokens[code] for code in codes]

    def frozen(self):
        """The vectors of all texts met so far, as the pretrained network makes them.

        Returns
        -------
        ndarray of shape (n_codes, width), float32
            The first is zero, that of no text.
        """
        with self._lock:
            n, known = len(self), len(self._vectors)
            if n > known:
                tokens = self.tokens(range(known, n))
                with torch.no_grad():
                    more = self.encoder.vectors(tokens, device=self.device)
                self._vectors = np.concatenate([self._vectors, more.cpu().numpy()])
            return self._vectors

    def components(self, codes):
        """Numbers that tell the texts, for models that read features.

        Parameters
        ----------
        codes : ndarray of shape (n,)

        Returns
        -------
        ndarray of shape (n, k), float32
            The first principal components of the frozen vectors; and whether the text
            is missing, where some row of ``fit`` had none.
        """
        codes = codes.astype(np.int64)
        distinct, place = np.unique(codes, return_inverse=True)
        found = (self.frozen()[distinct] - self.mean) @ self.basis
        found[distinct == NO_TEXT] = 0
        if self.gaps:
            found = np.column_stack([found, distinct == NO_TEXT])
        return found[place].astype(np.float32)

    def layer(self):
        """Arguments of the :class:`TextLayer` of a network, a dict."""
        shapes = self.encoder.adapter_shapes() if self.tuned else {}
        return dict(mean=self.mean, scale=self.scale, adapters=shapes)

    def facts(self):
        """What the pretrained network is, for cards and inventories.

        Returns
        -------
        dict of str to str
        """
        weights = sum(w.numel() for w in self.encoder.weights.values())
        tuned = f"tuned by adapters of rank {self.settings.rank}" if self.tuned else ""
        return {
            "text encoder": self.encoder.name,
            "type": f"{self.encoder.kind}, {weights:,} weights, {tuned or 'frozen'}",
            "license": self.encoder.license,
            "sha256": self.encoder.digest,
        }

    @property
    def nbytes(self):
        """Bytes of the texts, their tokens and their vectors."""
        texts = sum(len(text.encode()) for text in self.index.texts if text)
        tokens = sum(ids.nbytes for ids in self._tokens)
        return texts + tokens + self._vectors.nbytes

    def forget(self, keep):
        """Forget all texts but those of some codes, in place.

        Parameters
        ----------
        keep : array-like of int
            Their codes.
        """
        kept = np.isin(np.arange(len(self)), keep)
        with self._lock:
            self.frozen(), self._tokenise(len(self))
            self.index.forget(kept)
            nothing = np.zeros(0, np.int32)
            pairs = zip(self._tokens, kept)
            self._tokens = [tokens if k else nothing for tokens, k in pairs]
            self._vectors = np.where(kept[:, None], self._vectors, np.float32(0))


def layer_of(texts):
    """Arguments of the :class:`TextLayer` of a network that reads texts, or None."""
    return None if texts is None else texts.layer()


def lend(nets, log_encoder):
    """Give nets the texts that the codes of their rows are of, where they read some.

    Networks do not hold texts and pretrained weights: these are in the fitted encoder
    of the log, once, and are copied and saved with it.

    Parameters
    ----------
    nets : list of CausalNet
    log_encoder : LogEncoder
    """
    texts = log_encoder.roles.texts
    for net in nets if texts is not None else ():
        net.module_.text.lend(texts)


def _apart(table, codes):
    return table.device != codes.device


class TextLayer(nn.Module):
    """From codes of texts to what a layer makes of their vectors.

    Parameters
    ----------
    mean, scale : array of shape (n,), float
        The centre and the spread of the vectors.
    adapters : dict of str to tuple of int
        Names and shapes of the weights that tune the pretrained network. Where there
        are none, its vectors are read as they are.
    width : int
        Of the layer.
    activation : str
    """

    def __init__(self, mean, scale, adapters, width, activation):
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.scale = scale
        self.layer = nn.Linear(len(mean), width)
        self.missing = nn.Parameter(torch.zeros(width))
        self.activation = ACTIVATIONS[activation]()
        self.names = list(adapters)
        for j, (name, shape) in enumerate(adapters.items()):
            weight = torch.zeros(shape)
            if ".lora_A." in name:  # as in peft: B at 0 changes nothing at the start
                nn.init.kaiming_uniform_(weight, a=5**0.5)
            self.register_parameter(f"lora_{j}", nn.Parameter(weight))
        self.store = self._table = None

    def __getstate__(self):
        return {**vars(self), "store": None, "_table": None}

    def lend(self, store):
        """Read the texts of a store from now on."""
        if store is not self.store:
            self.store, self._table = store, None

    def train(self, mode=True):
        """As in torch; vectors that were computed with other weights do not count."""
        if mode != self.training:
            self._drop_tuned()
        return super().train(mode)

    def _load_from_state_dict(self, *args, **kwargs):
        self._drop_tuned()
        super()._load_from_state_dict(*args, **kwargs)

    def _drop_tuned(self):
        if self.names:
            self._table = None

    def _adapters(self):
        weights = (getattr(self, f"lora_{j}") for j in range(len(self.names)))
        return {name: w.float() for name, w in zip(self.names, weights)}

    def _tuned(self, codes):
        """Vectors of texts by the tuned network; gradients go to the adapters."""
        there = codes[codes != NO_TEXT]
        found = self.store.encoder.vectors(
            self.store.tokens(there.tolist()),
            self._adapters(),
            device=str(codes.device),
        )
        if len(there) == len(codes):
            return found
        return torch.cat([self.mean.float().unsqueeze(0), found])  # 0 is the first

    def _looked_up(self, codes):
        """Vectors of texts where no gradient goes through them: each computed once."""
        if not self.names:
            table = self._table
            if table is None or len(table) < len(self.store) or _apart(table, codes):
                table = torch.from_numpy(self.store.frozen()).to(codes.device)
                self._table = table
            return table[codes]
        # Tables of inference mode could not be added to outside of it.
        with torch.inference_mode(False), torch.no_grad():
            codes = codes.clone()
            table, known = self._table or (None, None)
            if table is None or len(table) < len(self.store) or _apart(table, codes):
                shape = len(self.store), len(self.mean)
                table = torch.zeros(shape, device=codes.device)
                known = torch.zeros(len(table), dtype=torch.bool, device=codes.device)
            new = codes[~known[codes]]
            if len(new):
                table[new] = self._tuned(new)
                known[new] = True
            self._table = table, known
            return table[codes]

    def forward(self, codes):
        """What the layer makes of texts.

        Parameters
        ----------
        codes : tensor of shape (n,)
            Their codes.

        Returns
        -------
        tensor of shape (n, width)
        """
        distinct, place = torch.unique(codes.long(), return_inverse=True)
        if self.names and self.training:
            vectors = self._tuned(distinct)
        else:
            vectors = self._looked_up(distinct)
        vectors = ((vectors - self.mean) / self.scale).to(self.layer.weight.dtype)
        read = self.activation(self.layer(vectors))
        nothing = (distinct == NO_TEXT).unsqueeze(1)
        return torch.where(nothing, self.missing, read)[place]
