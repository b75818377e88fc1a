"""Make, on a MariaDB server of the user's, the account under which a model's queries run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from hashlib import sha1

import pymysql

from tasks.common.errors import DataError
from tasks.databases.engines.mariadb_connection import Connection
from tasks.databases.engines.mariadb_open import (
    as_user,
    connect,
    every_table_of,
    grants,
    is_mariadb,
    powers_of,
)
from tasks.databases.engines.session import ServerLost
from tasks.databases.servers.private_mariadb import grant_public
from tasks.databases.servers.roles import PASSWORD, PRIVATE_READER, READER
from tasks.types import Server

_SECONDS = 300
_NO_ACCOUNT = 1141
_ANONYMOUS = "SELECT 1 FROM mysql.user WHERE User = '' AND Host = 'localhost'"


def prepare(server: Server, private: Sequence[str] = ()) -> Iterator[str]:
    """Make the account and let it read the URL's database; yields what was done, in lines.

    ``private``: tables and columns that it may not read. The account is then another one, for these only.

    ``server``: by a user who may make accounts. Nothing else is changed. Raises DataError: it may not, the
    account could do more than read, or it would have no password.
    """
    try:
        with closing(connect(server)) as connection:
            [(database,)] = connection.execute("SELECT DATABASE()").fetchall()
            if not database:
                raise DataError(f"{server}: name the database that is to be read")
            name = PRIVATE_READER if private else READER
            accounts = [f"'{name}'@'{host}'" for host in _hosts(connection)]
            for account in accounts:
                yield from _make_account(connection, account)
            if private:
                yield from _grant_public(connection, server, accounts, private)
            else:
                yield from _grant(connection, accounts, str(database))
            for account in accounts:
                if powers := powers_of(_grants(connection, account) or ()):
                    yield f"note: {account} {powers}: a model's SQL is refused until that is revoked"
    except ServerLost as error:
        raise DataError(str(error)) from None
    except pymysql.Error as error:
        raise DataError(f"{server}: {error.args[-1] if error.args else error}") from None


def _grant(connection: Connection, accounts: Sequence[str], database: str) -> Iterator[str]:
    for account in accounts:
        _let_read(connection, account, database)
    yield f"it may read all tables and views of the database {database} (SELECT, SHOW VIEW)"


def _grant_public(
    connection: Connection, server: Server, accounts: Sequence[str], private: Sequence[str]
) -> Iterator[str]:
    password = os.environ.get(PASSWORD, "")
    if not password:
        raise DataError(f"set {PASSWORD} in the environment: the account looks which views it could compute")
    reader = as_user(server, PRIVATE_READER, password)
    yield from grant_public(connection, accounts, reader, private)


def _hosts(connection: Connection) -> Iterator[str]:
    """From where the account logs in: the server's anonymous user would take its place on localhost."""
    yield "%"
    try:
        if connection.execute(_ANONYMOUS).fetchall():
            yield "localhost"
    except pymysql.OperationalError:  # the accounts may not be read
        return


def _make_account(connection: Connection, account: str) -> Iterator[str]:
    password = os.environ.get(PASSWORD, "")
    known = _grants(connection, account)
    if known is None:
        if not password:
            raise DataError(
                f"set {PASSWORD} in the environment: an account without a password is open to all"
            )
        connection.execute(f"CREATE USER {account} IDENTIFIED BY {_password(connection, password)}")
        yield f"made the account {account}, with the password in ${{{PASSWORD}}}"
    else:
        if powers := powers_of(known):
            raise DataError(f"the account {account} exists and {powers}: drop it, or take that from it")
        yield f"kept the account {account}: it may only read"
        if password:
            connection.execute(f"ALTER USER {account} IDENTIFIED BY {_password(connection, password)}")
            yield f"set its password to the value of ${{{PASSWORD}}}"
    if is_mariadb(connection):
        connection.execute(f"ALTER USER {account} WITH MAX_STATEMENT_TIME {_SECONDS}")
        yield f"limited its statements to {_SECONDS} seconds"


def let_reader_read(connection: Connection, database: str) -> None:
    """Let the account, where it exists, read a database. Raises pymysql.Error."""
    for host in _hosts(connection):
        account = f"'{READER}'@'{host}'"
        if _grants(connection, account) is not None:
            _let_read(connection, account, database)


def _let_read(connection: Connection, account: str, database: str) -> None:
    connection.execute(f"GRANT SELECT, SHOW VIEW ON {every_table_of(database)} TO {account}")


def _grants(connection: Connection, account: str) -> list[str] | None:
    """The rights of an account; None where there is no such account."""
    try:
        return grants(connection, account)
    except pymysql.OperationalError as error:
        if error.args[0] == _NO_ACCOUNT:
            return None
        raise


def _password(connection: Connection, password: str) -> str:
    """The password for IDENTIFIED BY: for MariaDB its hash, which a log of the server may show."""
    if not is_mariadb(connection):
        return str(connection.escape(password))
    return f"PASSWORD '*{sha1(sha1(password.encode()).digest()).hexdigest().upper()}'"
