"""The section ``databases`` of a task spec: files, or databases of a server."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from tasks.common.errors import nearest
from tasks.common.parse import SecretError, Spec
from tasks.databases.servers.address import ENGINES, EXAMPLE, engine_of, has_written_password
from tasks.types import Engine

COPIES: tuple[Engine, ...] = ("duckdb", "postgres")
"""The engines to which databases are copied without a URL."""


def engine_named(target: str) -> Engine:
    """The engine of a name or a URL."""
    known: dict[str, Engine] = {engine: engine for engine in COPIES}
    return known.get(target) or engine_of(target) or "sqlite"


class DatabasesSpec(Spec):
    """Where the databases are: files (``path``) or databases of a server (``url``).

    ``{database}`` becomes the row's database id.
    """

    engine: Engine = "sqlite"
    """``sqlite``, ``duckdb``, ``postgres`` or ``mariadb``; with ``url`` the default is the engine that it
    names."""
    path: str = ""
    """Pattern of a database's file; ``{database}`` is replaced by the row's database id."""
    url: str = ""
    """Database on a server: ``postgresql://user:${PASSWORD}@host/{database}``, ``embedded://{database}`` on
    the embedded PostgreSQL, or ``mariadb://`` or ``mysql://`` with the same parts. Passwords come from
    environment variables only. The user must be able to read only (``harness db prepare``)."""
    copy_to: str = ""
    """The engine to which the databases of ``path`` are copied, and on which all queries run: ``duckdb``,
    ``postgres`` (the embedded server), or the URL of databases that ``harness db copy`` has made. Golds are
    translated where ``scoring.transpile_gold`` is set."""
    instances: str = ""
    """Glob of further instances of the same database, for scoring on several instances."""
    missing: Literal["error", "skip"] = "error"
    """What to do with a row whose database is missing: an error, or skip and count it."""

    @model_validator(mode="before")
    @classmethod
    def _engine_of_the_url(cls, data: Any) -> Any:
        url = data.get("url") if isinstance(data, dict) else None
        engine = engine_of(url) if isinstance(url, str) else None
        return {"engine": engine, **data} if engine else data

    @property
    def runs_on(self) -> Engine:
        """The engine on which queries run: that of the copies, if there are any."""
        return engine_named(self.copy_to) if self.copy_to else self.engine

    @field_validator("copy_to")
    @classmethod
    def _is_an_engine(cls, target: str) -> str:
        if target and target not in COPIES:
            if target in ENGINES.values():
                raise ValueError(
                    f"{target} has no server of its own here: copy the files to yours with `harness db copy`,"
                    " and give its URL: 'mariadb://user:${PASSWORD}@host/{database}'"
                )
            if "://" not in target:
                raise ValueError(f"{nearest(target, COPIES)} Or give a URL: {EXAMPLE}")
            cls._has_no_password(target)
            if not engine_of(target):
                raise ValueError(f"not the URL of a database: write it as {EXAMPLE}")
        return target

    @field_validator("url")
    @classmethod
    def _has_no_password(cls, url: str) -> str:
        if has_written_password(url):
            raise SecretError(f"a password must come from the environment: {EXAMPLE}")
        if url and not engine_of(url) and not url.startswith("${"):
            raise ValueError(f"not the URL of a database: write it as {EXAMPLE}")
        return url

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        on_server = self.engine in ENGINES.values()
        named = engine_of(self.url)
        if named and named != self.engine:
            raise ValueError(f"engine: {self.engine} does not read {self.url}: leave databases.engine out")
        if on_server != bool(self.url):
            needed = "url" if on_server else "engine"
            raise ValueError(
                f"{needed}: set databases.{needed} too; engine is {self.engine}, url '{self.url}'"
            )
        if self.url and self.copy_to:
            raise ValueError("copy_to: the databases of a server are not copied: leave copy_to or url out")
        if self.url and (self.path or self.instances):
            raise ValueError("url: leave out path and instances, which are for files")
        return self
