"""Scoring over HTTP, for trainers in other processes, containers and languages: ``harness serve``.

A request's way: ``connection`` (uvicorn's, with deadlines) -> ``access`` (host, token) -> ``app`` (routes) ->
``body`` (JSON within the limits) -> ``served_task`` (answers to known questions or databases) ->
``harness.adapters.grading_queue`` -> ``types`` (the response). ``run`` starts and ends the server.
"""
