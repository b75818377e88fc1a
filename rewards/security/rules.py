"""The words, functions and names by which an attempt is recognised, for each engine.

The groups follow OWASP's guides on SQL injection (prevention, and testing) and the manuals of the engines. A
rule is matched against whole names in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from rewards.types import Flag

STATEMENTS: Mapping[Flag, frozenset[str]] = {
    flag: frozenset(words.split())
    for flag, words in {
        Flag.WRITE: "call copy delete do execute insert load merge replace truncate update upsert",
        Flag.DDL: "alter analyze cluster comment create drop grant reassign refresh reindex rename repair"
        " revoke security vacuum",
        Flag.FILE: "attach copy detach export import install load",
        Flag.SETTINGS: "abort begin checkpoint close commit deallocate declare discard end fetch flush"
        " handler kill listen lock move notify pragma prepare release reset rollback savepoint set start"
        " unlisten unlock use",
        Flag.CATALOGUE: "desc describe explain show",
    }.items()
}
"""The first word of a statement that is no query -> what it is."""
WORDS = frozenset().union(*STATEMENTS.values())
PAIRS: Mapping[tuple[str, str], Flag] = {
    ("insert", "into"): Flag.WRITE,
    ("replace", "into"): Flag.WRITE,
    ("merge", "into"): Flag.WRITE,
    ("delete", "from"): Flag.WRITE,
    ("drop", "table"): Flag.DDL,
    ("drop", "view"): Flag.DDL,
    ("drop", "database"): Flag.DDL,
    ("drop", "schema"): Flag.DDL,
    ("alter", "table"): Flag.DDL,
    ("create", "table"): Flag.DDL,
    ("create", "view"): Flag.DDL,
    ("into", "outfile"): Flag.FILE,
    ("into", "dumpfile"): Flag.FILE,
    ("for", "update"): Flag.SETTINGS,
    ("for", "share"): Flag.SETTINGS,
    ("for", "key"): Flag.SETTINGS,
    ("for", "no"): Flag.SETTINGS,
    ("lock", "in"): Flag.SETTINGS,
    ("procedure", "analyse"): Flag.SETTINGS,
}
"""Two words in a row, inside of any statement."""


class Names(NamedTuple):
    """Names of one group. ``calls``: only where a bracket follows; ``anywhere``: wherever they occur."""

    calls: str = r"(?!)"
    anywhere: str = r"(?!)"


_COMMON: Mapping[Flag, Names] = {
    Flag.CATALOGUE: Names(anywhere=r"information_schema"),
}
_BY_ENGINE: Mapping[str, Mapping[Flag, Names]] = {
    "sqlite": {
        Flag.DELAY: Names(calls=r"sleep|usleep"),
        Flag.FILE: Names(
            calls=r"load_extension|readfile|writefile|edit|fts3_tokenizer|fsdir|lsdir|zipfile|sqlite_dbpage"
        ),
        Flag.SETTINGS: Names(calls=r"sqlite_log"),
        Flag.CATALOGUE: Names(
            anywhere=r"sqlite_(?:temp_)?(?:master|schema)|sqlite_(?:stat\d|sequence|dbpage|stmt)|pragma_\w+|dbstat"
            r"|bytecode|tables_used|fts\d+vocab",
            calls=r"sqlite_(?:version|source_id|compileoption_(?:get|used))",
        ),
    },
    "duckdb": {
        Flag.DELAY: Names(calls=r"sleep_ms|pg_sleep|sleep"),
        Flag.FILE: Names(
            calls=r"read_\w+|parquet_\w+|sniff_csv|glob|getenv|write_log|iceberg_\w+|delta_scan"
            r"|st_read\w*|copy_\w+"
        ),
        Flag.NETWORK: Names(
            calls=r"(?:sqlite|postgres|mysql)_(?:scan|query|attach|execute)\w*|http_\w+|ducklake_\w+"
        ),
        Flag.SETTINGS: Names(
            calls=r"setseed|set_config|nextval|enable_\w+|disable_\w+|force_checkpoint|checkpoint"
            r"|truncate_duckdb_logs"
        ),
        Flag.DYNAMIC: Names(calls=r"query|json_execute_\w+"),
        Flag.CATALOGUE: Names(
            calls=r"duckdb_\w+|pragma_\w+|which_secret|current_(?:setting|schemas?|database|user|catalog)|version"
            r"|pg_\w+",
            anywhere=r"sqlite_(?:temp_)?(?:master|schema)|pg_catalog|pg_(?:class|tables|attribute|namespace|type|views"
            r"|settings|proc|constraint|index|database|description|depend|enum|sequences?|tablespace|prepared\w*)",
        ),
    },
    "postgres": {
        Flag.DELAY: Names(calls=r"pg_sleep(?:_for|_until)?"),
        Flag.FILE: Names(
            calls=r"pg_(?:read|ls|stat|write|append)_\w+|pg_file_\w+|lo_\w+|loread|lowrite|pg_current_logfile"
        ),
        Flag.DYNAMIC: Names(
            calls=r"(?:table|query|schema|database|cursor)_to_xml\w*|ts_(?:stat|rewrite)|xpath_table|crosstab\w*"
        ),
        Flag.NETWORK: Names(calls=r"dblink\w*|http\w*|inet_(?:client|server)_(?:addr|port)|postgres_fdw_\w+"),
        Flag.SETTINGS: Names(
            calls=r"set_config|setval|nextval|setseed|pg_(?:try_)?advisory_\w+|pg_(?:terminate|cancel)_backend"
            r"|pg_reload_conf|pg_rotate_logfile|pg_notify|pg_switch_wal|pg_create_\w+|pg_drop_\w+|pg_promote"
            r"|txid_current"
        ),
        Flag.CATALOGUE: Names(
            calls=r"current_setting|current_(?:schemas?|database|query)|version|has_\w+_privilege|to_reg\w+",
            anywhere=r"pg_(?!typeof$)\w+|session_user"
            r"|current_user|current_role|current_catalog",
        ),
    },
    "mariadb": {
        Flag.DELAY: Names(calls=r"sleep|benchmark|master_(?:pos|gtid)_wait|wait_for_executed_gtid_set"),
        Flag.FILE: Names(calls=r"load_file", anywhere=r"outfile|dumpfile|infile"),
        Flag.NETWORK: Names(calls=r"sys_(?:exec|eval|get|set)"),
        Flag.SETTINGS: Names(
            calls=r"get_lock|release_(?:all_)?locks?|is_(?:free|used)_lock|last_insert_id|nextval|setval"
            r"|found_rows|row_count"
        ),
        Flag.CATALOGUE: Names(
            calls=r"version|user|database|schema|current_user|session_user|system_user|connection_id",
            anywhere=r"mysql|performance_schema|sys",
        ),
    },
}

HEAVY = re.compile(
    r"generate_series|range|repeat|rpad|lpad|randomblob|zeroblob|benchmark|printf|format|space|exp"
)
"""Functions whose work grows with a number among their arguments."""
LARGE = 1_000_000
"""The smallest such number that counts as heavy."""


def _compiled(engine: str) -> list[tuple[Flag, re.Pattern[str], re.Pattern[str]]]:
    groups = [*_COMMON.items(), *_BY_ENGINE.get(engine, {}).items()]
    return [(flag, re.compile(names.calls), re.compile(names.anywhere)) for flag, names in groups]


COMPILED = {engine: _compiled(engine) for engine in _BY_ENGINE}
"""Engine -> (flag, pattern of called functions, pattern of names)."""
EVERY = [rule for rules in COMPILED.values() for rule in rules]
"""The rules for an engine without its own: those of all engines."""
EXTERNAL = re.compile(
    r".*\.(?:csv|tsv|txt|json|jsonl|ndjson|parquet|arrow|db|duckdb|sqlite\d?|xlsx|gz|zst)|.*[/\\].*|\w+://.*",
    re.DOTALL | re.IGNORECASE,
)
"""A table that DuckDB would read from a file or an address."""
REMOTE = re.compile(
    r"(?:https?|s3|gcs|gs|r2|az|abfss?|hf|ftp|postgres(?:ql)?|mysql)://.*", re.DOTALL | re.IGNORECASE
)
