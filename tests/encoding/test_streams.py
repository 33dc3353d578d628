"""Logs on disk and in batches: what is read, and what is refused by name."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from sklearn_causalrec.encoding.disk_arrays import (
    DiskArray,
    DiskWriter,
    moments_beside,
)
from sklearn_causalrec.encoding.log_encoder import LogEncoder
from sklearn_causalrec.encoding.roles import ColumnRoles
from sklearn_causalrec.encoding.streamed_log import _Column, read_stream
from sklearn_causalrec.encoding.streams import LogStream, is_stream

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
dataset = pytest.importorskip("pyarrow.dataset")


class Quiet(BaseEstimator):
    verbose = 0


@pytest.fixture
def log(rng):
    n = 1000
    log = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    log["a"] = log["a"].astype(np.float32)
    log["far"] = 1.7e9 + np.arange(n) % 97  # float32 has lost it, were it not centered
    log["user"] = rng.permutation(np.arange(n) % 130)
    log["item"] = [f"i{code}" for code in rng.integers(0, 40, n)]
    log["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.permutation(n), "s")
    log["y"] = rng.normal(size=n)
    log["shown"] = rng.integers(0, 3, n)
    log["w"] = rng.integers(0, 3, n) / 2
    return log


def encoded(source, folder, by_table=None):
    roles = dict(user="user", item="item", time="when")
    encoder = LogEncoder(ColumnRoles(**roles), False, cluster="auto")
    if by_table is not None:
        X = by_table.drop(columns=["y", "shown", "w"])
        given = by_table.y, by_table.shown, None, by_table.w
        return encoder, encoder.fit_rows(Quiet(), X, *given)
    names = dict(y="y", treatment="shown", sample_weight="w")
    stream = LogStream(source, names, folder, batch_rows=64)
    return encoder, read_stream(encoder, Quiet(), stream)


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("limit", [0, 2**28])
def test_a_log_in_batches_is_encoded_as_a_table_is(log, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(
        "sklearn_causalrec.encoding.streamed_log.IN_MEMORY_BYTES", limit
    )
    (tmp_path / "log").mkdir()
    for k in range(3):  # the first file does not know the ends of the columns
        part = log.sort_values("far").iloc[k * 333 : k * 333 + 333 + (k == 2)]
        part.to_parquet(tmp_path / "log" / f"{k}.parquet", row_group_size=50)
    table = log.sort_values("far")
    encoder, rows = encoded(None, None, by_table=table)
    (tmp_path / "spool").mkdir()
    other, found = encoded(tmp_path / "log", tmp_path / "spool")
    assert isinstance(found.features, DiskArray) == (limit == 0)
    for name in ("features", "user", "item", "time", "arm", "weight", "y"):
        assert same(getattr(rows, name), getattr(found, name)), name
    assert encoder.users.ids.equals(other.users.ids)
    assert encoder.items.ids.equals(other.items.ids)
    assert same(encoder.kept, other.kept)
    for name in ("mean", "scale", "y_mean", "y_scale", "arms", "control"):
        assert same(getattr(encoder, name), getattr(other, name)), name
    assert same(encoder.roles._columns.offset_, other.roles._columns.offset_)
    assert encoder.roles._columns.offset_[-1] > 1e9
    pairs = pd.DataFrame([*rows.clusters.codes.T, *found.clusters.codes.T]).T
    assert len(pairs.drop_duplicates()) == len(pairs[[0, 1]].drop_duplicates())


def test_any_source_is_the_same_log(log, tmp_path):
    log.to_parquet(tmp_path / "log.parquet", row_group_size=100)
    table = arrow.Table.from_pandas(log, preserve_index=False)
    sources = {
        "file": tmp_path / "log.parquet",
        "text": str(tmp_path / "log.parquet"),
        "dataset": dataset.dataset(tmp_path / "log.parquet"),
        "batches": table.to_batches(max_chunksize=70),
        "callable": lambda: iter(table.to_batches(max_chunksize=170)),
        "frames": [log.iloc[:500], log.iloc[500:]],
    }

    class Query:
        schema = table.schema

        def __iter__(self):
            return iter(table.to_batches(max_chunksize=300))

    sources["with a schema"] = Query()
    for name, source in sources.items():
        assert is_stream(source), name
        frames = [frame for _, frame in LogStream(source).frames()]
        pd.testing.assert_frame_equal(
            pd.concat(frames, ignore_index=True), log, check_dtype=False
        )
    for whole in (log, log.to_numpy(), [[1, 2]], table, None):
        assert not is_stream(whole)


def broken(log, **changed):
    """Five files, the last of which has another schema."""
    parts = [log.iloc[200 * k : 200 * k + 200] for k in range(5)]
    parts[4] = parts[4].assign(**changed)
    return parts


def test_another_schema_in_the_fifth_row_group(log, tmp_path):
    for k, part in enumerate(broken(log, user=log.user.astype(str))):
        part.to_parquet(tmp_path / f"{k}.parquet", index=False)
    with pytest.raises(ValueError, match=r"4\.parquet: the column 'user' holds .*stri"):
        LogStream(tmp_path)
    stream = LogStream(broken(log, c=1))
    with pytest.raises(ValueError, match=r"batch 5, .*row 800.*'c' holds int64"):
        list(stream.frames())
    parts = broken(log)
    with pytest.raises(ValueError, match=r"batch 5.*'b' is missing"):
        list(LogStream([*parts[:4], parts[4].drop(columns="b")]).frames())
    with pytest.raises(ValueError, match=r"batch 5.*column 'z' that"):
        list(LogStream(broken(log, z=1.0)).frames())


def test_a_file_that_breaks_off_is_named(log, tmp_path):
    path = tmp_path / "log.parquet"
    log.to_parquet(path, row_group_size=200, index=False)
    group = parquet.ParquetFile(path).metadata.row_group(4).column(0)
    data = bytearray(path.read_bytes())
    start = group.dictionary_page_offset or group.data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(
        ValueError, match=r"breaks off after row \d+, in .*log\.parquet"
    ):
        list(LogStream(path, batch_rows=200).frames())


@pytest.mark.parametrize("empty", ["folder", "file", "list", "callable"])
def test_an_empty_log_is_refused(log, tmp_path, empty):
    log.iloc[:0].to_parquet(tmp_path / "log.parquet", index=False)
    (tmp_path / "none").mkdir()
    source = {
        "folder": tmp_path / "none",
        "file": tmp_path / "log.parquet",
        "list": [log.iloc[:0]],
        "callable": lambda: iter(()),
    }[empty]
    with pytest.raises(ValueError, match="holds no row"):
        list(LogStream(source).frames())


def test_what_can_be_read_once_is_refused(log):
    table = arrow.Table.from_pandas(log)
    for once in (iter([log]), table.to_reader(), (part for part in [log])):
        with pytest.raises(ValueError, match=r"can be read once.*callable"):
            LogStream(once)
    with pytest.raises(ValueError, match="there is no file"):
        LogStream("nothing/here.parquet")
    with pytest.raises(ValueError, match=r"y='z' is not a column.*columns are \['a'"):
        LogStream([log], {"y": "z"})
    with pytest.raises(ValueError, match="y is the name of one"):
        LogStream([log], {"y": log.y})


def test_an_error_says_in_which_batch_it_is(log, tmp_path):
    log.loc[700, "b"] = np.nan
    for start in range(0, 1000, 500):
        log[start : start + 500].to_parquet(tmp_path / f"{start}.pq", row_group_size=50)
    (tmp_path / "spool").mkdir()
    with pytest.raises(ValueError, match=r"500\.pq, from row 700.*NaN"):
        encoded(tmp_path, tmp_path / "spool")


def test_arrays_on_disk_are_arrays(rng, tmp_path):
    whole = rng.normal(size=(500, 3)).astype(np.float32)
    writer = DiskWriter(tmp_path / "rows")
    for start in range(0, 500, 77):
        writer.write(whole[start : start + 77])
    found = writer.done()
    assert (found.shape, found.dtype, found.nbytes) == ((500, 3), whole.dtype, 6000)
    keys = [3, -1, slice(None), slice(5, 90), slice(7, 60, 9), whole[:, 0] > 0]
    keys += [rng.permutation(500)[:200], np.array([4, 4, 2]), np.array([], int)]
    keys += [(slice(None), 1), (slice(None), [2, 0]), (slice(3, 9), slice(1, 3))]
    for key in keys:
        assert np.array_equal(found[key], whole[key]), key
    assert np.array_equal(np.asarray(found), whole)
    with pytest.raises(IndexError):
        found[500]
    codes = DiskWriter(tmp_path / "codes")
    codes.write(np.array([[0, -1], [1, 0]], np.int32))
    table = np.array([10, 20, -1], np.int32)
    assert codes.done().coded(table)[:].tolist() == [[10, -1], [20, 10]]


def test_a_gap_among_truth_values_is_a_gap(log, tmp_path):
    table = arrow.Table.from_pandas(log.assign(shown=log.shown > 0))
    late = table.slice(500).to_pylist()
    late[7]["shown"] = None
    late = arrow.Table.from_pylist(late, table.schema)
    with pytest.raises(ValueError, match="treatment is missing"):
        encoded([table.slice(0, 500), late], tmp_path)


def test_numbers_beside_items_have_the_same_moments_on_disk(rng, tmp_path):
    there = rng.integers(-1, 5, (900, 4)).astype(np.int32)
    values = rng.normal(3, 2, (900, 4, 2)).astype(np.float32)
    writers = DiskWriter(tmp_path / "there"), DiskWriter(tmp_path / "values")
    for writer, whole in zip(writers, (there, values)):
        writer.write(whole)
    mean, scale = moments_beside(*(writer.done() for writer in writers))
    told = values[there >= 0].astype(float)
    told = np.sign(told) * np.log1p(np.abs(told))
    assert np.allclose(mean, told.mean(0))
    assert np.allclose(scale, told.std(0))


def test_a_column_does_not_keep_its_batches_in_memory():
    frame = pd.DataFrame(np.zeros((10, 3)), columns=["a", "b", "c"])
    for values in (frame["a"], frame["a"].to_numpy()[2:5]):
        column = _Column()
        column.add(values)
        assert column.parts[0].base is None
