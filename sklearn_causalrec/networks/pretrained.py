"""Pretrained encoders of text: read from a folder, kept as arrays, run with adapters.

A folder holds what transformers saved: a configuration, weights, a tokenizer. Here
they are plain values (JSON, tensors, text), so that they travel in files without code.
The network is built from them when it is first needed, from the classes of transformers
alone: no code that came with a model is ever run, and nothing is downloaded.
"""

import hashlib
import json
import re
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from torch.func import functional_call

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.networks.generators import OwnGenerators

# Encoders that turn ids and a mask into a state for each token, by themselves.
KINDS = (
    "albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert",
    "mpnet", "roberta", "xlm-roberta",
)  # fmt: skip
# Of a configuration, what would name code, or a way of computing, does not count.
LEFT_OUT = (
    "architectures", "attn_implementation", "auto_map", "dtype",
    "experts_implementation", "id2label", "label2id", "model_type",
    "quantization_config", "torch_dtype", "transformers_version", "use_kernels",
)  # fmt: skip
TEXTS_AT_ONCE = 64
UNKNOWN = "unknown"


def _import(name, what):
    """A package of the extra "text"."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ImportError(
            f"{what} needs the package {name}: pip install sklearn-causalrec[text]. "
            "Without it, make features of the texts before (TextBag)."
        ) from None


def find_folder(model):
    """The folder of a model: itself, or where the hub's client keeps that name.

    Parameters
    ----------
    model : str or path-like
        A folder, or the name of a model that was downloaded before.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If it is not on this machine. Nothing is downloaded.
    """
    if Path(model).is_dir():
        return Path(model)
    hub = _import("huggingface_hub", "a pretrained model")
    try:
        return Path(hub.snapshot_download(str(model), local_files_only=True))
    except (OSError, ValueError):  # not there, or no name that the hub could have
        raise ValueError(
            f"The text model {str(model)!r} is not on this machine: it is no folder, "
            "and the cache of huggingface_hub has no model of this name. A fit "
            "downloads nothing. Download it before, `hf download "
            f"{model}`, or pass the folder in which it lies."
        ) from None


def _read_json(path, default=None):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def read_license(folder):
    """The licence that a model's card names, or the first line of its licence file.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    str or None
    """
    card = folder / "README.md"
    if card.exists():
        head = re.match(r"---\s*\n(.*?)\n---", card.read_text("utf-8"), re.DOTALL)
        named = head and re.search(r"^license:\s*(\S.*)$", head[1], re.MULTILINE)
        if named:
            return named[1].strip().strip("\"'")
    for path in sorted([*folder.glob("LICENSE*"), *folder.glob("LICENCE*")]):
        lines = (line.strip() for line in path.read_text("utf-8").splitlines())
        return next(filter(None, lines), None)
    return None


def _read_pooling(folder):
    """How the states of tokens become one vector, and whether it has length 1."""
    modules = _read_json(folder / "modules.json", [])
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    strange = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    settings = _read_json(folder / "1_Pooling" / "config.json", {})
    mode = settings.get("pooling_mode")
    if mode is None:
        on = [k for k, v in settings.items() if k.startswith("pooling_mode_") and v]
        names = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
        mode = names.get(on[0], on[0]) if len(on) == 1 else ("mean" if not on else on)
    if strange or mode not in ("mean", "cls"):
        raise ValueError(
            f"The text model in {str(folder)!r} makes a vector of a text by "
            f"{sorted(strange) or mode}: read are the mean of the tokens and the first "
            "token. Encode the texts before, and pass vectors (TextEmbedding)."
        )
    return mode, "Normalize" in kinds


def _read_tokenizer(folder):
    """The tokenizer as text."""
    path = folder / "tokenizer.json"
    if path.exists():
        return path.read_text(encoding="utf-8")
    transformers = _import("transformers", "a pretrained model")
    files = ("vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
    try:
        if not any((folder / name).exists() for name in files):
            raise ValueError
        read = transformers.AutoTokenizer.from_pretrained
        return read(str(folder), local_files_only=True).backend_tokenizer.to_str()
    except (AttributeError, ImportError, OSError, ValueError):
        raise ValueError(
            f"The text model in {str(folder)!r} has no tokenizer that could be read: "
            "save it there as tokenizer.json, AutoTokenizer.from_pretrained(…)"
            ".save_pretrained(folder)."
        ) from None


def _plain(config):
    """A configuration without what is left out."""
    return {
        key: value
        for key, value in config.items()
        if key not in LEFT_OUT and not key.startswith("_")
    }


@contextmanager
def _no_bars():
    """Without the progress bars of transformers, which come back after."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class PretrainedEncoder:
    """A pretrained network from tokens to a vector. It does not change: all share it.

    Parameters
    ----------
    model : str or path-like
        A folder, or the name of a model that was downloaded before.
    rank : int
        The rank of the adapters that are trained beside it; 0 if there are none.
    license : str or None
        Its licence, where its folder does not name one.

    Attributes
    ----------
    name : str
        What it was called.
    kind : str
        The type of the network, one of ``KINDS``.
    config : dict
        Its configuration.
    weights : dict of str to tensor
        Its weights, float32, on the CPU.
    tokenizer : str
        The tokenizer, as JSON.
    license : str
        The licence of the weights.
    digest : str
        A hash of weights and tokenizer (SHA-256).
    width : int
        The length of the vectors.
    """

    def __init__(self, model, rank=0, license=None):
        transformers = _import("transformers", "a pretrained model")
        if rank:
            _import("peft", 'training="lora"')
        folder = find_folder(model)
        self.name, self.rank = str(model), rank
        config = _read_json(folder / "config.json", {})
        self.kind = config.get("model_type")
        if self.kind not in KINDS:
            raise ValueError(
                f"The text model in {str(folder)!r} is of the type {self.kind!r}: "
                f"encoders of text are read, {', '.join(KINDS)}."
            )
        self.tokenizer = _read_tokenizer(folder)
        self.pooling, self.normalized = _read_pooling(folder)
        self.license = license or read_license(folder)
        if self.license is None:
            self.license = UNKNOWN
            warn_user(
                f"The text model in {str(folder)!r} names no licence, and its weights "
                "become part of this model and its files: pass license=… to "
                "PretrainedText, as its owner states it."
            )
        with torch.random.fork_rng(devices=[]), _no_bars():
            network, report = transformers.AutoModel.from_pretrained(
                str(folder), local_files_only=True, output_loading_info=True,
                dtype=torch.float32,
            )  # fmt: skip
        lacking = [k for k in report["missing_keys"] if not k.startswith("pooler.")]
        if lacking:
            raise ValueError(
                f"The text model in {str(folder)!r} lacks weights, such as "
                f"{sorted(lacking)[0]!r}: it was not saved as a whole."
            )
        self.config = _plain(network.config.to_dict())
        self.weights = {k: v.contiguous() for k, v in network.state_dict().items()}
        self.width = int(network.config.hidden_size)
        self.digest = self._digest()
        self.__setstate__({})

    def _digest(self):
        found = hashlib.sha256(self.tokenizer.encode())
        for name, tensor in sorted(self.weights.items()):
            found.update(name.encode())
            found.update(tensor.numpy().tobytes())
        return found.hexdigest()

    def __getstate__(self):
        made = ("_network", "_lock", "_reader")
        return {k: v for k, v in vars(self).items() if k not in made}

    def __setstate__(self, state):
        vars(self).update(state)
        self._network = self._reader = None
        self._lock = RLock()

    def __deepcopy__(self, memo):
        return self

    # -- tokens ----------------------------------------------------------------

    def tokens(self, texts, most):
        """Texts as ids of tokens; what is too long is cut.

        Parameters
        ----------
        texts : list of str
        most : int
            The largest number of tokens of a text, and at most what the network takes.

        Returns
        -------
        list of ndarray of int32
        """
        with self._lock:
            if self._reader is None:
                tokenizers = _import("tokenizers", "a pretrained model")
                self._reader = tokenizers.Tokenizer.from_str(self.tokenizer)
                self._reader.no_padding()
            self._reader.enable_truncation(min(most, self._longest()))
            found = self._reader.encode_batch(texts)
        return [np.array(text.ids, np.int32) for text in found]

    def _longest(self):
        # RoBERTa counts positions from behind that of the padding.
        first = 0 if self.kind in ("albert", "bert", "distilbert", "electra") else 2
        return self.config.get("max_position_embeddings", 512) - first

    # -- the network -----------------------------------------------------------

    def _built(self, device):
        """The network on a device, with places for adapters where there are some."""
        if self._network is None:
            if self.kind not in KINDS:
                raise ValueError(f"{self.kind!r} is no encoder of text")
            transformers = _import("transformers", "a pretrained model")
            config = transformers.AutoConfig.for_model(self.kind, **_plain(self.config))
            with OwnGenerators(0):
                network = transformers.AutoModel.from_config(
                    config, attn_implementation="sdpa"
                )
                network.load_state_dict(self.weights, assign=True)
                if self.rank:
                    self._inject(network)
            self._network = network.requires_grad_(False).eval()
        return self._network.to(device)

    def _inject(self, network):
        peft = _import("peft", 'training="lora"')
        layers = [
            name
            for name, layer in network.named_modules()
            if isinstance(layer, torch.nn.Linear) and not name.startswith("pooler")
        ]
        settings = peft.LoraConfig(
            r=self.rank, lora_alpha=2 * self.rank, lora_dropout=0.0,
            target_modules=layers,
        )  # fmt: skip
        peft.inject_adapter_in_model(settings, network)

    def adapter_shapes(self):
        """Names and shapes of the weights of an adapter; none where rank is 0.

        Returns
        -------
        dict of str to tuple of int
        """
        with self._lock:
            named = self._built("cpu").named_parameters()
            return {name: tuple(p.shape) for name, p in named if ".lora_" in name}

    def vectors(self, tokens, adapters=None, device="cpu"):
        """A vector for each text.

        Parameters
        ----------
        tokens : list of ndarray of int
            The ids of each text's tokens.
        adapters : dict of str to tensor, default=None
            The weights of an adapter, through which gradients go. With None, the
            vectors are those of the pretrained network.
        device : str, default="cpu"
            Where to compute them.

        Returns
        -------
        tensor of shape (n, width), float32
            On the device; on the CPU where there is no such device any more.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            device = "cpu"
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        found = [torch.zeros(0, self.width, device=device)]
        for start in range(0, len(order), TEXTS_AT_ONCE):
            part = [tokens[j] for j in order[start : start + TEXTS_AT_ONCE]]
            ids = np.zeros((len(part), len(part[-1])), np.int64)
            mask = np.zeros(ids.shape, np.int64)
            for row, text in enumerate(part):
                ids[row, : len(text)], mask[row, : len(text)] = text, 1
            found.append(self._pooled(ids, mask, adapters or {}, device))
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return torch.cat(found)[torch.as_tensor(place, device=device)]

    def _pooled(self, ids, mask, adapters, device):
        ids, mask = (torch.as_tensor(a, device=device) for a in (ids, mask))
        given = dict(input_ids=ids, attention_mask=mask)
        with self._lock:  # the weights of the adapter stand in the network meanwhile
            network = self._built(device)
            states = functional_call(network, adapters, (), given).last_hidden_state
        if self.pooling == "cls":
            found = states[:, 0]
        else:
            share = mask.unsqueeze(2).to(states.dtype)
            found = (states * share).sum(1) / share.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(found) if self.normalized else found
