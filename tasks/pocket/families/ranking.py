"""Order, top and bottom, largest and smallest."""

from tasks.pocket.families.family import Family

RANKING = (
    Family(
        "ascending",
        "easy",
        "t",
        "n=t.full x=t.show",
        "SELECT {x} FROM {t} ORDER BY {n}",
        """
        List the {x} of all {ts} ordered by {n}.
        Show the {x} of {ts} sorted by {n} in ascending order.
        Give the {x} of all {ts} from lowest to highest {n}.
        What is the {x} of each {t}, sorted by {n}?
        Return the {x} of every {t} in ascending order of {n}.
        Find the {x} of {ts}, ordered by {n} ascending.
        Sort all {ts} by {n} and show the {x}.
        For all {ts} ordered by {n}, list the {x}.
        """,
    ),
    Family(
        "descending",
        "medium",
        "t",
        "n=t.full x=t.show y=t.show",
        "SELECT {x}, {y} FROM {t} ORDER BY {n} DESC",
        """
        List the {x} and {y} of all {ts} by descending {n}.
        Show the {x} and {y} of {ts} sorted by {n} in descending order.
        Give {x} and {y} of all {ts} from highest to lowest {n}.
        What are the {x} and {y} of each {t}, sorted by {n} descending?
        Return the {x} and {y} of every {t} in descending order of {n}.
        Find the {x} and {y} of {ts}, ordered by {n} descending.
        Sort all {ts} by {n} in descending order and show the {x} and {y}.
        For all {ts} by descending {n}, list the {x} and {y}.
        """,
    ),
    Family(
        "top",
        "medium",
        "t",
        "n=t.full x=t.show h=n.top",
        "SELECT {x} FROM {t} ORDER BY {n} DESC LIMIT {h}",
        """
        List the {x} of the {h} {ts} with the highest {n}.
        What is the {x} of the top {h} {ts} by {n}?
        Show the {x} of the {h} {ts} with the largest {n}.
        Give the {x} of the {h} {ts} having the highest {n}.
        Which {h} {ts} have the largest {n}? Show the {x}.
        Find the {x} of the top {h} {ts} when ranked by {n}.
        Return the {x} of the {h} {ts} with the greatest {n}.
        Which {h} {ts} have the highest {n}? List the {x}.
        """,
    ),
    Family(
        "bottom",
        "medium",
        "t",
        "n=t.full x=t.show h=n.top",
        "SELECT {x} FROM {t} ORDER BY {n} LIMIT {h}",
        """
        List the {x} of the {h} {ts} with the lowest {n}.
        What is the {x} of the bottom {h} {ts} by {n}?
        Show the {x} of the {h} {ts} with the smallest {n}.
        Give the {x} of the {h} {ts} having the lowest {n}.
        Which {h} {ts} have the smallest {n}? Show the {x}.
        Find the {x} of the bottom {h} {ts} when ranked by {n}.
        Return the {x} of the {h} {ts} with the least {n}.
        Which {h} {ts} have the lowest {n}? List the {x}.
        """,
    ),
    Family(
        "top_where",
        "hard",
        "t",
        "k=t.category n=t.full x=t.show v=k.value h=n.top",
        "SELECT {x} FROM {t} WHERE {k} = {v} ORDER BY {n} DESC LIMIT {h}",
        """
        List the {x} of the {h} {ts} with the highest {n} whose {k} is {v}.
        Among {ts} with {k} {v}, show the {x} of the top {h} by {n}.
        Show the {x} of the {h} {ts} with {k} {v} that have the largest {n}.
        Of the {ts} whose {k} is {v}, give the {x} of the {h} with the highest {n}.
        Which {h} {ts} with {k} {v} have the largest {n}? Show the {x}.
        Find the {x} of the top {h} {ts} by {n} where the {k} is {v}.
        Among {ts} whose {k} is {v}, list the {x} of the {h} with the highest {n}.
        Which {h} {ts} with {k} {v} have the highest {n}? Give the {x}.
        """,
    ),
    Family(
        "highest",
        "extra",
        "t",
        "n=t.number x=t.show y=t.show",
        "SELECT {x}, {y} FROM {t} WHERE {n} = (SELECT MAX({n}) FROM {t})",
        """
        Which {t} has the highest {n}? Show the {x} and {y}, with all ties.
        Show the {x} and {y} of every {t} whose {n} is the maximum.
        List the {x} and {y} of all {ts} that share the highest {n}.
        Give {x} and {y} of each {t} with the maximum {n}.
        What are the {x} and {y} of all {ts} whose {n} equals the maximum?
        Find the {x} and {y} of every {t} with the maximum {n}.
        Return {x} and {y} of all {ts} sharing the maximum {n}.
        Which {ts} share the highest {n}? List the {x} and {y}.
        """,
    ),
    Family(
        "lowest",
        "extra",
        "t",
        "n=t.number x=t.show y=t.show",
        "SELECT {x}, {y} FROM {t} WHERE {n} = (SELECT MIN({n}) FROM {t})",
        """
        Which {t} has the lowest {n}? Show the {x} and {y}, with all ties.
        Show the {x} and {y} of every {t} whose {n} is the minimum.
        List the {x} and {y} of all {ts} that share the lowest {n}.
        Give {x} and {y} of each {t} with the minimum {n}.
        What are the {x} and {y} of all {ts} whose {n} equals the minimum?
        Find the {x} and {y} of every {t} with the minimum {n}.
        Return {x} and {y} of all {ts} sharing the minimum {n}.
        Which {ts} share the lowest {n}? List the {x} and {y}.
        """,
    ),
)
