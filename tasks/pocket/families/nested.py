"""Nested queries."""

from tasks.pocket.families.family import HOP, Family

NESTED = (
    Family(
        "without",
        "hard",
        "c>p",
        "x=p.show",
        "SELECT {x} FROM {p} WHERE {p_id} NOT IN (SELECT {c_p} FROM {c})",
        """
        List the {x} of {ps} that have no {cs}.
        Show the {x} of {ps} without any {cs}.
        What is the {x} of each {p} that does not have any {cs}?
        Give the {x} of all {ps} with no {cs}.
        Which {ps} do not have any {cs}? Show the {x}.
        Find the {x} of {ps} having no {cs} at all.
        Return the {x} of {ps} that do not have any {cs}.
        Which {ps} have no {cs}? List the {x}.
        """,
    ),
    Family(
        "with_some",
        "hard",
        "c>p",
        "x=p.show k=c.category v=k.value",
        "SELECT {x} FROM {p} WHERE {p_id} IN (SELECT {c_p} FROM {c} WHERE {k} = {v})",
        """
        List the {x} of {ps} that have some {c} with {k} {v}.
        Show the {x} of {ps} having some {c} whose {k} is {v}.
        What is the {x} of each {p} with some {c} whose {k} equals {v}?
        Give the {x} of all {ps} that have some {c} with the {k} {v}.
        Which {ps} have some {c} with {k} {v}? Show the {x}.
        Find the {x} of {ps} with some {c} having {k} {v}.
        Return the {x} of {ps} that have some {c} whose {k} is {v}.
        Which {ps} have some {c} whose {k} equals {v}? List the {x}.
        """,
    ),
    Family(
        "without_such",
        "hard",
        "c>p",
        "x=p.show k=c.category v=k.value",
        "SELECT {x} FROM {p} WHERE {p_id} NOT IN (SELECT {c_p} FROM {c} WHERE {k} = {v})",
        """
        List the {x} of {ps} that have no {c} with {k} {v}.
        Show the {x} of {ps} without any {c} whose {k} is {v}.
        What is the {x} of each {p} that does not have any {c} with {k} {v}?
        Give the {x} of all {ps} with no {c} whose {k} equals {v}.
        Which {ps} do not have any {c} with {k} {v}? Show the {x}.
        Find the {x} of {ps} having no {c} with {k} {v}.
        Return the {x} of {ps} that do not have any {c} whose {k} is {v}.
        Which {ps} have no {c} whose {k} is {v}? List the {x}.
        """,
    ),
    Family(
        "exists",
        "hard",
        "c>p",
        "x=p.show n=c.number v=n.high",
        "SELECT {x} FROM {p} WHERE EXISTS (SELECT * FROM {c} WHERE {c}.{c_p} = {p}.{p_id} AND {c}.{n} > {v})",
        """
        List the {x} of {ps} with at least one {c} whose {n} is greater than {v}.
        Show the {x} of {ps} that have at least one {c} with {n} above {v}.
        What is the {x} of each {p} for which at least one {c} has {n} over {v}?
        Give the {x} of all {ps} having at least one {c} with {n} more than {v}.
        Which {ps} have at least one {c} with {n} higher than {v}? Show the {x}.
        Find the {x} of {ps} with at least one {c} that has {n} over {v}.
        Return the {x} of {ps} having at least one {c} whose {n} is above {v}.
        Which {ps} have at least one {c} whose {n} is greater than {v}? List the {x}.
        """,
    ),
    Family(
        "above_average",
        "hard",
        "t",
        "x=t.show n=t.measure",
        "SELECT {x} FROM {t} WHERE {n} > (SELECT AVG({n}) FROM {t})",
        """
        List the {x} of {ts} whose {n} is above the average.
        Show the {x} of {ts} with {n} greater than the average {n}.
        What is the {x} of each {t} with {n} above average?
        Give the {x} of all {ts} whose {n} is higher than the mean {n}.
        Which {ts} have {n} over the average? Show the {x}.
        Find the {x} of {ts} with an above average {n}.
        Return the {x} of {ts} with {n} above the mean.
        Which {ts} have {n} greater than the average? List the {x}.
        """,
    ),
    Family(
        "below_average",
        "hard",
        "t",
        "x=t.show n=t.measure",
        "SELECT {x} FROM {t} WHERE {n} < (SELECT AVG({n}) FROM {t})",
        """
        List the {x} of {ts} whose {n} is below the average.
        Show the {x} of {ts} with {n} less than the average {n}.
        What is the {x} of each {t} with {n} below average?
        Give the {x} of all {ts} whose {n} is lower than the mean {n}.
        Which {ts} have {n} under the average? Show the {x}.
        Find the {x} of {ts} with a below average {n}.
        Return the {x} of {ts} with {n} below the mean.
        Which {ts} have {n} less than the average? List the {x}.
        """,
    ),
    Family(
        "where_above_average",
        "extra",
        "t",
        "x=t.show n=t.measure k=t.category v=k.value",
        "SELECT {x} FROM {t} WHERE {k} = {v} AND {n} > (SELECT AVG({n}) FROM {t})",
        """
        List the {x} of {ts} whose {k} is {v} and whose {n} is above the overall average.
        Show the {x} of {ts} with {k} {v} and {n} greater than the overall average {n}.
        What is the {x} of each {t} with {k} {v} and {n} above the average of all {ts}?
        Give the {x} of {ts} with {k} {v} whose {n} is higher than the mean of all {ts}.
        Which {ts} with {k} {v} have {n} over the overall average? Show the {x}.
        Find the {x} of {ts} having {k} {v} and {n} above the overall mean.
        Return the {x} of {ts} with {k} {v} whose {n} is above the overall average.
        Which {ts} with {k} {v} have {n} above the average of all {ts}? List the {x}.
        """,
    ),
    Family(
        "count_above_average",
        "hard",
        "t",
        "n=t.measure",
        "SELECT COUNT(*) FROM {t} WHERE {n} > (SELECT AVG({n}) FROM {t})",
        """
        How many {ts} have {n} above the average?
        Count the {ts} whose {n} is greater than the average {n}.
        What is the number of {ts} with {n} above average?
        Give the number of {ts} whose {n} is higher than the mean {n}.
        How many {ts} are there with {n} over the average?
        Find how many {ts} have an above average {n}.
        How many {ts} have {n} above the mean?
        Count all {ts} with {n} greater than the average.
        """,
    ),
    Family(
        "join_highest",
        "extra",
        "c>p",
        "n=c.number x=c.show y=p.label",
        "SELECT {c}.{x}, {p}.{y} FROM " + HOP + " WHERE {c}.{n} = (SELECT MAX({n}) FROM {c})",
        """
        Show the {x} of each {c} with the maximum {n}, and the {y} of its {p}.
        Which {cs} share the highest {n}? Show the {c} {x} and the {p} {y}.
        List the {x} and the {p} {y} of all {cs} that share the highest {n}.
        Give the {c} {x} and the {p} {y} of every {c} whose {n} is the maximum.
        What are the {x} and the {p} {y} of all {cs} whose {n} equals the maximum?
        Find the {x} and the {p} {y} of every {c} with the maximum {n}.
        Return the {x} and the {p} {y} of all {cs} sharing the maximum {n}.
        Which {cs} have the maximum {n}? List the {c} {x} and the {p} {y}.
        """,
    ),
    Family(
        "highest_where",
        "extra",
        "t",
        "x=t.show n=t.number k=t.category v=k.value",
        "SELECT {x} FROM {t} WHERE {k} = {v} AND {n} = (SELECT MAX({n}) FROM {t} WHERE {k} = {v})",
        """
        Among {ts} with {k} {v}, which share the highest {n}? Show the {x}.
        Show the {x} of every {t} with {k} {v} that has the maximum {n} among them.
        Of the {ts} whose {k} is {v}, list the {x} of all that share the highest {n}.
        Give {x} of each {t} with the maximum {n} among {ts} with {k} {v}.
        Among {ts} whose {k} equals {v}, give {x} of all with the maximum {n}.
        Among {ts} with {k} {v}, find the {x} of every one with the maximum {n}.
        Of the {ts} with {k} {v}, which share the highest {n}? List the {x}.
        Among {ts} whose {k} is {v}, show the {x} of all that share the highest {n}.
        """,
    ),
    Family(
        "without_where",
        "extra",
        "c>p",
        "x=p.show k=p.category v=k.value",
        "SELECT {x} FROM {p} WHERE {k} = {v} AND {p_id} NOT IN (SELECT {c_p} FROM {c})",
        """
        List the {x} of {ps} with {k} {v} that have no {cs}.
        Show the {x} of {ps} whose {k} is {v} and that have no {cs}.
        What is the {x} of each {p} with {k} {v} that does not have any {cs}?
        Give the {x} of all {ps} with {k} {v} and without any {cs}.
        Which {ps} with {k} {v} do not have any {cs}? Show the {x}.
        Find the {x} of {ps} with {k} {v} having no {cs}.
        Return the {x} of {ps} with {k} {v} that do not have any {cs}.
        Which {ps} with {k} {v} have no {cs}? List the {x}.
        """,
    ),
    Family(
        "same_as",
        "hard",
        "t",
        "x=t.label k=t.category v=x.value",
        "SELECT {x} FROM {t} WHERE {k} = (SELECT {k} FROM {t} WHERE {x} = {v})",
        """
        List the {x} of all {ts} with the same {k} as {v}.
        Show the {x} of every {t} that has the same {k} as the {t} {v}.
        Which {ts} have the same {k} as {v}? Show the {x}.
        Give the {x} of {ts} whose {k} is the same as that of {v}.
        What is the {x} of each {t} with the same {k} as the {t} called {v}?
        Find the {x} of {ts} that share their {k} with {v}.
        Return the {x} of all {ts} whose {k} is the same as that of the {t} {v}.
        Which {ts} have the same {k} as the {t} called {v}? List the {x}.
        """,
    ),
)
