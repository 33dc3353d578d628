"""``sklearn-causalrec train``: a fit from a file, alone and by two processes."""

import os

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from sklearn_causalrec import CausalDNNRecommender, load
from sklearn_causalrec._testing.ranks import run_ranks
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.serving.command import main

PLAN = """
estimator = "CausalDNNRecommender"
output = "model.crec"

[data]
path = "log"
y = "y"
sample_weight = "weight"

[parameters]
user = "user"
item = "item"
treatment = "shown"
effect_learner = "t"
max_epochs = 2
hidden_layer_sizes = [16]
random_state = 0

[checkpoints]
folder = "checkpoints"
every = 0
"""


TOLD = "sklearn_causalrec.serving.training._memory"


def log():
    data = make_exposure_log(400, n_users=30, n_items=20, random_state=0)
    weight = np.random.default_rng(1).exponential(size=400)
    return data.X.assign(y=data.y, shown=data.treatment, weight=weight)


def features():
    return log().drop(columns=["y", "weight"])


def by_hand():
    X, y, weight = features(), log()["y"], log()["weight"]
    return CausalDNNRecommender(
        user="user", item="item", treatment="shown", effect_learner="t", max_epochs=2,
        hidden_layer_sizes=[16], random_state=0,
    ).fit(X, y, sample_weight=weight)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "log").mkdir()
    frame = log()
    frame[:150].to_parquet(tmp_path / "log" / "a.parquet")
    frame[150:].to_parquet(tmp_path / "log" / "b.parquet")
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def changed(folder, *pairs):
    text = PLAN
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / "plan.toml").write_text(text)
    return str(folder / "plan.toml")


def test_the_model_is_that_of_fit(folder, capsys):
    assert main(["train", str(folder / "plan.toml")]) == 0
    assert "400 rows, 1 process" in capsys.readouterr().out
    model = load(folder / "model.crec")
    assert np.array_equal(model.predict(features()), by_hand().predict(features()))
    assert os.listdir(folder / "checkpoints") == []


@pytest.mark.parametrize("store", ["file", "memory"])
def test_a_log_on_a_store_of_fsspec(folder, store):
    path = f"file://{folder}/log"
    if store == "memory":
        path = "memory://bucket/log.parquet"
        log().to_parquet(path)
    config = changed(folder, ('"log"', f'"{path}"'))
    assert main(["train", config]) == 0
    model = load(folder / "model.crec")
    assert np.array_equal(model.predict(features()), by_hand().predict(features()))


@pytest.mark.parametrize("columns", ["", 'columns = ["user", "item", "shown"]'])
@pytest.mark.parametrize("asked", ["", "stream = true", "stream = false"])
def test_a_log_larger_than_a_share_of_memory_is_streamed(
    folder, monkeypatch, capsys, columns, asked
):
    kept = PLAN[PLAN.index("[checkpoints]") :]
    weight = 'sample_weight = "weight"'
    config = changed(folder, (kept, ""), (weight, "\n".join([weight, columns, asked])))
    size = 8 * 400 * len(columns.split(",") if columns else log().columns)
    size += 16 * bool(columns) * 400  # y and the weight
    read, fit = [], CausalDNNRecommender.fit

    def fitted(self, X, y, **given):
        read.append(X)
        return fit(self, X, y, **given)

    monkeypatch.setattr(CausalDNNRecommender, "fit", fitted)
    for memory in (4 * size - 4, 4 * size):  # a quarter of the log, or not
        monkeypatch.setattr(TOLD, lambda size=memory: size)
        assert main(["train", "--check", config]) == 0
        streamed = "stream = true" == asked or (asked == "" and memory < 4 * size)
        how = "read as needed" if streamed else "read into memory"
        assert how in capsys.readouterr().out
        assert main(["train", config]) == 0
        assert hasattr(read[-1], "iloc") != streamed
    model = load(folder / "model.crec")
    X, y, w = features(), log()["y"], log()["weight"]
    X = X[["user", "item", "shown"]] if columns else X
    fit(expected := by_hand(), X, y, sample_weight=w)
    assert np.array_equal(model.predict(X), expected.predict(X))


