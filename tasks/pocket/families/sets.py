"""UNION, INTERSECT and EXCEPT."""

from tasks.pocket.families.family import HOP, Family

SETS = (
    Family(
        "union_tables",
        "hard",
        "p q",
        "x=p.label y=q.label",
        "SELECT {x} FROM {p} UNION SELECT {y} FROM {q}",
        """
        List the {x} of all {ps} together with the {y} of all {qs}.
        Show the {p} {x} and the {q} {y} values in one list.
        Combine the {x} of {ps} and the {y} of {qs}.
        Give one list of the {x} of all {ps} and the {y} of all {qs}.
        Put the {x} of every {p} and the {y} of every {q} in one list.
        Return the {x} of {ps} and the {y} of {qs} as one list.
        Show one list with the {x} of {ps} and the {y} of {qs}.
        Combine the {p} {x} and the {q} {y} values in one list.
        """,
    ),
    Family(
        "intersect",
        "extra",
        "c>p",
        "x=p.label k=c.category v=k.value w=k.value",
        "SELECT {p}.{x} FROM " + HOP + " WHERE {c}.{k} = {v} INTERSECT "
        "SELECT {p}.{x} FROM " + HOP + " WHERE {c}.{k} = {w}",
        """
        Which {ps} have both {cs} with {k} {v} and {cs} with {k} {w}? Show the {x}.
        List the {x} of {ps} that have {cs} with {k} {v} and also {cs} with {k} {w}.
        Show the {x} of {ps} with {cs} of both {k} {v} and {k} {w}.
        Give the {x} of each {p} that has {cs} with {k} {v} and also with {k} {w}.
        What is the {x} of {ps} having {cs} with both {k} {v} and {k} {w}?
        Find the {x} of {ps} with both {cs} of {k} {v} and {cs} of {k} {w}.
        Return the {x} of {ps} that have {cs} with both {k} {v} and {k} {w}.
        Which {ps} have {cs} with {k} {v} and also {cs} with {k} {w}? List the {x}.
        """,
    ),
    Family(
        "except",
        "hard",
        "c>p",
        "x=p.label k=c.category v=k.value",
        "SELECT {x} FROM {p} EXCEPT SELECT {p}.{x} FROM " + HOP + " WHERE {c}.{k} = {v}",
        """
        List the {x} of all {ps} except those that have {cs} with {k} {v}.
        Show the {x} of all {ps} but not of those with {cs} whose {k} is {v}.
        Give the {x} of every {p} except the ones having {cs} with {k} {v}.
        What is the {x} of all {ps}, leaving out those with {cs} with {k} {v}?
        Return the {x} of {ps}, except {ps} with {cs} whose {k} equals {v}.
        Find the {x} of all {ps} except the ones with {cs} whose {k} is {v}.
        Show the {x} of all {ps} except those having {cs} with {k} {v}.
        List the {x} of every {p}, leaving out those that have {cs} with {k} {v}.
        """,
    ),
    Family(
        "intersect_values",
        "hard",
        "t",
        "k=t.category n=t.number v=n.high w=n.low",
        "SELECT {k} FROM {t} WHERE {n} > {v} INTERSECT SELECT {k} FROM {t} WHERE {n} < {w}",
        """
        Which {k} values have both {ts} with {n} above {v} and {ts} with {n} below {w}?
        List each {k} that has {ts} with {n} over {v} and also {ts} with {n} under {w}.
        Show the {k} values shared by {ts} with {n} greater than {v} and {ts} with {n} less than {w}.
        Give each {k} found both for {ts} with {n} above {v} and for those with {n} below {w}.
        What {k} values have {ts} with {n} more than {v} and also {ts} with {n} less than {w}?
        Find the {k} values of both {ts} with {n} over {v} and {ts} with {n} under {w}.
        Show each {k} that has both {ts} with {n} greater than {v} and {ts} with {n} less than {w}.
        Which {k} values have {ts} with {n} over {v} and also {ts} with {n} below {w}?
        """,
    ),
)
