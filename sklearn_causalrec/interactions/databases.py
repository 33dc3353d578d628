"""Logs that stand in a database: read batch by batch, and lists written back."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

# Of each kind of address, the module of ADBC that opens it.
DRIVERS = {
    "postgresql": "adbc_driver_postgresql",
    "postgres": "adbc_driver_postgresql",
    "duckdb": "adbc_driver_duckdb",
}
PACKAGES = {
    "adbc_driver_postgresql": "adbc-driver-postgresql",
    "adbc_driver_duckdb": "duckdb adbc-driver-manager",
}
MODES = ("create", "append", "replace", "create_append")


class DatabaseError(RuntimeError):
    """A database refused, in words that hold no credentials.

    See Also
    --------
    SQLQuery : Reads from a database.

    Examples
    --------
    >>> from sklearn_causalrec.interactions import DatabaseError
    >>> issubclass(DatabaseError, RuntimeError)
    True
    """


class SQLQuery:
    """The rows of a query, as record batches that can be read again and again.

    Rows come from the server in batches, while it sends them: memory holds one batch.
    The address, with its password, is read from a variable of the environment each
    time a connection is opened. It is kept in no attribute, and so in no pickle, model
    file, ``repr`` or log; it is taken out of the errors of drivers, too.

    Parameters
    ----------
    sql : str
        A query, without a semicolon at its end. End it by ``ORDER BY`` on columns that
        tell all rows apart: databases give rows in any order otherwise, and a fit reads
        them several times.
    connect : str or callable
        The name of a variable of the environment with an address:
        ``postgresql://user:password@host/database``, or ``duckdb:///path/to/file``
        (two slashes and the path). Or a function without arguments that returns a
        connection of an ADBC driver of your choice; it should read its credentials
        where they are kept, when it is called.

    Attributes
    ----------
    schema : pyarrow.Schema
        Names and types of the columns.

    Raises
    ------
    ValueError
        If `connect` is an address and not the name of a variable, the variable is not
        set, or its address is of an unknown kind.
    DatabaseError
        If the database refuses.

    See Also
    --------
    write_lists : Writes a table into a database.
    partition_log : Splits files of a log by user.

    Notes
    -----
    PostgreSQL sends the rows by ``COPY``, one after the other, as a server-side cursor
    would. A column of type ``numeric`` has no counterpart in floating point and is
    refused: ``CAST(price AS double precision)`` in the query.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import SQLQuery, write_lists
    >>> os.environ["WAREHOUSE"] = f"duckdb://{tempfile.mkdtemp()}/log.db"
    >>> log = pd.DataFrame({"user": ["a", "b"], "rating": [4.0, 2.0]})
    >>> write_lists(log, "ratings", "WAREHOUSE")
    2
    >>> rows = SQLQuery("SELECT * FROM ratings ORDER BY user", "WAREHOUSE")
    >>> rows.schema.names
    ['user', 'rating']
    >>> [batch.num_rows for batch in rows]
    [2]
    >>> rows
    SQLQuery('SELECT * FROM ratings ORDER BY user', connect='WAREHOUSE')
    """

    def __init__(self, sql: str, connect: str | Callable[[], Any]) -> None:
        self.sql = sql.strip().rstrip(";")
        self.connect = _checked(connect)
        self._schema = None
        self._n_rows: int | None = None

    def __repr__(self) -> str:
        connect = self.connect
        told = repr(connect) if isinstance(connect, str) else "<a function>"
        return f"SQLQuery({self.sql!r}, connect={told})"

    def __reduce__(self) -> Any:
        if not isinstance(self.connect, str):
            raise TypeError(
                "An SQLQuery made from a function is not pickled: the function may "
                "hold credentials. Name a variable of the environment instead."
            )
        return SQLQuery, (self.sql, self.connect)

    @property
    def schema(self) -> Any:
        """Names and types of the columns.

        Returns
        -------
        pyarrow.Schema
            The same for all batches.
        """
        if self._schema is None:
            asked = f"SELECT * FROM ({self.sql}) AS asked LIMIT 0"
            with _connection(self.connect) as connection:
                with closing(connection.cursor()) as cursor:
                    cursor.execute(asked)
                    schema = cursor.fetch_record_batch().schema
            _check_types(schema)
            self._schema = schema
        return self._schema

    def __iter__(self) -> Iterator[Any]:
        """Read all rows, in batches.

        Yields
        ------
        pyarrow.RecordBatch
            At least one, so that it has a schema.
        """
        schema, n_rows = self.schema, 0
        with _connection(self.connect) as connection:
            with closing(connection.cursor()) as cursor:
                cursor.execute(self.sql)
                for batch in cursor.fetch_record_batch():
                    n_rows += batch.num_rows
                    yield batch.cast(schema) if batch.schema != schema else batch
        if self._n_rows not in (None, n_rows):
            raise DatabaseError(
                f"The query gave {self._n_rows} rows when it was read first, and "
                f"{n_rows} now: the table has changed. Read from a copy of it, or say "
                "WHERE in the query up to which time rows count."
            )
        self._n_rows = n_rows


def write_lists(
    lists: Any,
    table: str,
    connect: str | Callable[[], Any],
    *,
    mode: str = "create",
) -> int:
    """Write a table, such as lists for users, into a database: all rows or none.

    Parameters
    ----------
    lists : DataFrame or pyarrow.Table
        The rows, of pandas, polars or Arrow.
    table : str
        The name of the table.
    connect : str or callable
        As of :class:`SQLQuery`.
    mode : {"create", "append", "replace", "create_append"}, default="create"
        What to do with a table of that name: "create" refuses if there is one,
        "append" if there is none, "replace" drops it, and "create_append" takes it as
        it is or makes it.

    Returns
    -------
    int
        The number of rows written.

    Raises
    ------
    ValueError
        If `mode` is none of these.
    DatabaseError
        If the database refuses. Nothing is written then.

    See Also
    --------
    SQLQuery : Reads from a database.
    sklearn_causalrec.recommend : Makes lists.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import write_lists
    >>> os.environ["WAREHOUSE"] = f"duckdb://{tempfile.mkdtemp()}/lists.db"
    >>> lists = pd.DataFrame({"user": [1, 1], "rank": [1, 2], "item": ["b", "a"]})
    >>> write_lists(lists, "lists", "WAREHOUSE")
    2
    """
    import pyarrow

    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}: choose one of {MODES}.")
    _checked(connect)
    if not isinstance(lists, pyarrow.Table):
        streams = hasattr(lists, "__arrow_c_stream__")
        convert = pyarrow.table if streams else pyarrow.Table.from_pandas
        lists = convert(lists)
    lists = lists.replace_schema_metadata(None)
    with _connection(connect) as connection:
        with closing(connection.cursor()) as cursor:
            cursor.adbc_ingest(table, lists, mode=mode)
        connection.commit()
    return lists.num_rows


def _checked(connect):
    if callable(connect):
        return connect
    if not isinstance(connect, str) or not re.fullmatch(r"[A-Za-z_]\w*", connect):
        # What was given may hold a password: it is not repeated.
        raise ValueError(
            "connect has to be the name of a variable of the environment that holds "
            "the address of the database, or a function that connects: an address "
            "itself would keep its password in the program."
        )
    return connect


@contextmanager
def _connection(connect):
    """A connection, whose errors hold no credentials; rolled back unless committed."""
    secrets, problem = [], None
    connection = None
    try:
        if callable(connect):
            connection = connect()
        else:
            address = os.environ.get(connect)
            if address is None:
                raise ValueError(f"The variable {connect} is not set.")
            secrets = _secrets_of(address)
            connection = _opened(address, connect)
        yield connection
    except Exception as error:
        if not _of_a_driver(error):
            raise
        problem = _without(str(error), secrets)
    finally:
        if connection is not None:
            connection.close()
    if problem is not None:  # outside of the handler: the driver's error is let go
        raise DatabaseError(problem)


def _of_a_driver(error):
    return type(error).__module__.partition(".")[0].startswith(("adbc_", "pyarrow"))


def _opened(address, variable):
    kind = address.partition(":")[0].partition("+")[0].lower()
    if kind not in DRIVERS:
        raise ValueError(
            f"The address in {variable} is of no known kind: it has to begin with "
            f"{' or '.join(f'{k}://' for k in DRIVERS)}. Give a function that connects "
            "for another database."
        )
    module = DRIVERS[kind]
    try:
        driver = import_module(f"{module}.dbapi")
    except ImportError as error:
        raise ImportError(
            f"To read from {kind}: pip install {PACKAGES[module]}."
        ) from error
    if kind == "duckdb":
        return driver.connect(address.removeprefix("duckdb://"))
    return driver.connect(address)


def _secrets_of(address):
    """The address and what is secret in it, the longest first."""
    found = [address]
    try:
        password = urlsplit(address).password
    except ValueError:
        password = None
    if password:
        found += [password, unquote(password)]
    found += re.findall(r"(?i)password=([^&\s]+)", address)
    return sorted(found, key=len, reverse=True)


def _without(text, secrets):
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())


def _check_types(schema):
    opaque = [f for f in schema if str(f.type).startswith("extension<arrow.opaque")]
    for column in opaque:
        kind = re.search(r"type_name=(\w+)", str(column.type))
        name = "unknown" if kind is None else kind[1]
        to = "double precision" if name == "numeric" else "text"
        raise DatabaseError(
            f"The column {column.name!r} has the type {name}, which no array holds: "
            f'say CAST("{column.name}" AS {to}) in the query.'
        )
