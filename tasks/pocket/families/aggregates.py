"""Aggregates over one table."""

from tasks.pocket.families.family import Family

AGGREGATES = (
    Family(
        "count_all",
        "easy",
        "t",
        "",
        "SELECT COUNT(*) FROM {t}",
        """
        How many {ts} are there?
        Count all {ts}.
        What is the number of {ts}?
        Give the total number of {ts}.
        How many {ts} do we have?
        How many {ts} are there in total?
        What is the total number of {ts}?
        Count the {ts} we have.
        """,
    ),
    Family(
        "count_equals",
        "easy",
        "t",
        "k=t.category v=k.value",
        "SELECT COUNT(*) FROM {t} WHERE {k} = {v}",
        """
        How many {ts} have {k} {v}?
        Count the {ts} whose {k} is {v}.
        What is the number of {ts} with {k} {v}?
        Give the number of {ts} whose {k} equals {v}.
        How many {ts} are there with {k} {v}?
        Find how many {ts} have the {k} {v}.
        Count all {ts} with {k} equal to {v}.
        What is the total number of {ts} whose {k} is {v}?
        """,
    ),
    Family(
        "count_greater",
        "easy",
        "t",
        "n=t.number v=n.mid",
        "SELECT COUNT(*) FROM {t} WHERE {n} > {v}",
        """
        How many {ts} have {n} above {v}?
        Count the {ts} whose {n} is greater than {v}.
        What is the number of {ts} with {n} over {v}?
        Give the number of {ts} whose {n} is more than {v}.
        How many {ts} are there with {n} higher than {v}?
        Find how many {ts} have {n} above {v}.
        Count all {ts} with {n} greater than {v}.
        What is the total number of {ts} whose {n} is above {v}?
        """,
    ),
    Family(
        "count_distinct",
        "easy",
        "t",
        "k=t.category",
        "SELECT COUNT(DISTINCT {k}) FROM {t}",
        """
        How many different {k} values do {ts} have?
        Count the distinct {k} values of {ts}.
        What is the number of different {k} values among {ts}?
        How many distinct {k} entries are there for {ts}?
        Give the number of distinct {k} values of all {ts}.
        How many unique {k} values are there among {ts}?
        Count the different {k} values among the {ts}.
        What is the number of distinct {k} values for {ts}?
        """,
    ),
    Family(
        "distinct",
        "easy",
        "t",
        "k=t.category",
        "SELECT DISTINCT {k} FROM {t}",
        """
        List the different {k} values of {ts}.
        What are the distinct {k} values of {ts}?
        Show each different {k} among {ts} once.
        Give all distinct {k} values that {ts} have.
        Which different {k} values do {ts} have?
        Find the unique {k} values of {ts}.
        Show the distinct {k} values among {ts}.
        What are the different {k} values that {ts} have?
        """,
    ),
    Family(
        "average",
        "easy",
        "t",
        "n=t.measure",
        "SELECT AVG({n}) FROM {t}",
        """
        What is the average {n} of {ts}?
        Find the average {n} of all {ts}.
        Give the mean {n} of {ts}.
        Show the average {n} over all {ts}.
        Compute the mean {n} for {ts}.
        Tell me the average {n} of all {ts}.
        What is the mean {n} of all {ts}?
        Show the average {n} for {ts}.
        """,
    ),
    Family(
        "average_where",
        "easy",
        "t",
        "n=t.measure k=t.category v=k.value",
        "SELECT AVG({n}) FROM {t} WHERE {k} = {v}",
        """
        What is the average {n} of {ts} whose {k} is {v}?
        Find the average {n} of all {ts} with {k} {v}.
        Give the mean {n} of {ts} with {k} {v}.
        Show the average {n} over {ts} whose {k} equals {v}.
        Compute the mean {n} for {ts} where the {k} is {v}.
        Tell me the average {n} of {ts} having {k} {v}.
        What is the mean {n} of {ts} whose {k} is {v}?
        For {ts} with {k} {v}, show the average {n}.
        """,
    ),
    Family(
        "sum_where",
        "easy",
        "t",
        "n=t.measure k=t.category v=k.value",
        "SELECT SUM({n}) FROM {t} WHERE {k} = {v}",
        """
        What is the total {n} of {ts} whose {k} is {v}?
        Find the total {n} of all {ts} with {k} {v}.
        Give the sum of {n} over {ts} with {k} {v}.
        Add up the {n} of {ts} whose {k} equals {v}.
        Compute the sum of the {n} for {ts} where the {k} is {v}.
        Tell me the summed {n} of {ts} having {k} {v}.
        What is the sum of {n} for {ts} whose {k} is {v}?
        For {ts} with {k} {v}, show the total {n}.
        """,
    ),
    Family(
        "extremes",
        "medium",
        "t",
        "n=t.number",
        "SELECT MIN({n}), MAX({n}) FROM {t}",
        """
        What are the minimum and maximum {n} of {ts}?
        Show the lowest and highest {n} of all {ts}.
        Find the smallest and the largest {n} among {ts}.
        Give the minimum and the maximum {n} over {ts}.
        Return the lowest and the highest {n} for {ts}.
        List the minimum and the maximum {n} for all {ts}.
        What are the lowest and highest {n} among {ts}?
        Show the minimum and maximum {n} of {ts}.
        """,
    ),
)
