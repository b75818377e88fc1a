"""Groups of rows of one table."""

from tasks.pocket.families.family import Family

GROUPS = (
    Family(
        "group_count",
        "medium",
        "t",
        "k=t.category",
        "SELECT {k}, COUNT(*) FROM {t} GROUP BY {k}",
        """
        How many {ts} are there for each {k}?
        Show each {k} and the number of {ts}.
        Count the {ts} by {k}.
        For each {k}, show the {k} and how many {ts} there are.
        List every {k} with its number of {ts}.
        Give each {k} together with the number of {ts}.
        For each {k}, how many {ts} are there?
        Show the number of {ts} by {k}, with the {k}.
        """,
    ),
    Family(
        "group_average",
        "medium",
        "t",
        "k=t.category n=t.measure",
        "SELECT {k}, AVG({n}) FROM {t} GROUP BY {k}",
        """
        What is the average {n} of {ts} for each {k}?
        Show each {k} and the average {n} of its {ts}.
        Give the mean {n} of {ts} by {k}.
        For each {k}, show the {k} and the average {n} of {ts}.
        List every {k} with the mean {n} of {ts}.
        Find the average {n} of {ts} grouped by {k}.
        For each {k}, what is the mean {n} of {ts}?
        Show the average {n} of {ts} by {k}, with the {k}.
        """,
    ),
    Family(
        "group_having",
        "easy",
        "t",
        "k=t.category h=k.count",
        "SELECT {k} FROM {t} GROUP BY {k} HAVING COUNT(*) > {h}",
        """
        Which {k} values have more than {h} {ts}?
        List each {k} with more than {h} {ts}.
        Show every {k} that more than {h} {ts} have.
        Give the {k} values shared by over {h} {ts}.
        What are the {k} values with over {h} {ts}?
        Find each {k} that occurs for more than {h} {ts}.
        Show each {k} shared by more than {h} {ts}.
        Which {k} values occur for over {h} {ts}?
        """,
    ),
    Family(
        "group_having_average",
        "easy",
        "t",
        "k=t.category n=t.measure v=n.near",
        "SELECT {k} FROM {t} GROUP BY {k} HAVING AVG({n}) > {v}",
        """
        For which {k} values is the average {n} of {ts} above {v}?
        List each {k} whose {ts} have an average {n} greater than {v}.
        Show every {k} with an average {n} of {ts} over {v}.
        Give each {k} for which the mean {n} of {ts} is more than {v}.
        Which {k} values have {ts} with a mean {n} higher than {v}?
        Find each {k} with a mean {n} of {ts} above {v}.
        Which {k} values have an average {n} of {ts} greater than {v}?
        Show each {k} whose {ts} have a mean {n} over {v}.
        """,
    ),
    Family(
        "most_common",
        "hard",
        "t",
        "k=t.category",
        "SELECT {k} FROM {t} GROUP BY {k} ORDER BY COUNT(*) DESC LIMIT 1",
        """
        Which {k} is the most common among {ts}?
        What is the most frequent {k} of {ts}?
        Find the {k} that most {ts} have.
        Show the {k} with the largest number of {ts}.
        Give the {k} shared by the most {ts}.
        Return the most common {k} of {ts}.
        Which {k} has the largest number of {ts}?
        What is the most common {k} among all {ts}?
        """,
    ),
    Family(
        "group_ordered",
        "extra",
        "t",
        "k=t.category",
        "SELECT {k}, COUNT(*) FROM {t} GROUP BY {k} ORDER BY COUNT(*) DESC",
        """
        Show each {k} and the number of {ts}, most first.
        List every {k} with its number of {ts} in descending order of the number.
        Count the {ts} by {k}, from most to fewest.
        For each {k}, show how many {ts} there are, sorted from most to fewest.
        Give each {k} and how many {ts} it has, most first.
        Return each {k} with its number of {ts}, from most to fewest.
        For each {k}, count the {ts}, in descending order of the number.
        How many {ts} are there for each {k}, most first?
        """,
    ),
    Family(
        "group_where",
        "medium",
        "t",
        "k=t.category n=t.number v=n.mid",
        "SELECT {k}, COUNT(*) FROM {t} WHERE {n} > {v} GROUP BY {k}",
        """
        How many {ts} with {n} above {v} are there for each {k}?
        Show each {k} and the number of {ts} whose {n} is greater than {v}.
        Count the {ts} with {n} over {v} by {k}.
        For each {k}, show the {k} and how many {ts} have {n} more than {v}.
        List every {k} with its number of {ts} whose {n} is higher than {v}.
        Give each {k} with the number of {ts} whose {n} is above {v}.
        For each {k}, how many {ts} have {n} greater than {v}?
        Show each {k} with its number of {ts} with {n} over {v}.
        """,
    ),
)