def test_check_fits_nothing(folder, capsys, monkeypatch):
    def fit(*args, **kwargs):
        raise AssertionError("fit was called")

    monkeypatch.setattr(CausalDNNRecommender, "fit", fit)
    assert main(["train", "--check", str(folder / "plan.toml")]) == 0
    said = capsys.readouterr().out
    assert "400 rows" in said and "model.crec" in said
    assert not (folder / "model.crec").exists()
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("output =", "outputs =", "unknown key 'outputs' (did you mean 'output'?)"),
        ("y = ", "target = ", "[data] has an unknown key 'target'"),
        ("max_epochs", "max_epoch", "unknown key 'max_epoch' (did you mean 'max_epo"),
        (
            "every",
            "everyy",
            "[checkpoints] has an unknown key 'everyy' (did you mean",
        ),
        ('"y"', '"Y"', "data.y: {folder}/log has no column 'Y'"),
        ('"user"', '"usr"', "parameters.user: {folder}/log has no column 'usr' (did"),
        ('"weight"', '"weights"', "data.sample_weight: {folder}/log has no column 'we"),
        ('"log"', '"lgo"', "data.path: there is no {folder}/lgo"),
        ('"log"', '"s33://bucket/log"', "data.path: s33://bucket/log cannot be read"),
        ("CausalDNNRecommender", "CausalDNNRecomender", "did you mean 'CausalDNNRecom"),
        ("CausalDNNRecommender", "Pipeline", "choose one of CausalDNNRecommender, Cou"),
        ("max_epochs = 2", "max_epochs = -2", "parameters: The 'max_epochs' parameter"),
        ("every = 0", "every = true", "checkpoints.every is True: a number of seconds"),
        ('"weight"', '"weight"\nstream = 1', "data.stream is 1: true or false is ne"),
        ('"weight"', '"weight"\nstream = true', "true, and checkpoints are written"),
        ('"model.crec"', "3", "output is 3: a text is needed"),
        ('output = "model.crec"', "", "plan.toml does not say output"),
        ('output = "model.crec"', "output =", "plan.toml is no TOML"),
        ('"model.crec"', '"absent/model.crec"', "the folder {folder}/absent cannot be"),
    ],
)
def test_what_cannot_be_done_is_named_before_it_starts(folder, capsys, old, new, said):
    assert main(["train", "--check", changed(folder, (old, new))]) == 2
    told = capsys.readouterr().err
    assert said.format(folder=folder) in told, told
    assert not (folder / "checkpoints").exists()


def test_a_log_without_rows(folder, capsys):
    for file in (folder / "log").iterdir():
        log()[:0].to_parquet(file)
    assert main(["train", str(folder / "plan.toml")]) == 2
    assert "has no rows" in capsys.readouterr().err
    assert not (folder / "model.crec").exists()


# -- two processes --------------------------------------------------------------------


def train():
    return main(["train", os.environ["PLAN"]])


def train_without_the_data_in_one():
    """The second rank's file names a folder that is on the first rank's machine."""
    plan = "plan.toml" if os.environ["RANK"] == "0" else "absent.toml"
    import contextlib
    import io
    import time

    start, told = time.monotonic(), io.StringIO()
    with contextlib.redirect_stderr(told):
        status = main(["train", os.path.join(os.environ["PLAN"], plan)])
    return status, told.getvalue(), time.monotonic() - start


def test_two_processes_train_one_model(folder):
    plan = {"PLAN": str(folder / "plan.toml")}
    found = run_ranks(__file__, "train", environment=plan)
    assert [told[:2] for told in found] == [("returned", 0)] * 2, found
    model = load(folder / "model.crec")
    assert np.allclose(
        model.predict(features()), by_hand().predict(features()), atol=1e-5
    )


def test_a_worker_without_the_data_ends_all_and_nothing_is_written(folder):
    (folder / "absent.toml").write_text(PLAN.replace('"log"', '"absent"'))
    found = run_ranks(
        __file__, "train_without_the_data_in_one", environment={"PLAN": str(folder)}
    )
    (first, said, seconds), (second, its, _) = (told[1] for told in found)
    assert (first, second) == (1, 2)
    assert "Rank 1 failed: PlanError: data.path: there is no" in said
    assert "data.path: there is no" in its
    assert seconds < 60  # "timeout" of the file is 600
    assert not (folder / "model.crec").exists()
    assert not list(folder.glob("**/*.part"))
