"""The part of openenv 0.10.0 that our environment uses, for where the package cannot be installed.

It asks for a version of MCP that verifiers cannot have. The fields are those of its
``core/env_server/types.py`` and ``interfaces.py``. Where the package is installed, tests run with it.
"""
