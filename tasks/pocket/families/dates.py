"""Questions on years and dates."""

from tasks.pocket.families.family import Family

DATES = (
    Family(
        "in_year",
        "easy",
        "t",
        "d=t.date x=t.show v=d.year",
        "SELECT {x} FROM {t} WHERE strftime('%Y', {d}) = '{v}'",
        """
        List the {x} of {ts} whose {d} is in {v}.
        What is the {x} of each {t} with {d} in the year {v}?
        Show the {x} of {ts} with {d} in {v}.
        Give the {x} of all {ts} whose {d} falls in {v}.
        Which {ts} have their {d} in {v}? Show the {x}.
        Find the {x} of {ts} having their {d} in {v}.
        Return the {x} of {ts} with {d} in the year {v}.
        For {ts} whose {d} is in {v}, list the {x}.
        """,
    ),
    Family(
        "after",
        "easy",
        "t",
        "d=t.date x=t.show v=d.mid",
        "SELECT {x} FROM {t} WHERE {d} > {v}",
        """
        List the {x} of {ts} whose {d} is after {v}.
        What is the {x} of each {t} with {d} later than {v}?
        Show the {x} of {ts} with {d} after {v}.
        Give the {x} of all {ts} whose {d} is later than {v}.
        Which {ts} have their {d} after {v}? Show the {x}.
        Find the {x} of {ts} having their {d} after {v}.
        Return the {x} of {ts} with {d} later than {v}.
        For {ts} whose {d} is after {v}, list the {x}.
        """,
    ),
    Family(
        "before",
        "easy",
        "t",
        "d=t.date x=t.show v=d.mid",
        "SELECT {x} FROM {t} WHERE {d} < {v}",
        """
        List the {x} of {ts} whose {d} is before {v}.
        What is the {x} of each {t} with {d} earlier than {v}?
        Show the {x} of {ts} with {d} before {v}.
        Give the {x} of all {ts} whose {d} is earlier than {v}.
        Which {ts} have their {d} before {v}? Show the {x}.
        Find the {x} of {ts} having their {d} before {v}.
        Return the {x} of {ts} with {d} earlier than {v}.
        For {ts} whose {d} is before {v}, list the {x}.
        """,
    ),
    Family(
        "count_in_year",
        "easy",
        "t",
        "d=t.date v=d.year",
        "SELECT COUNT(*) FROM {t} WHERE strftime('%Y', {d}) = '{v}'",
        """
        How many {ts} have {d} in {v}?
        Count the {ts} whose {d} is in {v}.
        What is the number of {ts} with {d} in the year {v}?
        Give the number of {ts} whose {d} falls in {v}.
        How many {ts} are there with {d} in {v}?
        Find how many {ts} have their {d} in {v}.
        Count all {ts} with {d} in the year {v}.
        What is the total number of {ts} whose {d} is in {v}?
        """,
    ),
    Family(
        "latest",
        "medium",
        "t",
        "d=t.fulldate x=t.show y=t.show",
        "SELECT {x}, {y} FROM {t} ORDER BY {d} DESC LIMIT 1",
        """
        What are the {x} and {y} of the {t} with the latest {d}?
        Show the {x} and {y} of the {t} whose {d} is the latest.
        Give {x} and {y} of the {t} with the most recent {d}.
        List the {x} and the {y} of the {t} having the latest {d}.
        Which {t} has the most recent {d}? Show its {x} and {y}.
        Find the {x} and {y} for the {t} with the latest {d}.
        Return {x} and {y} of the {t} whose {d} is the most recent.
        Which {t} has the latest {d}? Give its {x} and {y}.
        """,
    ),
    Family(
        "by_year",
        "medium",
        "t",
        "d=t.fulldate",
        "SELECT strftime('%Y', {d}), COUNT(*) FROM {t} GROUP BY strftime('%Y', {d})",
        """
        How many {ts} are there for each year of the {d}?
        Show each year of {d} and the number of {ts}.
        Count the {ts} by year of {d}.
        For each {d} year, show the year and how many {ts} there are.
        List the years of the {d} with the number of {ts} in each.
        Give each year of the {d} with its number of {ts}.
        Count {ts} for each year of {d}.
        For each year of the {d}, how many {ts} are there?
        """,
    ),
)
