"""Shapes over two tables that a key links: ``c`` (child) points to ``p`` (parent)."""

from tools.nano.questions.grammar import Shape

JOIN = "{c} JOIN {p} ON {c!ref} = {p!id}"

SHAPES = (
    Shape("medium", "cp", f"SELECT {{c!show}} FROM {JOIN} WHERE {{p!label}} = {{v:p.label}}", (
        "@list the {c.show} of [the|all] {c+} of the {p} {v:p.label}.",
        "@list the {c.show} of {c+} [that belong to|linked to|from] the {p} [named|called|] {v:p.label}.",
        "which {c.show} do the {c+} of {p} {v:p.label} have?",
        "@list the {c.show} of {c+} whose {p} @is {v:p.label}.",
    )),
    Shape("medium", "cp", f"SELECT {{c!show}} FROM {JOIN} WHERE {{p!cat}} = {{v:p.cat}}", (
        "@list the {c.show} of {c+} whose {p} has [the|] {p.cat} {v:p.cat}.",
        "@list the {c.show} of {c+} [of|in|for] {p+} with {p.cat} {v:p.cat}.",
    )),
    Shape("medium", "cp", f"SELECT {{c!show}} FROM {JOIN} WHERE {{p!num}} > {{v:p.num}}", (
        "@list the {c.show} of {c+} whose {p} has [a|] {p.num} @gt {v:p.num}.",
        "@list the {c.show} of {c+} [of|for] {p+} with {p.num} @gt {v:p.num}.",
    )),
    Shape("medium", "cp", f"SELECT {{p!show}} FROM {JOIN} WHERE {{c!label}} = {{v:c.label}}", (
        "@one the {p.show} of the {p} of the {c} {v:c.label}.",
        "what is the {p.show} of the {p} that the {c} {v:c.label} belongs to?",
        "the {c} {v:c.label} has which {p}? give the {p.show}.",
    )),
    Shape("medium", "cp", f"SELECT {{c!show}}, {{p!show}} FROM {JOIN}", (
        "@list the {c.show} of every {c} and the {p.show} of its {p}.",
        "@list each {c}'s {c.show} [together|along] with the {p.show} of the {p}.",
        "for all {c+}, @list the {c.show} and the {p}'s {p.show}.",
    )),
    Shape("hard", "cp", f"SELECT {{c!show}}, {{p!show}} FROM {JOIN} WHERE {{c!num}} > {{v:c.num}}", (
        "@list the {c.show} and the {p}'s {p.show} for {c+} with [a|] {c.num} @gt {v:c.num}.",
        "for {c+} whose {c.num} is @gt {v:c.num}, @list the {c.show} and the {p.show} of the {p}.",
    )),
    Shape("hard", "cp", f"SELECT {{c!show}}, {{p!show}} FROM {JOIN} WHERE {{c!cat}} = {{v:c.cat}}", (
        "@list the {c.show} and the {p}'s {p.show} for {c+} with {c.cat} {v:c.cat}.",
    )),
    Shape("hard", "cp",
        f"SELECT {{c!show}} FROM {JOIN} WHERE {{p!cat}} = {{v:p.cat}} AND {{c!num}} > {{v:c.num}}", (
        "@list the {c.show} of {c+} with {c.num} @gt {v:c.num} whose {p} has {p.cat} {v:p.cat}.",
        "for {p+} with {p.cat} {v:p.cat}, @list the {c.show} of {c+} with {c.num} @gt {v:c.num}.",
    )),
    Shape("medium", "cp", f"SELECT COUNT(*) FROM {JOIN} WHERE {{p!label}} = {{v:p.label}}", (
        "@many {c+} does the {p} {v:p.label} have?",
        "@many {c+} belong to the {p} [named|called|] {v:p.label}?",
        "@count {c+} of the {p} {v:p.label}.",
    )),
    Shape("medium", "cp", f"SELECT COUNT(*) FROM {JOIN} WHERE {{p!cat}} = {{v:p.cat}}", (
        "@many {c+} have a {p} with {p.cat} {v:p.cat}?",
        "@count {c+} [of|for] {p+} whose {p.cat} @is {v:p.cat}.",
    )),
    Shape("medium", "cp", f"SELECT AVG({{c!num}}) FROM {JOIN} WHERE {{p!text}} = {{v:p.text}}", (
        "@one the @avg {c.num} of {c+} whose {p} has the {p.text} {v:p.text}.",
        "@one the @avg {c.num} of the {c+} of {p+} with {p.text} {v:p.text}.",
    )),
    Shape("medium", "cp", f"SELECT SUM({{c!num}}) FROM {JOIN} WHERE {{p!text}} = {{v:p.text}}", (
        "@one the @sum {c.num} of {c+} whose {p} has the {p.text} {v:p.text}.",
        "@one the @sum {c.num} of the {c+} of {p+} with {p.text} {v:p.text}.",
    )),
    Shape("medium", "cp", f"SELECT MAX({{c!num}}) FROM {JOIN} WHERE {{p!label}} = {{v:p.label}}", (
        "@one the @max {c.num} of [any|the] {c+} of the {p} {v:p.label}.",
    )),
    Shape("hard", "cp", f"SELECT DISTINCT {{p!show}} FROM {JOIN} WHERE {{c!num}} > {{v:c.num}}", (
        "@list the [different|distinct] {p.show} of {p+} with [a|some|any] {c} whose {c.num} is @gt "
        "{v:c.num}.",
        "which {p+} have [a|some] {c} with {c.num} @gt {v:c.num}? @list each {p.show} once.",
    )),
    Shape("hard", "cp", f"SELECT DISTINCT {{p!label}} FROM {JOIN} WHERE {{c!cat}} = {{v:c.cat}}", (
        "@list the [different|distinct|] {p.label} of {p+} that have [a|some|any] {c} with {c.cat} "
        "{v:c.cat}.",
        "which {p+} have [a|at least one] {c} whose {c.cat} @is {v:c.cat}? @list each {p.label} once.",
    )),
    Shape("hard", "cp", f"SELECT COUNT(DISTINCT {{c!ref}}) FROM {JOIN} WHERE {{c!cat}} = {{v:c.cat}}", (
        "@many different {p+} have {c+} with {c.cat} {v:c.cat}?",
    )),
    Shape("hard", "cp", f"SELECT COUNT(DISTINCT {{c!cat}}) FROM {JOIN} WHERE {{p!label}} = {{v:p.label}}", (
        "@many different {c.cat} values do the {c+} of the {p} {v:p.label} have?",
    )),
    Shape("hard", "cp", f"SELECT {{p!label}}, COUNT(*) FROM {JOIN} GROUP BY {{p!id}}", (
        "@many {c+} does each {p} have? @list the {p.label} and the number.",
        "@list the {p.label} of each {p} and its number of {c+}.",
        "for every {p}, @list the {p.label} and how many {c+} it has.",
    )),
    Shape("hard", "cp", f"SELECT {{p!cat}}, COUNT(*) FROM {JOIN} GROUP BY {{p!cat}}", (
        "@many {c+} are there for each {p.cat} of {p}?",
        "@list the number of {c+} per {p} {p.cat}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!label}}, AVG({{c!num}}) FROM {JOIN} GROUP BY {{p!id}}", (
        "@list the {p.label} of each {p} and the @avg {c.num} of its {c+}.",
        "for every {p}, @list the {p.label} and the @avg {c.num} of the {c+}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!label}}, SUM({{c!num}}) FROM {JOIN} GROUP BY {{p!id}}", (
        "@list the {p.label} of each {p} and the total {c.num} of its {c+}.",
        "for every {p}, @list the {p.label} and the @sum {c.num} of the {c+}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!cat}}, AVG({{c!num}}) FROM {JOIN} GROUP BY {{p!cat}}", (
        "for each {p} {p.cat}, @one the @avg {c.num} of the {c+}.",
        "@one the @avg {c.num} of {c+} by {p.cat} of the {p}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!label}}, MAX({{c!num}}) FROM {JOIN} GROUP BY {{p!id}}", (
        "for every {p}, @list the {p.label} and the @max {c.num} of its {c+}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} HAVING COUNT(*) > {{n}}", (
        "which {p+} have more than {n} {c+}? @list the {p.label}.",
        "@list the {p.label} of {p+} @with more than {n} {c+}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} HAVING COUNT(*) >= {{n}}", (
        "which {p+} have at least {n} {c+}? @list the {p.label}.",
        "@list the {p.label} of {p+} @with {n} or more {c+}.",
    )),
    Shape("extra", "cp",
        f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} HAVING SUM({{c!num}}) > {{v:c.num}}", (
        "@list the {p.label} of {p+} whose {c+} have a total {c.num} @gt {v:c.num}.",
    )),
    Shape("extra", "cp",
        f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} HAVING AVG({{c!num}}) > {{v:c.num}}", (
        "@list the {p.label} of {p+} whose {c+} have an @avg {c.num} @gt {v:c.num}.",
    )),
    Shape("extra", "cp", f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} ORDER BY COUNT(*) DESC LIMIT 1", (
        "which {p} has the most {c+}? give the {p.label}.",
        "@one the {p.label} of the {p} with the [most|largest number of|highest number of] {c+}.",
    )),
    Shape("extra", "cp", f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} ORDER BY COUNT(*) LIMIT 1", (
        "which {p} has the fewest {c+}? give the {p.label}.",
        "@one the {p.label} of the {p} with the [fewest|smallest number of] {c+}.",
    )),
    Shape("extra", "cp",
        f"SELECT {{p!label}}, COUNT(*) FROM {JOIN} GROUP BY {{p!id}} ORDER BY COUNT(*) DESC LIMIT {{n}}", (
        "@list the {p.label} of the {n} {p+} with the most {c+} and how many they have.",
    )),
    Shape("extra", "cp",
        f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} ORDER BY SUM({{c!num}}) DESC LIMIT {{n}}", (
        "@list the {p.label} of the {n} {p+} with the @max total {c.num} of {c+}.",
        "which {n} {p+} lead in combined {c.num} of their {c+}? @list the {p.label}.",
    )),
    Shape("extra", "cp",
        f"SELECT {{p!label}} FROM {JOIN} GROUP BY {{p!id}} ORDER BY AVG({{c!num}}) DESC LIMIT 1", (
        "@one the {p.label} of the {p} whose {c+} have the @max average {c.num}.",
    )),
    Shape("hard", "cp",
        f"SELECT {{c!show}} FROM {JOIN} WHERE {{p!label}} = {{v:p.label}} "
        f"ORDER BY {{c!num}} DESC LIMIT {{n}}", (
        "@list the {c.show} of the {n} {c+} of the {p} {v:p.label} with the @max {c.num}.",
    )),
    Shape("hard", "cp", f"SELECT {{p!show}} FROM {JOIN} ORDER BY {{c!num}} DESC LIMIT 1", (
        "@one the {p.show} of the {p} of the {c} with the @max {c.num}.",
        "the {c} with the @max {c.num}: what is the {p.show} of its {p}?",
    )),
    Shape("hard", "cp",
        f"SELECT {{c!show}} FROM {JOIN} WHERE strftime('%Y', {{c!date}}) = {{y:c.date}} "
        f"AND {{p!text}} = {{v:p.text}}", (
        "@list the {c.show} of {c+} with {c.date} in {y:c.date} whose {p} has {p.text} {v:p.text}.",
    )),
    Shape("hard", "cp",
        f"SELECT COUNT(*) FROM {JOIN} WHERE {{p!label}} = {{v:p.label}} AND {{c!date}} > {{v:c.date}}", (
        "@many {c+} of the {p} {v:p.label} have a {c.date} after {v:c.date}?",
    )),
    Shape("extra", "cp",
        "SELECT {p!label}, COUNT({c!id}) FROM {p} LEFT JOIN {c} ON {c!ref} = {p!id} GROUP BY {p!id}", (
        "@list the {p.label} of every {p} and its number of {c+}, [zero included|also those without any].",
        "for all {p+}, even those without {c+}, @list the {p.label} and the number of {c+}.",
    )),
    Shape("hard", "cp", "SELECT {p!label} FROM {p} LEFT JOIN {c} ON {c!ref} = {p!id} WHERE {c!id} IS NULL", (
        "using an outer join, @list the {p.label} of {p+} without {c+}.",
    )),
)  # fmt: skip
