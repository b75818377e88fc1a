"""Shapes over three tables, and self-joins.

A chain is ``c`` -> ``m`` -> ``p``; a link table ``j`` points to ``p`` and to ``q``.
"""

from tools.nano.questions.grammar import Shape

CHAIN = "{c} JOIN {m} ON {c!ref} = {m!id} JOIN {p} ON {m!ref} = {p!id}"
LINK = "{j} JOIN {p} ON {j!ref} = {p!id} JOIN {q} ON {j!far} = {q!id}"
SELF = "{a} AS a JOIN {a} AS b ON {a!ref} = {b!id}"

SHAPES = (
    Shape("hard", "cmp", f"SELECT {{c!show}} FROM {CHAIN} WHERE {{p!label}} = {{v:p.label}}", (
        "@list the {c.show} of {c+} [whose|for which the] {m} belongs to the {p} {v:p.label}.",
        "@list the {c.show} of the {c+} of {m+} of the {p} {v:p.label}.",
        "which {c.show} do {c+} have whose {m} is of the {p} {v:p.label}?",
    )),
    Shape("hard", "cmp", f"SELECT {{c!show}} FROM {CHAIN} WHERE {{p!cat}} = {{v:p.cat}}", (
        "@list the {c.show} of {c+} whose {m} belongs to a {p} with {p.cat} {v:p.cat}.",
    )),
    Shape("hard", "cmp", f"SELECT {{p!show}} FROM {CHAIN} WHERE {{c!label}} = {{v:c.label}}", (
        "@one the {p.show} of the {p} of the {m} of the {c} {v:c.label}.",
        "the {c} {v:c.label} has a {m}: what is the {p.show} of that {m}'s {p}?",
    )),
    Shape("hard", "cmp", f"SELECT {{c!show}}, {{p!show}} FROM {CHAIN}", (
        "@list the {c.show} of each {c} and the {p.show} of the {p} of its {m}.",
        "for every {c}, @list the {c.show} and, by way of the {m}, the {p.show} of the {p}.",
    )),
    Shape("hard", "cmp", f"SELECT COUNT(*) FROM {CHAIN} WHERE {{p!text}} = {{v:p.text}}", (
        "@many {c+} have a {m} whose {p} has {p.text} {v:p.text}?",
        "@count {c+} of {m+} of {p+} with {p.text} {v:p.text}.",
    )),
    Shape("extra", "cmp", f"SELECT AVG({{c!num}}) FROM {CHAIN} WHERE {{p!label}} = {{v:p.label}}", (
        "@one the @avg {c.num} of {c+} whose {m} belongs to the {p} {v:p.label}.",
    )),
    Shape("extra", "cmp", f"SELECT SUM({{c!num}}) FROM {CHAIN} WHERE {{p!text}} = {{v:p.text}}", (
        "@one the @sum {c.num} of {c+} whose {m} has a {p} with {p.text} {v:p.text}.",
    )),
    Shape("extra", "cmp", f"SELECT {{p!label}}, COUNT(*) FROM {CHAIN} GROUP BY {{p!id}}", (
        "for each {p}, @list the {p.label} and the number of {c+} of its {m+}.",
        "@many {c+} does each {p} have through its {m+}? @list the {p.label} too.",
    )),
    Shape("extra", "cmp", f"SELECT {{p!label}}, SUM({{c!num}}) FROM {CHAIN} GROUP BY {{p!id}}", (
        "for each {p}, @list the {p.label} and the total {c.num} of the {c+} of its {m+}.",
    )),
    Shape("extra", "cmp", f"SELECT {{p!cat}}, AVG({{c!num}}) FROM {CHAIN} GROUP BY {{p!cat}}", (
        "for each {p.cat} of {p}, @one the @avg {c.num} of the {c+} of its {m+}.",
    )),
    Shape("extra", "cmp",
        f"SELECT {{p!label}} FROM {CHAIN} GROUP BY {{p!id}} ORDER BY COUNT(*) DESC LIMIT 1", (
        "which {p} has, through its {m+}, the most {c+}? give the {p.label}.",
    )),
    Shape("extra", "cmp", f"SELECT DISTINCT {{p!label}} FROM {CHAIN} WHERE {{c!num}} > {{v:c.num}}", (
        "@list the [different|distinct] {p.label} of {p+} with a {m} that has a {c} of {c.num} @gt "
        "{v:c.num}.",
    )),
    Shape("extra", "cmp", f"SELECT DISTINCT {{p!label}} FROM {CHAIN} WHERE {{c!cat}} = {{v:c.cat}}", (
        "@list the [different|distinct] {p.label} of {p+} reached by {c+} with {c.cat} {v:c.cat} through "
        "a {m}.",
    )),
    Shape("hard", "jpq", f"SELECT {{p!show}} FROM {LINK} WHERE {{q!label}} = {{v:q.label}}", (
        "@list the {p.show} of {p+} [with|that have] a {j} [for|with|of] the {q} {v:q.label}.",
        "@list the {p.show} of {p+} linked by {j} to the {q} {v:q.label}.",
        "which {p+} share a {j} with the {q} {v:q.label}? @list the {p.show}.",
    )),
    Shape("hard", "jpq", f"SELECT {{q!show}} FROM {LINK} WHERE {{p!label}} = {{v:p.label}}", (
        "@list the {q.show} of {q+} in the {j+} of the {p} {v:p.label}.",
        "the {p} {v:p.label} has {j+} with which {q+}? @list the {q.show}.",
    )),
    Shape("hard", "jpq", f"SELECT DISTINCT {{p!show}} FROM {LINK} WHERE {{q!cat}} = {{v:q.cat}}", (
        "@list the [different|distinct] {p.show} of {p+} with a {j} for a {q} whose {q.cat} @is {v:q.cat}.",
    )),
    Shape("hard", "jpq", f"SELECT {{p!show}}, {{q!show}} FROM {LINK}", (
        "for every {j}, @list the {p.show} of the {p} and the {q.show} of the {q}.",
        "@list the {p}'s {p.show} and the {q}'s {q.show} of each {j}.",
    )),
    Shape("hard", "jpq", f"SELECT {{p!show}}, {{q!show}} FROM {LINK} WHERE {{j!num}} > {{v:j.num}}", (
        "for {j+} with {j.num} @gt {v:j.num}, @list the {p}'s {p.show} and the {q}'s {q.show}.",
    )),
    Shape("hard", "jpq",
        f"SELECT COUNT(*) FROM {LINK} WHERE {{p!text}} = {{v:p.text}} AND {{q!text}} = {{v:q.text}}", (
        "@many {j+} link a {p} with {p.text} {v:p.text} to a {q} with {q.text} {v:q.text}?",
    )),
    Shape("extra", "jpq",
        f"SELECT SUM({{j!num}}) FROM {LINK} WHERE {{p!text}} = {{v:p.text}} AND {{q!text}} = {{v:q.text}}", (
        "@one the @sum {j.num} of {j+} with a {p} of {p.text} {v:p.text} and a {q} of {q.text} {v:q.text}.",
    )),
    Shape("medium", "ab", f"SELECT {{a!label}}, {{b!label}} FROM {SELF}", (
        "@list the {a.label} of each {a} and the {b.label} of its {a.ref}.",
        "@list every {a} that has a {a.ref}, by {a.label}, with the {a.ref}'s {b.label}.",
    )),
    Shape("hard", "ab", f"SELECT {{a!show}} FROM {SELF} WHERE {{b!label}} = {{v:b.label}}", (
        "@list the {a.show} of {a+} whose {a.ref} is {v:b.label}.",
        "whose {a.ref} is {v:b.label}? @list the {a.show} of such {a+}.",
    )),
    Shape("hard", "ab", f"SELECT {{b!show}} FROM {SELF} WHERE {{a!label}} = {{v:a.label}}", (
        "@one the {b.show} of the {a.ref} of the {a} {v:a.label}.",
    )),
    Shape("extra", "ab", f"SELECT {{b!label}}, COUNT(*) FROM {SELF} GROUP BY {{b!id}}", (
        "for each {a} that is a {a.ref}, @list the {b.label} and the number of {a+} below it.",
    )),
    Shape("medium", "ab", "SELECT {a.label} FROM {a} WHERE {a.ref} IS NULL", (
        "@list the {a.label} of {a+} without a {a.ref}.",
        "which {a+} have no {a.ref}? @list the {a.label}.",
    )),
)  # fmt: skip
