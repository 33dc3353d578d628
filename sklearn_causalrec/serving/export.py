"""to_onnx: outcomes and effects of rows, for onnxruntime and no Python package."""

import json

import numpy as np

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.serving import container
from sklearn_causalrec.serving.onnx_effects import ArmFormula, CannotExportError
from sklearn_causalrec.serving.onnx_nodes import Nodes

ML_OPSET = 5
ROWS = 3  # of the example that the exporter sees


def to_onnx(fitted, path=None, *, effect=True):
    """Write a fitted recommender as a graph of ONNX.

    The graph is one file with all that ``predict`` and ``effect`` need: codes of ids,
    networks, second stage. onnxruntime runs it, in any of its languages.

    Parameters
    ----------
    fitted : CausalDNNRecommender, or a search over one
        The recommender, without steps before it.
    path : path-like, default=None
        The file to write, all or nothing. With None nothing is written.
    effect : bool, default=True
        Whether the graph has the effects, too. With one arm there are none.

    Returns
    -------
    onnx.ModelProto
        The graph.

    Raises
    ------
    TypeError
        If a part has no place in a graph; the message names it.

    See Also
    --------
    save : Files that this package opens again.

    Notes
    -----
    Inputs, as far as the model has them, for n rows:

    - ``features``, double (n, p): the feature columns in the order of
      ``model.log_encoder_.roles.feature_columns_``;
    - ``user`` and ``item``, int64 or string (n,): ids, known or not;
    - ``history`` (n, `history_length`): past items, oldest first, filled up with
      anything, and ``history_length``, int64 (n,): how many of them count;
    - ``history_values``, float (n, `history_length`, q): the numbers beside them.

    Outputs: ``outcome`` (n, n_arms), the mean outcome under each arm of ``arms_``, and
    ``effect`` (n, n_arms), the effect of each arm against the control. The metadata
    "sklearn_causalrec" is JSON with the arms, the control and the feature names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender, to_onnx
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = CausalDNNRecommender(random_state=0).fit(X, X[:, 0])
    >>> graph = to_onnx(model)  # doctest: +SKIP
    >>> [output.name for output in graph.graph.output]  # doctest: +SKIP
    ['outcome']
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (what torch's exporter asks for)
    except ImportError as error:
        raise ImportError(
            f"to_onnx needs the packages onnx and onnxscript ({error}): "
            "pip install sklearn-causalrec[onnx]"
        ) from error
    model = _bare(fitted)
    several = len(model.arms_) > 1 and model._unidentified is None
    proto = _Graph(model, effect and several).proto(onnx)
    onnx.checker.check_model(proto)
    if path is not None:
        container.write(path, proto.SerializeToString())
    return proto


def _bare(fitted):
    """The recommender itself."""
    _, model = unwrap(fitted)
    if not hasattr(model, "_ensemble") or not hasattr(model, "log_encoder_"):
        raise CannotExportError(
            f"{type(model).__name__} has no graph of ONNX: to_onnx exports a fitted "
            "CausalDNNRecommender. save writes every model of this package."
        )
    if model._ensemble.objective.retrieves:
        raise CannotExportError(
            'Lists by objective="implicit" have no graph of ONNX yet: save writes the '
            "model, and its vectors are those of nets_[0].module_."
        )
    texts = model.log_encoder_.roles.texts
    if texts is not None:
        raise CannotExportError(
            f"The networks read texts, the column {texts.column!r}, by a pretrained "
            "encoder, which has no place in the graph: make features of the texts "
            "before (TextEmbedding), and fit to them."
        )
    steps = getattr(getattr(fitted, "best_estimator_", fitted), "steps", [None])
    if len(steps) > 1:
        names = [type(step).__name__ for _, step in steps[:-1]]
        raise CannotExportError(
            f"The steps before the recommender, {', '.join(names)}, have no place in "
            "the graph: export the last step, to_onnx(pipeline[-1]), and pass it what "
            "pipeline[:-1].transform returns."
        )
    return model


class _Graph:
    """Inputs, codes, networks and effects, as nodes."""

    def __init__(self, model, effect):
        self.model, self.encoder = model, model.log_encoder_
        self.nodes, self.inputs, self.outputs = Nodes(), [], []
        self.codes = {}
        formula = None
        if effect and model.effects_ is not None:  # which may refuse
            formula = ArmFormula(model.effects_.stages, model.effects_.offset)
        self.features = self._features()
        for role in ("user", "item"):
            if self.encoder.roles.roles[role] is not None:
                self.codes[role] = self._ids(role, ["n"])
        past = self._history()
        self.network = self._networks(past)
        self.outcome = self._in_units("net_mean")
        if effect:
            self._effects(formula)

    def _input(self, name, dtype, shape):
        self.inputs.append((name, dtype, shape))
        return name

    def _features(self):
        """The features as float32, far columns centered before."""
        p, nodes = len(self.encoder.mean), self.nodes
        if not p:
            return None
        values = self._input("features", "DOUBLE", ["n", p])
        offset = self.encoder.roles._columns.offset_
        if offset.any():
            values = nodes.add("Sub", values, offset[None])
        return nodes.cast(values, "FLOAT")

    def _ids(self, role, shape, name=None):
        """Codes of ids; those that are not known share one."""
        index = self.encoder.items if role != "user" else self.encoder.users
        ids = index.ids.to_numpy(dtype=object)
        known = {"default_int64": len(ids), "values_int64s": range(len(ids))}
        if all(isinstance(i, str) for i in ids):
            dtype, keys = "STRING", {"keys_strings": list(ids)}
        elif all(isinstance(i, int | np.integer) and i is not True for i in ids):
            dtype, keys = "INT64", {"keys_int64s": [int(i) for i in ids]}
        else:
            raise CannotExportError(
                f"The {role} ids are {type(ids[0]).__name__}, such as {ids[0]!r}: a "
                "graph of ONNX looks up int and str. Convert them before fit."
            )
        values = self._input(name or role, dtype, shape)
        return self.nodes.add(
            "LabelEncoder", values, domain="ai.onnx.ml", **keys, **known
        )

    def _history(self):
        """Codes of histories, -1 behind their end, and the numbers beside them."""
        model, nodes = self.model, self.nodes
        if model.history is None:
            return {}
        length = self.encoder.history_length
        codes = self._ids("item", ["n", length], "history")
        count = self._input("history_length", "INT64", ["n"])
        count = nodes.add("Unsqueeze", count, np.array([1]))
        inside = nodes.add("Less", np.arange(length)[None], count)
        found = {"history": nodes.add("Where", inside, codes, np.array(-1))}
        q = len(self.encoder.value_moments[0])
        if q:
            values = self._input("history_values", "FLOAT", ["n", length, q])
            there = nodes.add("Unsqueeze", inside, np.array([2]))
            zero = np.array(0, np.float32)
            found["values"] = nodes.add("Where", there, values, zero)
        return found

    def _networks(self, past):
        """The graph of the networks, whose inputs are the values made here."""
        import torch
        from onnx import compose

        from sklearn_causalrec.serving.onnx_networks import networks_graph

        p, length = len(self.encoder.mean), self.encoder.history_length
        features = self.features
        if features is None:  # the networks ask for the number of rows
            (first, *_) = self.codes.values()
            one = self.nodes.add("Unsqueeze", first, np.array([1]))
            ends = np.array([0]), np.array([0]), np.array([1])
            none = self.nodes.add("Slice", one, *ends)
            features = self.nodes.cast(none, "FLOAT")
        given = {"features": features, **self.codes, **past}
        example = {"features": torch.zeros(ROWS, p)}
        for role in self.codes:
            example[role] = torch.arange(ROWS) % 2
        if past:
            example["history"] = torch.full((ROWS, length), -1)
            example["history"][:, 0] = 0
        if "values" in past:
            q = len(self.encoder.value_moments[0])
            example["values"] = torch.zeros(ROWS, length, q)
        ensemble = self.model._ensemble
        proto = networks_graph(ensemble.nets, ensemble.binary, example)
        proto = compose.add_prefix(proto, "net_")
        for value in proto.graph.input:
            name = value.name.removeprefix("net_")
            self.nodes.add("Identity", given[name], output=value.name)
        return proto

    def _in_units(self, mean):
        """Outcomes in the units of y, as ``LogEncoder.in_units``."""
        nodes, encoder = self.nodes, self.encoder
        kind = np.float32
        if encoder.y_dtype == np.float64 and not encoder.binary:
            mean, kind = nodes.cast(mean, "DOUBLE"), np.float64
        if not encoder.binary:
            mean = nodes.add("Mul", mean, np.array(encoder.y_scale, kind))
            mean = nodes.add("Add", mean, np.array(encoder.y_mean, kind))
        outcome = nodes.add("Identity", mean, output="outcome")
        dtype = "DOUBLE" if kind is np.float64 else "FLOAT"
        self.outputs.append(("outcome", dtype, ["n", encoder.n_arms]))
        return outcome

    def _effects(self, formula):
        """Add the effects of all arms against the control."""
        nodes = self.nodes
        total = outcome = nodes.cast(self.outcome, "DOUBLE")
        if formula is not None:
            kinds = [
                self.codes[role] for role in ("user", "item") if role in self.codes
            ]
            features = self._effect_features(outcome)
            total = formula.write(nodes, features, outcome, kinds)
        first = np.array([self._control()])
        base = nodes.add("Gather", total, first, axis=1)
        nodes.add("Sub", total, base, output="effect")
        self.outputs.append(("effect", "DOUBLE", ["n", self.encoder.n_arms]))

    def _control(self):
        """Position of the arm that effects are against, else of the first."""
        arms = self.encoder.arms.tolist()
        return 0 if self.model.control_ is None else arms.index(self.model.control_)

    def _effect_features(self, outcome):
        """What the second stage reads, as ``EffectMixin`` puts it together."""
        nodes, encoder, parts = self.nodes, self.encoder, []
        if self.features is not None:
            values = self.features
            if encoder.roles.towers_ is not None:
                gaps = nodes.add("IsNaN", values)
                mean = encoder.mean.astype(np.float32)[None]
                values = nodes.add("Where", gaps, mean, values)
                first = np.array(encoder.gaps, np.int64)
                gaps = nodes.add("Gather", gaps, first, axis=1)
                parts.append(nodes.cast(gaps, "FLOAT"))
            parts.insert(0, values)
        if self.codes or self.model.history is not None:
            if encoder.y_dtype == np.float64:
                outcome = nodes.add("Sub", outcome, np.array(encoder.y_mean))
                outcome = nodes.add("Div", outcome, np.array(encoder.y_scale))
            parts.append(nodes.cast(outcome, "FLOAT"))
        values = nodes.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        return nodes.cast(values, "DOUBLE")

    def proto(self, onnx):
        """The model of all nodes, with its metadata."""
        from onnx import helper

        def described(name, dtype, shape):
            kind = getattr(onnx.TensorProto, dtype)
            return helper.make_tensor_value_info(name, kind, shape)

        network = self.network.graph
        before = [n for n in self.nodes.nodes if not self._after(n)]
        after = [n for n in self.nodes.nodes if self._after(n)]
        graph = helper.make_graph(
            [*before, *network.node, *after],
            "sklearn_causalrec",
            [described(*value) for value in self.inputs],
            [described(*value) for value in self.outputs],
            [*self.nodes.constants, *network.initializer],
        )
        opsets = [o for o in self.network.opset_import if o.domain != "ai.onnx.ml"]
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
        proto = helper.make_model(
            graph,
            opset_imports=opsets,
            functions=list(self.network.functions),
            ir_version=min(self.network.ir_version, onnx.IR_VERSION),
            producer_name="sklearn-causalrec",
        )
        helper.set_model_props(proto, {"sklearn_causalrec": json.dumps(self._facts())})
        return proto

    def _after(self, node):
        """Whether a node reads what the networks made, directly or through others."""
        if not hasattr(self, "_late"):
            self._late = {"net_mean"}
        if self._late.intersection(node.input):
            self._late.update(node.output)
            return True
        return False

    def _facts(self):
        model, encoder = self.model, self.encoder
        arms = encoder.arms.tolist()
        return {
            "arms": [str(arm) for arm in arms],
            "control": str(arms[self._control()]),
            "features": [str(name) for name in encoder.roles.feature_columns_],
            "task": model.task,
            "classes": None if not encoder.binary else model.classes_.tolist(),
        }
