"""Shapes that count, sum and group the rows of one table."""

from tools.nano.questions.grammar import Shape

SHAPES = (
    Shape("easy", "t", "SELECT COUNT(*) FROM {t}", (
        "@count {t+}[ are there| are stored| do we have|]?",
        "what number of {t+} is stored?",
        "the size of the {t} table, please: how many {t+}?",
    )),
    Shape("easy", "t", "SELECT COUNT(*) FROM {t} WHERE {t.text} = {v:t.text}", (
        "@many {t+} have [the|] {t.text} {v:t.text}?",
        "@count {t+} whose {t.text} @is {v:t.text}.",
        "@count {t+} with {t.text} {v:t.text}.",
    )),
    Shape("easy", "t", "SELECT COUNT(*) FROM {t} WHERE {t.num} > {v:t.num}", (
        "@many {t+} have [a|] {t.num} @gt {v:t.num}?",
        "@count {t+} whose {t.num} is @gt {v:t.num}.",
    )),
    Shape("easy", "t", "SELECT COUNT(*) FROM {t} WHERE {t.num} < {v:t.num}", (
        "@many {t+} have [a|] {t.num} @lt {v:t.num}?",
        "@count {t+} whose {t.num} is @lt {v:t.num}.",
    )),
    Shape("medium", "t", "SELECT COUNT(*) FROM {t} WHERE {t.num} BETWEEN {v:t.num} AND {w:t.num}", (
        "@many {t+} have a {t.num} between {v:t.num} and {w:t.num}?",
        "@count {t+} whose {t.num} lies between {v:t.num} and {w:t.num}.",
    )),
    Shape("easy", "t", "SELECT COUNT(*) FROM {t} WHERE {t.any} IS NULL", (
        "@many {t+} have no {t.any}?",
        "for how many {t+} is the {t.any} [missing|unknown|not recorded]?",
        "@count {t+} [without a|lacking a] {t.any}.",
    )),
    Shape("easy", "t", "SELECT COUNT(*) FROM {t} WHERE {t.cat} <> {v:t.cat}", (
        "@many {t+} have a {t.cat} [other than|different from] {v:t.cat}?",
        "@count {t+} whose {t.cat} is not {v:t.cat}.",
    )),
    Shape("easy", "t", "SELECT COUNT(*) FROM {t} WHERE {t.flag} = 1", (
        "@many {t+} are {t.flag}?",
        "@count {t.flag} {t+}.",
    )),
    Shape("easy", "t", "SELECT COUNT(DISTINCT {t.cat}) FROM {t}", (
        "@many [different|distinct|unique] {t.cat} values do the {t+} have?",
        "@count [different|distinct|unique] {t.cat} values [among|of] the {t+}.",
        "across the {t+}, how many different {t.cat} are there?",
    )),
    Shape("easy", "t", "SELECT AVG({t.num}) FROM {t}", (
        "@one the @avg {t.num} @of all of the {t+}.",
        "on average, what {t.num} do the {t+} have?",
    )),
    Shape("easy", "t", "SELECT SUM({t.num}) FROM {t}", (
        "@one the @sum {t.num} @of all {t+}.",
        "what does the {t.num} of all {t+} add up to?",
        "what {t.num} do the {t+} have [in total|altogether]?",
    )),
    Shape("easy", "t", "SELECT MAX({t.num}) FROM {t}", (
        "@one the @max {t.num} of [any {t}|all {t+}|the {t+}].",
    )),
    Shape("easy", "t", "SELECT MIN({t.num}) FROM {t}", (
        "@one the @min {t.num} of [any {t}|all {t+}|the {t+}].",
    )),
    Shape("medium", "t", "SELECT MIN({t.num}), MAX({t.num}) FROM {t}", (
        "@list the @min and @max {t.num} of the {t+}.",
        "between which bounds, @min and @max, is the {t.num} of the {t+}?",
    )),
    Shape("medium", "t", "SELECT MAX({t.num}) - MIN({t.num}) FROM {t}", (
        "how far apart are the @max and the @min {t.num} of the {t+}?",
        "what is the difference between @max and @min {t.num} of the {t+}?",
    )),
    Shape("medium", "t", "SELECT AVG({t.num}) FROM {t} WHERE {t.cat} = {v:t.cat}", (
        "@one the @avg {t.num} of {t+} whose {t.cat} @is {v:t.cat}.",
        "@one the @avg {t.num} of {t+} with {t.cat} {v:t.cat}.",
    )),
    Shape("medium", "t", "SELECT SUM({t.num}) FROM {t} WHERE {t.cat} = {v:t.cat}", (
        "@one the @sum {t.num} of {t+} whose {t.cat} @is {v:t.cat}.",
        "@one the @sum {t.num} of {t+} with {t.cat} {v:t.cat}.",
    )),
    Shape("medium", "t", "SELECT MAX({t.num}) FROM {t} WHERE {t.cat} = {v:t.cat}", (
        "@one the @max {t.num} of {t+} whose {t.cat} @is {v:t.cat}.",
        "among {t+} with {t.cat} {v:t.cat}, what is the @max {t.num}?",
    )),
    Shape("medium", "t", "SELECT AVG({t.num}), SUM({t.num2}) FROM {t}", (
        "@list the @avg {t.num} and the total {t.num2} of the {t+}.",
    )),
    Shape("medium", "t", "SELECT {t.cat}, COUNT(*) FROM {t} GROUP BY {t.cat}", (
        "@many {t+} are there [for each|per] {t.cat}?",
        "@list the number of {t+} for @each {t.cat}.",
        "for each {t.cat}, count the {t+}.",
        "@list every {t.cat} and, beside it, its number of {t+}.",
    )),
    Shape("medium", "t", "SELECT {t.cat}, AVG({t.num}) FROM {t} GROUP BY {t.cat}", (
        "@one the @avg {t.num} of the {t+} for @each {t.cat}.",
        "for each {t.cat} of {t+}, what is the @avg {t.num}?",
        "@avg {t.num} of {t+} by {t.cat}.",
    )),
    Shape("medium", "t", "SELECT {t.cat}, SUM({t.num}) FROM {t} GROUP BY {t.cat}", (
        "@one the @sum {t.num} of the {t+} for @each {t.cat}.",
        "for each {t.cat} of {t+}, what is the total {t.num}?",
    )),
    Shape("medium", "t", "SELECT {t.cat}, MAX({t.num}) FROM {t} GROUP BY {t.cat}", (
        "@one the @max {t.num} of the {t+} for @each {t.cat}.",
        "for each {t.cat} of {t+}, what is the @max {t.num}?",
    )),
    Shape("medium", "t", "SELECT {t.cat}, MIN({t.num}) FROM {t} GROUP BY {t.cat}", (
        "@one the @min {t.num} of the {t+} for @each {t.cat}.",
        "for each {t.cat} of {t+}, what is the @min {t.num}?",
    )),
    Shape("hard", "t", "SELECT {t.cat}, COUNT(*) FROM {t} WHERE {t.num} > {v:t.num} GROUP BY {t.cat}", (
        "for each {t.cat}, how many {t+} have a {t.num} @gt {v:t.num}?",
        "@list the number of {t+} with {t.num} @gt {v:t.num} for @each {t.cat}.",
    )),
    Shape("medium", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} HAVING COUNT(*) > {n}", (
        "which {t.cat} values [are shared by|belong to] more than {n} {t+}?",
        "@list each {t.cat} that occurs for more than {n} {t+}.",
    )),
    Shape("medium", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} HAVING COUNT(*) >= {n}", (
        "which {t.cat} values [are shared by|belong to|have] at least {n} {t+}?",
        "@list each {t.cat} with {n} or more {t+}.",
    )),
    Shape("hard", "t", "SELECT {t.cat}, COUNT(*) FROM {t} GROUP BY {t.cat} HAVING COUNT(*) > {n}", (
        "@list each {t.cat} with more than {n} {t+} and the number of them.",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} HAVING AVG({t.num}) > {v:t.num}", (
        "for which {t.cat} is the @avg {t.num} of the {t+} @gt {v:t.num}?",
        "@list each {t.cat} whose {t+} have an @avg {t.num} @gt {v:t.num}.",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} HAVING SUM({t.num}) < {v:t.num}", (
        "for which {t.cat} is the total {t.num} of the {t+} @lt {v:t.num}?",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} ORDER BY COUNT(*) DESC LIMIT 1", (
        "which {t.cat} is the most [common|frequent] among the {t+}?",
        "which {t.cat} has the most {t+}?",
        "@one the {t.cat} shared by the largest number of {t+}.",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} ORDER BY COUNT(*) LIMIT 1", (
        "which {t.cat} is the least [common|frequent] among the {t+}?",
        "which {t.cat} has the fewest {t+}?",
    )),
    Shape("hard", "t",
        "SELECT {t.cat}, COUNT(*) FROM {t} GROUP BY {t.cat} ORDER BY COUNT(*) DESC LIMIT {n}", (
        "@list the {n} most [common|frequent] {t.cat} of the {t+} and how often each occurs.",
    )),
    Shape("hard", "t", "SELECT {t.cat} FROM {t} GROUP BY {t.cat} ORDER BY AVG({t.num}) DESC LIMIT 1", (
        "which {t.cat} of {t+} has the @max average {t.num}?",
    )),
    Shape("hard", "t", "SELECT {t.cat}, {t.cat2}, COUNT(*) FROM {t} GROUP BY {t.cat}, {t.cat2}", (
        "@many {t+} are there for each [combination of|pair of] {t.cat} and {t.cat2}?",
    )),
)  # fmt: skip
