"""Verbs about databases: ``db prepare`` and ``db copy``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arguments import Parser, path
from harness.verbs.options import Verbs
from tasks.common.errors import SpecError
from tasks.common.home import expand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tasks.databases.copying.copied import Copied
    from tasks.types import Server


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    verb = verbs.add_parser("db", help="databases on servers and their copies")
    actions = verb.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    _prepare_options(actions)
    _copy_options(actions)


def _prepare_options(actions: Verbs) -> None:
    verb = actions.add_parser(
        "prepare", help="make the role, or account, that may only read a database on a server"
    )
    verb.set_defaults(call=prepare)
    verb.add_argument(
        "url",
        metavar="URL",
        help="the database, by a user who may make roles: 'postgresql://admin:${PASSWORD}@host/name', or"
        " 'mariadb://...'; the variables come from the environment",
    )
    verb.add_argument(
        "--private",
        action="append",
        metavar="NAME",
        default=[],
        help="a table, or table.column, that the role may not read; may be repeated",
    )
    verb.add_argument("--json", action="store_true", help="print JSON")


def _copy_options(actions: Verbs) -> None:
    verb = actions.add_parser("copy", help="copy SQLite or DuckDB files, with keys and types")
    verb.set_defaults(call=copy)
    verb.add_argument("files", nargs="+", metavar="FILE", type=path, help="SQLite or DuckDB files")
    verb.add_argument(
        "target",
        metavar="TARGET",
        help="'embedded://{database}' on the embedded PostgreSQL, the URL of an empty database, or a DuckDB"
        " file, '{database}.duckdb'; {database} is the name of the file",
    )
    verb.add_argument(
        "--replace", action="store_true", help="replace the embedded server's databases, or files"
    )
    verb.add_argument("--json", action="store_true", help="print JSON")


def prepare(options: argparse.Namespace) -> int:
    """``harness db prepare``: make the role, and print what was done."""
    server = _server(options.url)
    done = list(_preparer(server)(server, _patterns(options.private)))
    print(json.dumps({"url": server.url, "done": done}, indent=2) if options.json else "\n".join(done))
    return 0


def _patterns(private: list[str]) -> list[str]:
    from tasks.databases.private.names import patterns

    try:
        patterns(private)
    except ValueError as error:
        raise SpecError(f"--private: {error}") from None
    return private


def copy(options: argparse.Namespace) -> int:
    """``harness db copy``: copy files to databases of a server or to DuckDB files; print what is in them."""
    from harness.render.progress import bar

    targets = {file: _target(options.target, Path(file).stem) for file in options.files}
    if len(set(map(str, targets.values()))) < len(targets):
        raise SpecError("several files would be copied to one database: write {database} in the target")
    done = []
    with bar("databases", len(targets)) as report:
        for file, target in targets.items():
            copied = _copy(Path(file), target, options.replace)
            done.append({"file": file, "url": str(target), **asdict(copied)})
            report(1)
    if options.json:
        print(json.dumps(done, indent=2))
        return 0
    for one in done:
        print(f"{one['url']}: {one['tables']} tables, {one['rows']} rows")
        print(
            *(f"  left out: {what}" for what in one["left_out"]), sep="\n", end="\n" * bool(one["left_out"])
        )
    return 0


def _preparer(server: Server) -> Callable[[Server, list[str]], Iterator[str]]:
    from tasks.databases.servers import address

    if address.engine_of(server.login) == "mariadb":
        from tasks.databases.servers.prepare_mariadb import prepare
    else:
        from tasks.databases.servers.prepare import prepare
    return prepare


def _target(target: str, database: str) -> Server | Path:
    if "://" in target or not target.endswith(".duckdb"):
        return _server(target, database)
    return Path(expand(target, database=database))


def _copy(file: Path, target: Server | Path, replace: bool) -> Copied:
    from tasks.databases.copying import duckdb
    from tasks.databases.copying.source import is_duckdb
    from tasks.databases.servers import address
    from tasks.types import Database

    database = Database(file.stem, "duckdb" if is_duckdb(file) else "sqlite", (file,))
    if isinstance(target, Path):
        return duckdb.copy_into(database, target, replace)
    if address.engine_of(target.login) == "mariadb":
        from tasks.databases.copying import mariadb

        return mariadb.load(database, target)
    from tasks.databases.servers.load import load

    return load(database, target, replace)


def _server(url: str, database: str = "") -> Server:
    from tasks.databases.servers.address import EXAMPLE, engine_of, has_written_password, server_at

    if has_written_password(url):
        raise SpecError(f"the password of the URL must come from the environment: '{EXAMPLE}'")
    if not engine_of(url) and not url.startswith("${"):
        raise SpecError(f"not the URL of a database: '{EXAMPLE}'")
    return server_at(url, database)
