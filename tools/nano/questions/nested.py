"""Shapes with a query inside the query, and set operations."""

from tools.nano.questions.grammar import Shape

JOIN = "{c} JOIN {p} ON {c!ref} = {p!id}"

SHAPES = (
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.num} = (SELECT MAX({t.num}) FROM {t})", (
        "@list the {t.show} of all {t+} that [share|reach|tie for|have] the @max {t.num}.",
        "which {t+} reach the maximum {t.num}? @list every {t.show}, ties included.",
    )),
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.num} = (SELECT MIN({t.num}) FROM {t})", (
        "@list the {t.show} of all {t+} that [share|tie for|have] the @min {t.num}.",
        "which {t+} are at the minimum {t.num}? @list every {t.show}, ties included.",
    )),
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.num} > (SELECT AVG({t.num}) FROM {t})", (
        "@list the {t.show} of {t+} whose {t.num} is [above|over|greater than|higher than] [average|the "
        "average|the mean].",
        "which {t+} beat the average {t.num}? @list the {t.show}.",
    )),
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.num} < (SELECT AVG({t.num}) FROM {t})", (
        "@list the {t.show} of {t+} whose {t.num} is [below|under|less than] [average|the average|the mean].",
        "@list the {t.show} of {t+} with a lower {t.num} than average.",
    )),
    Shape("hard", "t", "SELECT COUNT(*) FROM {t} WHERE {t.num} > (SELECT AVG({t.num}) FROM {t})", (
        "@many {t+} have [an above-average|a higher than average] {t.num}?",
        "@count {t+} whose {t.num} is above the average.",
    )),
    Shape("hard", "t",
        "SELECT {t.label} FROM {t} WHERE {t.num} > (SELECT {t.num} FROM {t} "
        "WHERE {t.label} = {v:t.label})", (
        "@list the {t.label} of {t+} with [a higher|a larger|more] {t.num} than {v:t.label}.",
        "which {t+} exceed {v:t.label} in {t.num}? @list the {t.label}.",
    )),
    Shape("hard", "t",
        "SELECT {t.label} FROM {t} WHERE {t.num} < (SELECT {t.num} FROM {t} "
        "WHERE {t.label} = {v:t.label})", (
        "@list the {t.label} of {t+} with [a lower|a smaller|less] {t.num} than {v:t.label}.",
    )),
    Shape("extra", "t",
        "SELECT {t.label} FROM {t} WHERE {t.cat} = (SELECT {t.cat} FROM {t} "
        "WHERE {t.label} = {v:t.label}) AND {t.label} <> {v:t.label}", (
        "@list the {t.label} of the other {t+} with the same {t.cat} as {v:t.label}.",
        "which other {t+} share the {t.cat} of {v:t.label}? @list the {t.label}.",
    )),
    Shape("extra", "t",
        "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} AND {t.num} > (SELECT AVG({t.num}) FROM {t} "
        "WHERE {t.cat} = {v:t.cat})", (
        "@list the {t.show} of {t+} with {t.cat} {v:t.cat} whose {t.num} is above the average of that "
        "{t.cat}.",
    )),
    Shape("extra", "t",
        "SELECT {t.show} FROM {t} WHERE {t.num} > (SELECT MAX({t.num}) FROM {t} "
        "WHERE {t.cat} = {v:t.cat})", (
        "@list the {t.show} of {t+} with [a higher|a larger] {t.num} than any {t} whose {t.cat} @is "
        "{v:t.cat}.",
    )),
    Shape("hard", "cp",
        "SELECT {p.show} FROM {p} WHERE {p.id} NOT IN (SELECT {c.ref} FROM {c} WHERE {c.ref} IS NOT NULL)", (
        "@list the {p.show} of {p+} [without any|that have no|with no] {c+}.",
        "which {p+} do not have [any|a single] {c}? @list the {p.show}.",
    )),
    Shape("hard", "cp", "SELECT {p.show} FROM {p} WHERE {p.id} NOT IN (SELECT {c.ref} FROM {c})", (
        "@list the {p.show} of {p+} never used by any {c}.",
        "@list the {p.show} of {p+} for which no {c} exists.",
    )),
    Shape("hard", "cp", "SELECT COUNT(*) FROM {p} WHERE {p.id} NOT IN (SELECT {c.ref} FROM {c})", (
        "@many {p+} have no {c+} [at all|]?",
        "@count {p+} without [any|a] {c}.",
    )),
    Shape("hard", "cp", "SELECT {p.show} FROM {p} WHERE {p.id} IN (SELECT {c.ref} FROM {c})", (
        "@list the {p.show} of {p+} that have [at least one|any] {c}.",
    )),
    Shape("hard", "cp",
        "SELECT {p.show} FROM {p} WHERE {p.id} IN (SELECT {c.ref} FROM {c} WHERE {c.cat} = {v:c.cat})", (
        "@list the {p.show} of {p+} that have at least one {c} with {c.cat} {v:c.cat}.",
        "@list the {p.show} of {p+} found among the {c+} with {c.cat} {v:c.cat}.",
    )),
    Shape("extra", "cp",
        "SELECT {p.show} FROM {p} WHERE {p.id} NOT IN (SELECT {c.ref} FROM {c} WHERE {c.cat} = {v:c.cat})", (
        "@list the {p.show} of {p+} without [any|a] {c} whose {c.cat} @is {v:c.cat}.",
        "which {p+} have no {c} with {c.cat} {v:c.cat}? @list the {p.show}.",
    )),
    Shape("extra", "cp",
        "SELECT {p.show} FROM {p} WHERE {p.id} IN (SELECT {c.ref} FROM {c} GROUP BY {c.ref} "
        "HAVING COUNT(*) > {n})", (
        "@list the {p.show} of {p+} that occur in more than {n} {c+}.",
    )),
    Shape("extra", "cp",
        "SELECT {c.show} FROM {c} WHERE {c.ref} IN (SELECT {p.id} FROM {p} WHERE {p.num} > {v:p.num})", (
        "@list the {c.show} of {c+} that point to a {p} with {p.num} @gt {v:p.num}.",
    )),
    Shape("extra", "cp",
        "SELECT {p.show} FROM {p} WHERE EXISTS (SELECT 1 FROM {c} WHERE {c!ref} = {p!id} "
        "AND {c!num} > {v:c.num})", (
        "@list the {p.show} of {p+} for which there exists a {c} with {c.num} @gt {v:c.num}.",
    )),
    Shape("extra", "cp", "SELECT AVG(n) FROM (SELECT COUNT(*) AS n FROM {c} GROUP BY {c.ref})", (
        "@many {c+} does a {p} have on average?",
        "@one the average number of {c+} per {p}.",
    )),
    Shape("hard", "t",
        "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} UNION SELECT {t.show} FROM {t} "
        "WHERE {t.num} > {v:t.num}", (
        "@list the {t.show} of {t+} with {t.cat} {v:t.cat} [together with|united with|plus] that of {t+} "
        "with {t.num} @gt {v:t.num}.",
    )),
    Shape("hard", "cp", "SELECT {p.text} FROM {p} UNION SELECT {c.text} FROM {c}", (
        "@list [in one list|as a single list|] every {p.text} of {p+} and every {c.text} of {c+}.",
    )),
    Shape("hard", "t",
        "SELECT {t.cat} FROM {t} WHERE {t.num} > {v:t.num} INTERSECT SELECT {t.cat} FROM {t} "
        "WHERE {t.num2} < {v:t.num2}", (
        "which {t.cat} is found both among {t+} with {t.num} @gt {v:t.num} and among those with {t.num2} "
        "@lt {v:t.num2}?",
    )),
    Shape("hard", "t",
        "SELECT {t.cat} FROM {t} WHERE {t.cat2} = {v:t.cat2} INTERSECT SELECT {t.cat} FROM {t} "
        "WHERE {t.cat2} = {w:t.cat2}", (
        "which {t.cat} values have {t+} with {t.cat2} {v:t.cat2} as well as {t+} with {t.cat2} {w:t.cat2}?",
        "@list each {t.cat} that occurs both with {t.cat2} {v:t.cat2} and with {t.cat2} {w:t.cat2} among "
        "the {t+}.",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} EXCEPT SELECT {t.cat} FROM {t} WHERE {t.cat2} = {v:t.cat2}", (
        "which {t.cat} values have no {t} with {t.cat2} {v:t.cat2}?",
        "@list each {t.cat} of the {t+} [except|but not] those seen with {t.cat2} {v:t.cat2}.",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} EXCEPT SELECT {t.cat} FROM {t} WHERE {t.num} > {v:t.num}", (
        "which {t.cat} values have no {t} with {t.num} @gt {v:t.num}?",
    )),
    Shape("extra", "cp",
        f"SELECT {{p!label}} FROM {JOIN} WHERE {{c!cat}} = {{v:c.cat}} INTERSECT SELECT {{p!label}} "
        f"FROM {JOIN} WHERE {{c!cat}} = {{w:c.cat}}", (
        "@list the {p.label} of {p+} that have both a {c} with {c.cat} {v:c.cat} and one with {c.cat} "
        "{w:c.cat}.",
        "which {p+} have {c+} of {c.cat} {v:c.cat} as well as {w:c.cat}? @list the {p.label}.",
    )),
    Shape("extra", "cp",
        f"SELECT {{p.label}} FROM {{p}} EXCEPT SELECT {{p!label}} FROM {JOIN} "
        f"WHERE {{c!cat}} = {{v:c.cat}}", (
        "@list the {p.label} of all {p+} except those that have a {c} with {c.cat} {v:c.cat}.",
    )),
)  # fmt: skip
