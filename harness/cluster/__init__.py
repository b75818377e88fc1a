"""Scoring on the nodes of a Ray cluster: ``pool.py`` has the jobs, ``node.py`` does them on each node."""
