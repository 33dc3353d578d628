"""Logs from databases, real ones: a DuckDB file, and a PostgreSQL server."""

import os
import pickle
import shutil
import socket
import subprocess
import tempfile
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("adbc_driver_manager", reason="the extra databases is missing")

import pyarrow as pa
from sklearn.base import clone

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.interactions import DatabaseError, SQLQuery, write_lists

PASSWORD = "s3cret/öl"
QUOTED = "s3cret%2F%C3%B6l"


def log():
    data = make_exposure_log(300, n_users=30, n_items=20, random_state=0)
    return data.X.assign(y=data.y, shown=data.treatment, row=np.arange(300))


@pytest.fixture(scope="module")
def postgres():
    """Address of a server, of a user without rights, in a folder that goes."""
    where = shutil.which("pg_ctl")
    if where is None:
        pytest.skip("PostgreSQL's server is not installed")
    bin = Path(where).resolve().parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    options = {"capture_output": True, "text": True, "cwd": "/"}
    if os.geteuid() == 0:  # the server refuses to be root
        options |= {"user": "nobody", "group": "nogroup"}
        shutil.chown(folder, "nobody", "nogroup")
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data = folder / "data"
    try:
        made = subprocess.run(
            [bin / "initdb", "-D", data, "-U", "reader", "-A", "scram-sha-256", "-E",
             "UTF8", "--pwfile", secret, "--no-sync", "--locale", "C"], **options,
        )  # fmt: skip
        settings = f"-p {port} -k {folder} -c fsync=off -c listen_addresses=127.0.0.1"
        started = made.returncode == 0 and subprocess.run(
            [bin / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", settings,
             "start"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **{k: v for k, v in options.items() if k in ("user", "group", "cwd")},
        )  # fmt: skip
    except (OSError, PermissionError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    if not started or started.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot be started here: {made.stderr}")
    yield f"postgresql://reader:{QUOTED}@127.0.0.1:{port}/postgres"
    subprocess.run([bin / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **options)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def duckdb(tmp_path):
    pytest.importorskip("duckdb")
    return f"duckdb://{tmp_path}/log.db"


@pytest.fixture(params=["postgres", "duckdb"])
def address(request, monkeypatch):
    found = request.getfixturevalue(request.param)
    monkeypatch.setenv("WAREHOUSE", found)
    return found


def test_a_fit_from_a_database_is_that_of_the_frame(address):
    frame = log()
    assert write_lists(frame, "log", "WAREHOUSE") == 300
    query = SQLQuery("SELECT * FROM log ORDER BY row;", "WAREHOUSE")
    once, twice = (pa.Table.from_batches(query, query.schema) for _ in range(2))
    assert once.equals(twice)
    read = once.to_pandas()
    pd.testing.assert_frame_equal(read, frame, check_dtype=False)

    def model(frame):
        X = frame[["user", "item", *[c for c in frame if c.startswith("x")]]]
        fitted = CausalDNNRecommender(
            user="user", item="item", effect_learner="t", max_epochs=2, random_state=0
        ).fit(X, frame["y"], treatment=frame["shown"])
        return fitted, fitted.predict(X)

    fitted, predicted = model(read)
    assert np.array_equal(predicted, model(frame)[1])
    names = [c for c in frame if c not in ("y", "shown", "row")]
    named = ", ".join(f'"{c}"' for c in names)
    rows = SQLQuery(f"SELECT {named}, y, shown FROM log ORDER BY row", "WAREHOUSE")
    direct = clone(fitted).fit(rows, "y", treatment="shown")
    plain = clone(fitted).fit(read[names], read["y"], treatment=read["shown"])
    assert np.allclose(direct.predict(read[names]), plain.predict(read[names]))

    lists = recommend(fitted, users=read["user"].unique(), k=3)
    assert write_lists(lists, "lists", "WAREHOUSE") == len(lists) == 90
    back = SQLQuery("SELECT * FROM lists", "WAREHOUSE")
    found = pa.Table.from_batches(back).to_pandas()
    pd.testing.assert_frame_equal(found, lists, check_dtype=False)
    with pytest.raises(DatabaseError, match="exist"):
        write_lists(lists, "lists", "WAREHOUSE")
    for table in ("log", "lists"):  # the server goes on to other tests
        _execute(f"DROP TABLE {table}")


def _execute(sql):
    from sklearn_causalrec.interactions.databases import _connection

    with _connection("WAREHOUSE") as connection:
        with connection.cursor() as cursor:
            cursor.execute(sql)
        connection.commit()


def test_batches_come_one_after_the_other(postgres, monkeypatch):
    """2 million rows: the first batch is there long before the last was sent."""
    monkeypatch.setenv("WAREHOUSE", postgres)
    sql = "SELECT i, i * 0.5::float8 AS x FROM generate_series(1, 2000000) AS i"
    rows = SQLQuery(sql, "WAREHOUSE")
    before = pa.total_allocated_bytes()
    most = total = n = 0
    for batch in rows:
        most = max(most, pa.total_allocated_bytes() - before)
        total, n = total + batch.num_rows, n + 1
    assert (total, n > 1) == (2_000_000, True)
    assert most < 40e6 or n >= 2


def test_a_table_that_changes_between_two_passes_is_refused(address):
    write_lists(log(), "log", "WAREHOUSE")
    query = SQLQuery("SELECT * FROM log", "WAREHOUSE")
    list(query)
    write_lists(log()[:10], "log", "WAREHOUSE", mode="append")
    with pytest.raises(DatabaseError, match=r"300 rows .* 310 now"):
        list(query)
    _execute("DROP TABLE log")


def test_a_table_is_written_whole_or_not_at_all(address):
    frame = log()
    write_lists(frame, "log", "WAREHOUSE")
    bad = frame.assign(row=["no number"] * 300)
    with pytest.raises(DatabaseError):
        write_lists(bad, "log", "WAREHOUSE", mode="append")
    count = SQLQuery("SELECT count(*) AS n FROM log", "WAREHOUSE")
    assert next(iter(count)).to_pydict()["n"] == [300]
    _execute("DROP TABLE log")


def test_types_without_an_array_are_named(postgres, monkeypatch):
    monkeypatch.setenv("WAREHOUSE", postgres)
    query = SQLQuery("SELECT 1.5::numeric AS price", "WAREHOUSE")
    with pytest.raises(DatabaseError, match=r'CAST\("price" AS double precision\)'):
        list(query)
    cast = SQLQuery("SELECT CAST(1.5 AS double precision) AS price", "WAREHOUSE")
    assert next(iter(cast)).to_pydict() == {"price": [1.5]}


# -- credentials ----------------------------------------------------------------------


def leaks(text):
    return [secret for secret in (PASSWORD, QUOTED, "s3cret") if secret in text]


def told(call):
    """All that a log would hold of an error."""
    with pytest.raises(DatabaseError) as caught:
        call()
    error = caught.value
    chain = [error]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    text = "".join(traceback.format_exception(error)) + "".join(map(repr, chain))
    return text


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://reader:{QUOTED}@127.0.0.1:1/postgres",
        f"postgresql:/reader:{QUOTED}@@127.0.0.1/x?y",
        f"postgresql://reader:{QUOTED}@127.0.0.1:port/postgres",
        f"postgresql://127.0.0.1:1/postgres?user=u&password={QUOTED}&nonsense=1",
    ],
)
def test_errors_hold_no_credentials(monkeypatch, address):
    monkeypatch.setenv("WAREHOUSE", address)
    text = told(lambda: list(SQLQuery("SELECT 1", "WAREHOUSE")))
    assert not leaks(text), text
    assert "DatabaseError" in text


def test_a_wrong_password_is_not_told(postgres, monkeypatch):
    monkeypatch.setenv("WAREHOUSE", postgres.replace(QUOTED, QUOTED + "x"))
    text = told(lambda: list(SQLQuery("SELECT 1", "WAREHOUSE")))
    assert "password authentication failed" in text
    assert not leaks(text), text


def test_no_attribute_pickle_or_model_holds_credentials(address, tmp_path):
    write_lists(log(), "log", "WAREHOUSE")
    query = SQLQuery("SELECT * FROM log ORDER BY row", "WAREHOUSE")
    frame = pa.Table.from_batches(query).to_pandas()
    model = CausalDNNRecommender(max_epochs=1, random_state=0, effect_learner="t")
    model.fit(frame[["row"]], frame["y"], treatment=frame["shown"])
    from sklearn_causalrec.serving import save

    save(model, tmp_path / "model.crec")
    found = [repr(query), repr(vars(query)), str(query.schema), str(model.get_params())]
    held = [pickle.dumps(query), pickle.dumps(model)]
    held.append((tmp_path / "model.crec").read_bytes())
    assert not leaks("".join(found))
    for secret in (PASSWORD.encode(), QUOTED.encode(), address.encode()):
        assert not any(secret in part for part in held)
    again = pickle.loads(held[0])
    assert again.schema == query.schema and again.sql == query.sql
    _execute("DROP TABLE log")


def test_what_is_no_name_of_a_variable_is_refused_and_not_repeated(monkeypatch):
    with pytest.raises(ValueError, match="name of a variable") as caught:
        SQLQuery("SELECT 1", f"postgresql://reader:{QUOTED}@host/db")
    assert not leaks(str(caught.value))
    monkeypatch.delenv("WAREHOUSE", raising=False)
    with pytest.raises(ValueError, match="WAREHOUSE is not set"):
        list(SQLQuery("SELECT 1", "WAREHOUSE"))
    monkeypatch.setenv("WAREHOUSE", f"oracle://reader:{QUOTED}@host/db")
    with pytest.raises(ValueError, match=r"postgresql://.* or duckdb://") as caught:
        list(SQLQuery("SELECT 1", "WAREHOUSE"))
    assert not leaks(str(caught.value))
    with pytest.raises(ValueError, match="mode is 'overwrite'"):
        write_lists(log(), "log", "WAREHOUSE", mode="overwrite")


def test_a_function_connects_and_does_not_travel(duckdb):
    from adbc_driver_duckdb import dbapi

    def connect(password=PASSWORD):
        return dbapi.connect()

    query = SQLQuery("SELECT 1 AS one", connect)
    assert [batch.to_pydict() for batch in query] == [{"one": [1]}]
    assert not leaks(repr(query))
    with pytest.raises(TypeError, match="may hold credentials"):
        pickle.dumps(query)
