"""Any task as a verifiers environment: ``vf-eval harness_sql --env.taskset.spec pocket``. See the import."""

try:
    from harness.adapters.verifiers import SqlEnv, SqlHarness, SqlTaskset
except ModuleNotFoundError as error:
    if str(error.name).partition(".")[0] != "verifiers":
        raise
    from tasks.common.errors import MissingExtra

    raise ImportError(str(MissingExtra("verifiers", "verifiers"))) from None

__all__ = ["SqlEnv", "SqlHarness", "SqlTaskset"]
