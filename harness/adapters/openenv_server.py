"""Serve a task as an OpenEnv environment: ``python -m harness.adapters.openenv_server --task spider``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from harness.arguments import Parser, port, positive
from harness.verbs.options import add_overrides
from tasks.common.errors import HarnessError, SpecError
from tasks.common.terminal import say
from tasks.task import Task

PROGRAM = "python -m harness.adapters.openenv_server"


def main() -> int:
    """Serve until the process is ended. Exit status 2: the user can fix it, by what stderr says."""
    parser = Parser(prog=PROGRAM, description="Serve a task as an OpenEnv environment.")
    parser.add_argument("--task", default="pocket", help="a shipped task or a YAML file")
    parser.add_argument("--turns", type=positive, default=1, metavar="N", help="most answers to a question")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; there is no token")
    parser.add_argument("--port", type=port, default=8000, help="port to listen on; default: 8000")
    add_overrides(parser)
    options = parser.parse_args()
    try:
        if find_spec("openenv") is None:
            raise SpecError("openenv is not installed: pip install 'openenv>=0.10,<0.11'")
        import uvicorn

        from harness.adapters.openenv import app

        task = Task.named(options.task, options.overrides, options.trust_task)
        uvicorn.run(app(task, options.turns), host=options.host, port=options.port, log_level="warning")
    except HarnessError as error:
        say(f"{PROGRAM}: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
