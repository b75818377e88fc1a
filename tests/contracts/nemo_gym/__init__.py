"""The part of nemo-gym 0.7.0 that our resources server uses, for where the package cannot be installed.

It asks for Python 3.13.14, Ray, MLflow, and versions of ANTLR and MCP that other tests cannot have. Fields
are those of its ``base_resources_server.py``. Where the package is installed, tests run with it.
"""
