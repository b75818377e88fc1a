"""Rows of one table that meet conditions."""

from tasks.pocket.families.family import Family

FILTERS = (
    Family(
        "list",
        "easy",
        "t",
        "x=t.show",
        "SELECT {x} FROM {t}",
        """
        Show the {x} of all {ts}.
        What is the {x} of each {t}?
        List the {x} of every {t}.
        Give me the {x} for all {ts}.
        Return the {x} of all the {ts}.
        Find the {x} for each {t}.
        For all {ts}, show the {x}.
        Give the {x} of every {t} we have.
        """,
    ),
    Family(
        "equals",
        "easy",
        "t",
        "k=t.category x=t.show v=k.value",
        "SELECT {x} FROM {t} WHERE {k} = {v}",
        """
        List the {x} of {ts} whose {k} is {v}.
        What is the {x} of each {t} with {k} {v}?
        Show the {x} of all {ts} with {k} equal to {v}.
        Give the {x} of {ts} where the {k} is {v}.
        Return the {x} for every {t} whose {k} equals {v}.
        Find the {x} of {ts} having {k} {v}.
        Which {x} do {ts} with {k} {v} have?
        For {ts} whose {k} is {v}, list the {x}.
        """,
    ),
    Family(
        "lookup",
        "medium",
        "t",
        "k=t.label x=t.show y=t.show v=k.value",
        "SELECT {x}, {y} FROM {t} WHERE {k} = {v}",
        """
        What are the {x} and {y} of the {t} whose {k} is {v}?
        Show the {x} and {y} of the {t} with the {k} {v}.
        Give the {x} and the {y} of the {t} called {v}.
        Find {x} and {y} for the {t} named {v}.
        List the {x} and {y} of the {t} whose {k} equals {v}.
        Return the {x} and {y} of the {t} with {k} {v}.
        For the {t} called {v}, give the {x} and {y}.
        What {x} and {y} does the {t} named {v} have?
        """,
    ),
    Family(
        "greater",
        "easy",
        "t",
        "n=t.number x=t.show v=n.mid",
        "SELECT {x} FROM {t} WHERE {n} > {v}",
        """
        List the {x} of {ts} whose {n} is greater than {v}.
        What is the {x} of each {t} with {n} above {v}?
        Show the {x} of {ts} with {n} over {v}.
        Give the {x} of every {t} where the {n} is more than {v}.
        Which {ts} have {n} higher than {v}? Show the {x}.
        Find the {x} of {ts} whose {n} exceeds {v}.
        Return the {x} of all {ts} with {n} greater than {v}.
        For {ts} whose {n} is above {v}, show the {x}.
        """,
    ),
    Family(
        "less",
        "easy",
        "t",
        "n=t.number x=t.show v=n.mid",
        "SELECT {x} FROM {t} WHERE {n} < {v}",
        """
        List the {x} of {ts} whose {n} is less than {v}.
        What is the {x} of each {t} with {n} below {v}?
        Show the {x} of {ts} with {n} under {v}.
        Give the {x} of every {t} where the {n} is smaller than {v}.
        Which {ts} have {n} lower than {v}? Show the {x}.
        Find the {x} of {ts} whose {n} stays below {v}.
        Return the {x} of all {ts} with {n} less than {v}.
        For {ts} whose {n} is under {v}, show the {x}.
        """,
    ),
    Family(
        "between",
        "easy",
        "t",
        "n=t.number x=t.show v=n.low w=n.high",
        "SELECT {x} FROM {t} WHERE {n} BETWEEN {v} AND {w}",
        """
        List the {x} of {ts} whose {n} is between {v} and {w}.
        What is the {x} of each {t} with {n} between {v} and {w}?
        Show the {x} of {ts} with {n} from {v} to {w}.
        Give the {x} of {ts} where the {n} lies between {v} and {w}.
        Which {ts} have {n} from {v} to {w}? Return the {x}.
        Find the {x} of {ts} with {n} in the range {v} to {w}.
        Return the {x} of all {ts} whose {n} lies between {v} and {w}.
        For {ts} with {n} from {v} to {w}, list the {x}.
        """,
    ),
    Family(
        "not_equals",
        "easy",
        "t",
        "k=t.category x=t.show v=k.value",
        "SELECT {x} FROM {t} WHERE {k} != {v}",
        """
        List the {x} of {ts} whose {k} is not {v}.
        What is the {x} of each {t} with {k} other than {v}?
        Show the {x} of {ts} whose {k} is different from {v}.
        Give the {x} of all {ts} where the {k} is not {v}.
        Return the {x} of {ts} with any {k} except {v}.
        Find the {x} of {ts} not having {k} {v}.
        Which {x} do {ts} with {k} other than {v} have?
        For {ts} whose {k} is not {v}, show the {x}.
        """,
    ),
    Family(
        "starts_with",
        "medium",
        "t",
        "x=t.label v=x.initial",
        "SELECT {x} FROM {t} WHERE {x} LIKE '{v}%'",
        """
        List every {t} {x} that starts with {v}.
        Show the {x} of {ts} whose {x} starts with the letter {v}.
        Which {ts} have their {x} beginning with {v}?
        Give the {x} of all {ts} where the {x} begins with {v}.
        Return each {t} {x} starting with the letter {v}.
        Find the {ts} whose {x} starts with {v}.
        Which {t} {x} begins with the letter {v}?
        Show all {ts} with {x} starting with {v}.
        """,
    ),
    Family(
        "contains",
        "medium",
        "t",
        "x=t.label y=t.show v=x.word",
        "SELECT {x}, {y} FROM {t} WHERE {x} LIKE '%{v}%'",
        """
        List the {x} and {y} of {ts} whose {x} contains {v}.
        Show the {x} and {y} of all {ts} with {v} in the {x}.
        What are the {x} and {y} of {ts} whose {x} includes the word {v}?
        Give {x} and {y} for every {t} where the {x} contains {v}.
        Return the {x} and {y} of {ts} that have {v} in their {x}.
        Find the {x} and {y} of {ts} with their {x} containing {v}.
        For {ts} whose {x} includes {v}, list the {x} and {y}.
        Show {x} and {y} of the {ts} that contain {v} in the {x}.
        """,
    ),
    Family(
        "is_null",
        "easy",
        "t",
        "k=t.null x=t.show",
        "SELECT {x} FROM {t} WHERE {k} IS NULL",
        """
        List the {x} of {ts} without any {k}.
        Show the {x} of {ts} whose {k} is missing.
        What is the {x} of each {t} that has no {k}?
        Give the {x} of all {ts} where the {k} is unknown.
        Which {ts} have no {k} recorded? Show the {x}.
        Find the {x} of {ts} lacking any {k}.
        Return the {x} of {ts} with a missing {k}.
        For {ts} that have no {k}, list the {x}.
        """,
    ),
    Family(
        "both",
        "medium",
        "t",
        "k=t.category n=t.number x=t.show v=k.value w=n.mid",
        "SELECT {x} FROM {t} WHERE {k} = {v} AND {n} > {w}",
        """
        List the {x} of {ts} whose {k} is {v} and whose {n} is greater than {w}.
        What is the {x} of each {t} with {k} {v} and {n} above {w}?
        Show the {x} of {ts} with {k} {v} and {n} over {w}.
        Give the {x} of {ts} where the {k} is {v} and the {n} is more than {w}.
        Which {ts} have {k} {v} and {n} higher than {w}? Show the {x}.
        Find the {x} of {ts} having {k} {v} and {n} above {w}.
        Return the {x} of all {ts} with {k} {v} and {n} greater than {w}.
        For {ts} whose {k} is {v} and {n} is above {w}, list the {x}.
        """,
    ),
    Family(
        "either",
        "medium",
        "t",
        "k=t.category x=t.show v=k.value w=k.value",
        "SELECT {x} FROM {t} WHERE {k} = {v} OR {k} = {w}",
        """
        List the {x} of {ts} whose {k} is {v} or {w}.
        What is the {x} of each {t} with {k} {v} or {w}?
        Show the {x} of all {ts} with {k} either {v} or {w}.
        Give the {x} of {ts} where the {k} is {v} or {w}.
        Which {ts} have {k} {v} or {w}? Return the {x}.
        Find the {x} of {ts} having {k} {v} or {w}.
        Return the {x} of {ts} whose {k} is either {v} or {w}.
        For {ts} with {k} {v} or {w}, show the {x}.
        """,
    ),
)
