"""The log of decisions, and its reader."""

import errno
import json
import os
import stat

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.interactions import build_examples
from sklearn_causalrec.serving import DecisionLog, read_decisions


def decision(n, **more):
    time = f"2030-01-01T12:00:{n:02d}+00:00"
    one = dict(time=time, user=f"u{n}", item=n, shown=1, propensity=0.5, rank=1)
    return one | dict(sample_weight=1.0) | more


def test_what_is_logged_is_read(tmp_path):
    log = DecisionLog(tmp_path)
    log.append(
        [decision(2, columns={"hour": 9}), decision(1, shown=0, propensity=0.25)]
    )
    log.append([])
    log.append([decision(3, sample_weight=4.0, columns={"city": "Ä"})])
    log.close()
    found = read_decisions(tmp_path, user="customer")
    assert found["customer"].tolist() == ["u1", "u2", "u3"]
    assert found["item"].tolist() == [1, 2, 3]
    assert found["time"].iloc[0] == pd.Timestamp("2030-01-01 12:00:01", tz="UTC")
    assert found["shown"].tolist() == [0, 1, 1]
    assert found["propensity"].tolist() == [0.25, 0.5, 0.5]
    assert found["sample_weight"].tolist() == [1, 1, 4]
    assert found["hour"].tolist()[1] == 9 and found["city"].tolist()[2] == "Ä"
    assert "rank" not in found
    assert read_decisions(tmp_path, everything=True)["rank"].tolist() == [1, 1, 1]
    assert stat.S_IMODE(os.stat(log.path).st_mode) == 0o600


def test_files_rotate_by_size(tmp_path):
    log = DecisionLog(tmp_path, max_bytes=1000)
    for n in range(30):
        log.append([decision(n)])
    log.close()
    paths = sorted(tmp_path.iterdir())
    size = len(json.dumps({"v": 1, **decision(10)})) + 1
    assert len(paths) > 3
    assert all(path.stat().st_size < 1000 + size for path in paths)
    assert read_decisions(tmp_path)["item"].tolist() == list(range(30))
    one = read_decisions(paths[0])
    assert one["item"].tolist() == list(range(len(one)))


def test_processes_have_files_of_their_own(tmp_path):
    a, b = DecisionLog(tmp_path), DecisionLog(tmp_path)
    a.append([decision(1)])
    b.append([decision(2)])
    assert a.path != b.path
    assert len(read_decisions(tmp_path)) == 2


@pytest.mark.parametrize("how, n", [("always", 3), ("rotate", 1), ("never", 0)])
def test_sync(tmp_path, monkeypatch, how, n):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    log = DecisionLog(tmp_path, sync=how)
    log.append([decision(1)])
    log.append([decision(2)])
    log.close()
    assert len(calls) == n


