"""The role, or account, under which a model's queries run: it can read tables, and owns nothing."""

from __future__ import annotations

from tasks.databases.engines.postgres_text import HARMLESS

READER = "harness_reader"
PRIVATE_READER = "harness_private"
"""The role for tasks with private data."""
PASSWORD = "HARNESS_READER_PASSWORD"
"""The environment variable with the password of the role."""
PREPARE = f"""
DO $$
DECLARE f record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}') THEN
        CREATE ROLE {READER} LOGIN NOINHERIT;
    END IF;
    FOR f IN SELECT oid::regprocedure AS name FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
               AND (provolatile = 'v' AND proname NOT IN {tuple(sorted(HARMLESS))}
                    OR proname ~ '_to_xml' OR proname = 'pg_stat_get_activity')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.name);
    END LOOP;
END $$
"""
"""Make the role in a server of our own, and take from PUBLIC, in one database, the functions that have an
effect, tell of other sessions or run SQL in a string."""
