"""Joins of two tables by a foreign key."""

from tasks.pocket.families.family import HOP, Family

JOINS = (
    Family(
        "join_show",
        "medium",
        "c>p",
        "x=c.show y=p.label",
        "SELECT {c}.{x}, {p}.{y} FROM " + HOP,
        """
        Show the {x} of each {c} and the {y} of its {p}.
        List the {c} {x} together with the {p} {y}.
        What are the {x} of each {c} and the {y} of its {p}?
        Give the {x} of every {c} and the {y} of its {p}.
        For each {c}, show its {x} and the {p} {y}.
        Return the {c} {x} and the {y} of its {p}.
        For every {c}, list the {x} and the {y} of its {p}.
        Show each {c} {x} with its {p} {y}.
        """,
    ),
    Family(
        "join_where_parent",
        "medium",
        "c>p",
        "k=p.category x=c.show v=k.value",
        "SELECT {c}.{x} FROM " + HOP + " WHERE {p}.{k} = {v}",
        """
        List the {x} of {cs} whose {p} has {k} {v}.
        Show the {x} of all {cs} of {ps} with {k} {v}.
        What is the {x} of each {c} whose {p} {k} is {v}?
        Give the {x} of {cs} that belong to {ps} with {k} {v}.
        Return the {c} {x} where the {p} has the {k} {v}.
        Find the {x} of {cs} of any {p} with {k} {v}.
        Return the {x} of {cs} whose {p} {k} is {v}.
        For {ps} with {k} {v}, show the {x} of their {cs}.
        """,
    ),
    Family(
        "join_where_child",
        "medium",
        "c>p",
        "n=c.number x=p.label v=n.high",
        "SELECT DISTINCT {p}.{x} FROM " + HOP + " WHERE {c}.{n} > {v}",
        """
        List the different {x} of {ps} that have {cs} with {n} above {v}.
        Show each {p} {x} once that has {cs} whose {n} is greater than {v}.
        What are the distinct {x} of {ps} having {cs} with {n} over {v}?
        Give the distinct {p} {x} values where some {c} has {n} more than {v}.
        Which different {ps} have {cs} with {n} higher than {v}? Show the {x}.
        Find the distinct {x} of {ps} with {cs} whose {n} is above {v}.
        Return the different {x} of {ps} that have {cs} with {n} greater than {v}.
        Which distinct {ps} have {cs} with {n} over {v}? List the {x}.
        """,
    ),
    Family(
        "join_two_filters",
        "medium",
        "c>p",
        "k=p.category n=c.number x=c.show v=k.value w=n.mid",
        "SELECT {c}.{x} FROM " + HOP + " WHERE {p}.{k} = {v} AND {c}.{n} > {w}",
        """
        List the {x} of {cs} with {n} above {w} whose {p} has {k} {v}.
        Show the {x} of all {cs} with {n} greater than {w} of {ps} with {k} {v}.
        What is the {x} of each {c} whose {n} is over {w} and whose {p} {k} is {v}?
        Give the {x} of {cs} with {n} more than {w} that belong to {ps} with {k} {v}.
        Return the {x} of {cs} whose {n} is higher than {w} and whose {p} has {k} {v}.
        Find the {x} of {cs} with {n} over {w} of any {p} with {k} {v}.
        Return the {x} of {cs} with {n} above {w} whose {p} {k} is {v}.
        Show the {x} of {cs} whose {n} is greater than {w} and whose {p} has {k} {v}.
        """,
    ),
    Family(
        "join_count",
        "medium",
        "c>p",
        "y=p.label v=y.value",
        "SELECT COUNT(*) FROM " + HOP + " WHERE {p}.{y} = {v}",
        """
        How many {cs} does the {p} {v} have?
        Count the {cs} of the {p} called {v}.
        What is the number of {cs} whose {p} is named {v}?
        Give the number of {cs} of the {p} {v}.
        How many {cs} belong to the {p} called {v}?
        Find how many {cs} the {p} {v} has.
        How many {cs} are there for the {p} named {v}?
        Count all {cs} that belong to the {p} {v}.
        """,
    ),
    Family(
        "join_average",
        "medium",
        "c>p",
        "k=p.category n=c.measure v=k.value",
        "SELECT AVG({c}.{n}) FROM " + HOP + " WHERE {p}.{k} = {v}",
        """
        What is the average {n} of {cs} whose {p} has {k} {v}?
        Find the average {n} of all {cs} of {ps} with {k} {v}.
        Give the mean {n} of {cs} whose {p} {k} is {v}.
        Show the average {n} of {cs} that belong to {ps} with {k} {v}.
        Compute the mean {n} for {cs} where the {p} has the {k} {v}.
        Tell me the average {n} of {cs} of any {p} with {k} {v}.
        What is the mean {n} of {cs} of {ps} with {k} {v}?
        For {ps} with {k} {v}, show the average {n} of their {cs}.
        """,
    ),
    Family(
        "join_group_count",
        "medium",
        "c>p",
        "x=p.label",
        "SELECT {p}.{x}, COUNT(*) FROM " + HOP + " GROUP BY {p}.{x}",
        """
        How many {cs} does each {p} with {cs} have? Show the {p} {x} and the count.
        Show the {x} of each {p} that has {cs}, and its number of {cs}.
        For each {p} with {cs}, show the {x} and how many {cs} it has.
        List the {x} of every {p} having {cs}, with the number of {cs}.
        Count the {cs} for each {p} that has {cs}, and show the {p} {x} too.
        Give the {x} of each {p} having {cs} together with its number of {cs}.
        For each {p} that has {cs}, show the {x} and the number of {cs}.
        List the {x} of every {p} with {cs} and how many {cs} it has.
        """,
    ),
    Family(
        "join_group_average",
        "medium",
        "c>p",
        "x=p.label n=c.measure",
        "SELECT {p}.{x}, AVG({c}.{n}) FROM " + HOP + " GROUP BY {p}.{x}",
        """
        What is the average {n} of {cs} for each {p}? Show the {p} {x} and the average.
        Show the {x} of each {p} and the average {n} of its {cs}.
        For each {p} with {cs}, show the {x} and the mean {n} of its {cs}.
        List every {p} {x} with the average {n} of its {cs}.
        Give the mean {n} of {cs} by {p} {x}.
        Return the {x} of each {p} together with the average {n} of its {cs}.
        For each {p} {x}, show the average {n} of {cs}.
        List the {x} of every {p} and the mean {n} of its {cs}.
        """,
    ),
    Family(
        "join_having",
        "medium",
        "c>p",
        "x=p.label h=c_p.count",
        "SELECT {p}.{x} FROM " + HOP + " GROUP BY {p}.{x} HAVING COUNT(*) > {h}",
        """
        Which {ps} have more than {h} {cs}? Show the {x}.
        List the {x} of {ps} with more than {h} {cs}.
        Show the {x} of each {p} that has more than {h} {cs}.
        Give the {x} of all {ps} with over {h} {cs}.
        What is the {x} of each {p} having over {h} {cs}?
        Find the {x} of {ps} that have more than {h} {cs}.
        Return the {x} of {ps} having more than {h} {cs}.
        Which {ps} have over {h} {cs}? List the {x}.
        """,
    ),
    Family(
        "join_most",
        "extra",
        "c>p",
        "x=p.label h=x.top",
        "SELECT {p}.{x} FROM " + HOP + " GROUP BY {p}.{x} ORDER BY COUNT(*) DESC LIMIT {h}",
        """
        Which {h} {ps} have the most {cs}? Show the {x}.
        List the {x} of the {h} {ps} with the most {cs}.
        Show the {x} of the top {h} {ps} by number of {cs}.
        Give the {x} of the {h} {ps} with the largest number of {cs}.
        What is the {x} of the {h} {ps} having the most {cs}?
        Find the {x} of the {h} {ps} that have the most {cs}.
        Return the {x} of the {h} {ps} with the highest number of {cs}.
        Which {h} {ps} have the largest number of {cs}? List the {x}.
        """,
    ),
    Family(
        "join_top",
        "hard",
        "c>p",
        "n=c.number x=c.show y=p.label h=n.top",
        "SELECT {c}.{x}, {p}.{y} FROM " + HOP + " ORDER BY {c}.{n} DESC LIMIT {h}",
        """
        Show the {x} and the {p} {y} of the {h} {cs} with the highest {n}.
        List the {x} of the top {h} {cs} by {n}, with the {y} of their {p}.
        For the {h} {cs} with the largest {n}, give the {x} and the {p} {y}.
        What are the {x} and the {p} {y} of the {h} {cs} having the highest {n}?
        Give the {x} and the {y} of the {p} for the top {h} {cs} by {n}.
        Find the {x} and the {p} {y} of the top {h} {cs} by {n}.
        For the {h} {cs} with the highest {n}, show the {x} and the {p} {y}.
        Return the {x} and the {p} {y} of the {h} {cs} with the largest {n}.
        """,
    ),
    Family(
        "join_total_top",
        "extra",
        "c>p",
        "x=p.label n=c.measure h=n.top",
        "SELECT {p}.{x}, SUM({c}.{n}) FROM " + HOP + " GROUP BY {p}.{x} ORDER BY SUM({c}.{n}) DESC LIMIT {h}",
        """
        Which {h} {ps} have the highest total {n} of {cs}? Show the {x} and the total.
        List the {x} and the total {n} of {cs} for the {h} {ps} with the highest total.
        Show the {x} and summed {n} of {cs} for the top {h} {ps} by that sum.
        Give the {x} of the {h} {ps} with the largest total {n} of {cs}, and that total.
        What are the {x} and total {n} of {cs} of the top {h} {ps} by that total?
        Find the {h} {ps} with the highest summed {n} of {cs}; show the {x} and the sum.
        Show the {x} and the total {n} of {cs} for the {h} {ps} with the largest total.
        List the {x} and summed {n} of {cs} of the {h} {ps} with the highest sum.
        """,
    ),
    Family(
        "join_having_average",
        "extra",
        "c>p",
        "x=p.label n=c.measure v=n.near",
        "SELECT {p}.{x}, AVG({c}.{n}) FROM " + HOP + " GROUP BY {p}.{x} HAVING AVG({c}.{n}) > {v}",
        """
        Show the {x} of each {p} and the average {n} of its {cs}, where that average is above {v}.
        List {p} {x} and average {n} of {cs} for {ps} whose average is greater than {v}.
        Which {ps} have an average {n} of {cs} over {v}? Show the {x} and the average.
        Give the {x} and the mean {n} of {cs} for each {p} with a mean of more than {v}.
        For {ps} whose {cs} have a mean {n} higher than {v}, show the {x} and the mean.
        Find the {x} and average {n} of {cs} of {ps} whose average is over {v}.
        For {ps} whose {cs} have an average {n} above {v}, show the {x} and the average.
        Which {ps} have a mean {n} of {cs} greater than {v}? List the {x} and the mean.
        """,
    ),
)