def test_sync_on_demand(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    log = DecisionLog(tmp_path, sync="never")
    log.sync()
    assert not calls
    log.append([decision(1)])
    log.sync()
    assert len(calls) == 1


def test_a_full_disk_leaves_no_half_of_a_call(tmp_path, monkeypatch):
    log = DecisionLog(tmp_path)
    log.append([decision(1)])
    write, left = os.write, [100]

    def full(file, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = write(file, data[: left[0]])
        left[0] -= n
        return n

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            log.append([decision(2), decision(3)])
    log.append([decision(4)])
    assert read_decisions(tmp_path)["item"].tolist() == [1, 4]


def test_a_line_that_is_not_whole_is_left_out(tmp_path):
    log = DecisionLog(tmp_path)
    log.append([decision(1), decision(2)])
    log.close()
    text = log.path.read_bytes()
    log.path.write_bytes(text[:-20])
    with pytest.warns(UserWarning, match="not whole"):
        assert read_decisions(tmp_path)["item"].tolist() == [1]


@pytest.mark.parametrize(
    "text, message",
    [
        ("nonsense\n", "line 1: this is no decision"),
        ("[]\n", "line 1: this is no decision"),
        ('{"v": 1}\n', "line 1: this is no decision"),
        ('{"v": 2}\n', "format 2"),
    ],
)
def test_foreign_lines_are_refused(tmp_path, text, message):
    path = tmp_path / "decisions-1.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_decisions(path)


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="no files"):
        read_decisions(tmp_path)
    (tmp_path / "decisions-1.jsonl").write_text("")
    assert len(read_decisions(tmp_path)) == 0


@pytest.mark.parametrize("name", ["time", "user", "score", "outcome"])
def test_columns_with_the_names_of_the_log_are_refused(tmp_path, name):
    log = DecisionLog(tmp_path)
    log.append([decision(1, columns={name: 1})])
    with pytest.raises(ValueError, match=name):
        read_decisions(tmp_path)
    with pytest.raises(ValueError, match="shown"):
        read_decisions(tmp_path, user="shown")
    with pytest.raises(ValueError, match="same"):
        read_decisions(tmp_path, user="same", item="same")


def test_certain_lists_have_no_propensity(tmp_path):
    log = DecisionLog(tmp_path)
    log.append([decision(1, propensity=None)])
    assert "propensity" not in read_decisions(tmp_path)


@pytest.mark.parametrize("options", [{"sync": "often"}, {"max_bytes": 0}])
def test_bad_options(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DecisionLog(tmp_path, **options)


# -- build_examples ------------------------------------------------------------------

WEIGHTED = dict(
    user="user",
    item="item",
    time="time",
    window=10,
    treatment="shown",
    propensity="propensity",
    sample_weight="sample_weight",
)


def drawn_lists(served):
    lists = recommend(
        served.models[0],
        k=3,
        explore="epsilon",
        epsilon=0.5,
        withhold=2,
        random_state=0,
    )
    lists = lists.drop(columns=["rank", "score"])
    return lists.assign(time=np.arange(len(lists)))


def test_examples_keep_the_weights_of_decisions(served):
    lists = drawn_lists(served)
    events = lists.iloc[::2].assign(time=lambda d: d["time"] + 1, value=2.0)
    events = events[["user", "item", "time", "value"]]
    examples = build_examples(
        events, lists, **WEIGHTED, aggregate="sum", value="value", until=1000
    )
    assert len(examples) == len(lists)
    for name in ("sample_weight", "propensity"):
        assert examples[name].tolist() == lists[name].tolist()
    assert examples["treatment"].tolist() == lists["shown"].tolist()
    assert examples["outcome"].tolist() == [2.0, 0.0] * (len(lists) // 2)
    X = examples[["user", "item"]]
    CausalDNNRecommender(effect_learner="t", max_epochs=1).fit(
        X,
        examples["outcome"],
        treatment=examples["treatment"],
        propensity=examples["propensity"],
        sample_weight=examples["sample_weight"],
    )


def test_thinning_multiplies_the_weights_of_decisions(served):
    lists = drawn_lists(served)
    events = lists.iloc[:1][["user", "item", "time"]]
    thinned = build_examples(
        events, lists, **WEIGHTED, until=1000, negative_fraction=0.5, random_state=0
    )
    mine = lists.set_index("time")["sample_weight"][thinned["time"]].to_numpy()
    factor = np.where(thinned["outcome"] > 0, 1, 2)
    assert thinned["sample_weight"].tolist() == (mine * factor).tolist()


def test_weights_that_are_none_are_refused(served):
    lists = drawn_lists(served)
    events = lists[["user", "item", "time"]]
    unnamed = {k: v for k, v in WEIGHTED.items() if k != "sample_weight"}
    with pytest.raises(ValueError, match='Name it, sample_weight="sample_weight"'):
        build_examples(events, lists, **unnamed)
    with pytest.raises(ValueError, match="n_unexposed=1 and sample_weight"):
        build_examples(events, lists, **WEIGHTED, n_unexposed=1)
    for wrong in (-1.0, np.nan):
        bad = lists.assign(sample_weight=wrong)
        with pytest.raises(ValueError, match="The sample_weight 'sample_weight' is"):
            build_examples(events, bad, **WEIGHTED)
