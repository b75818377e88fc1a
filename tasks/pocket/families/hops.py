"""Joins of three tables: a path of two foreign keys, or a table that links two others."""

from tasks.pocket.families.family import BRIDGE, HOP, PATH, Family

HOPS = (
    Family(
        "path_where",
        "hard",
        "g>c c>p",
        "x=g.show k=p.category v=k.value",
        "SELECT {g}.{x} FROM " + PATH + " WHERE {p}.{k} = {v}",
        """
        List the {x} of {gs} whose {c} belongs to some {p} with {k} {v}.
        Show the {x} of {gs} of {cs} whose {p} has {k} {v}.
        What is the {x} of each {g} whose {c} is of some {p} with {k} {v}?
        Give the {x} of {gs} for {cs} of {ps} with {k} {v}.
        Return the {x} of all {gs} whose {c} has some {p} with {k} {v}.
        Find the {x} of {gs} for {cs} whose {p} {k} is {v}.
        For {cs} of {ps} with {k} {v}, show the {x} of their {gs}.
        Return the {x} of {gs} of {cs} that belong to some {p} with {k} {v}.
        """,
    ),
    Family(
        "path_count",
        "hard",
        "g>c c>p",
        "y=p.label v=y.value",
        "SELECT COUNT(*) FROM " + PATH + " WHERE {p}.{y} = {v}",
        """
        How many {gs} do the {cs} of the {p} {v} have?
        Count the {gs} of all {cs} of the {p} called {v}.
        What is the number of {gs} for {cs} whose {p} is named {v}?
        Give the number of {gs} whose {c} belongs to the {p} {v}.
        How many {gs} are there for {cs} of the {p} called {v}?
        Find how many {gs} the {cs} of the {p} {v} have.
        Count the {gs} whose {c} belongs to the {p} named {v}.
        What is the number of {gs} of all {cs} of the {p} {v}?
        """,
    ),
    Family(
        "path_group",
        "hard",
        "g>c c>p",
        "x=p.label",
        "SELECT {p}.{x}, COUNT(*) FROM " + PATH + " GROUP BY {p}.{x}",
        """
        How many {gs} do the {cs} of each {p} have, if any? Show the {p} {x} and the count.
        Show the {x} of each {p} and the number of {gs} of its {cs}, if any.
        For each {p}, show the {x} and how many {gs} its {cs} have, if any.
        List every {p} {x} with the number of {gs} of its {cs}, if any.
        Count the {gs} of all {cs} of each {p}, if any, and show the {p} {x} too.
        Give the {x} of each {p} together with the number of {gs} of its {cs}, if any.
        For each {p} {x}, show the number of {gs} of its {cs}, if any.
        List the {x} of every {p} and how many {gs} its {cs} have, if any.
        """,
    ),
    Family(
        "bridge_name",
        "hard",
        "m>p m>q",
        "x=p.label y=q.label v=y.value",
        "SELECT DISTINCT {p}.{x} FROM " + BRIDGE + " WHERE {q}.{y} = {v}",
        """
        List the different {x} of {ps} that share {ms} with the {q} {v}.
        Show each {p} {x} once that has {ms} with the {q} called {v}.
        What are the distinct {x} of {ps} having {ms} with the {q} {v}?
        Give the distinct {x} of {ps} that have {ms} with the {q} named {v}.
        Which different {ps} have {ms} with the {q} {v}? Show the {x}.
        Find the distinct {x} of {ps} with {ms} shared with the {q} {v}.
        Return the different {x} of {ps} that have {ms} with the {q} called {v}.
        Which distinct {ps} share {ms} with the {q} {v}? List the {x}.
        """,
    ),
    Family(
        "bridge_distinct",
        "medium",
        "c>p c>q",
        "x=p.label",
        "SELECT {p}.{x}, COUNT(DISTINCT {c}.{c_q}) FROM " + HOP + " GROUP BY {p}.{x}",
        """
        For each {p} with {cs}, show the {x} and how many different {qs} its {cs} have.
        How many distinct {qs} do the {cs} of each {p} with {cs} have? Show the {p} {x} too.
        Show the {x} of each {p} that has {cs}, and the number of different {qs} in its {cs}.
        List the {x} of every {p} with {cs}, and the number of distinct {qs} of its {cs}.
        Give the {x} of each {p} having {cs} with how many distinct {qs} these have.
        Count the distinct {qs} of {cs} for each {p} that has {cs}, and show its {x}.
        For each {p} that has {cs}, show the {x} and the number of distinct {qs} of its {cs}.
        List the {x} of every {p} having {cs} and how many different {qs} these have.
        """,
    ),
    Family(
        "join_having_where",
        "hard",
        "c>p",
        "x=p.label n=c.number v=n.mid h=c_p.half",
        "SELECT {p}.{x} FROM " + HOP + " WHERE {c}.{n} > {v} GROUP BY {p}.{x} HAVING COUNT(*) >= {h}",
        """
        Which {ps} have at least {h} {cs} with {n} above {v}? Show the {x}.
        List the {x} of {ps} with at least {h} {cs} whose {n} is greater than {v}.
        Show the {x} of each {p} that has {h} or more {cs} with {n} over {v}.
        Give the {x} of all {ps} with {h} or more {cs} whose {n} is more than {v}.
        What is the {x} of each {p} having at least {h} {cs} with {n} higher than {v}?
        Find the {x} of {ps} that have at least {h} {cs} with {n} over {v}.
        Return the {x} of {ps} having {h} or more {cs} with {n} above {v}.
        Which {ps} have {h} or more {cs} whose {n} is greater than {v}? List the {x}.
        """,
    ),
)
