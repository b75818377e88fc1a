"""Questions with their SQL for the schemas of a task, made by a grammar (``harness generate``).

``reading`` describes a database as entities and fields, ``families`` draw a question and its SQL from them,
``checks`` keeps the pairs whose SQL answers the question, ``splits`` divides them, ``generate`` does it all.
"""
