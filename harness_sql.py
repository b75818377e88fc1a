"""Any task as a verifiers environment: ``vf-eval harness_sql --env.taskset.spec pocket``. See the import."""

from harness.environment import SqlEnv, SqlHarness, SqlTaskset

__all__ = ["SqlEnv", "SqlHarness", "SqlTaskset"]
