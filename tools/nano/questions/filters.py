"""Shapes that pick rows and columns of one table."""

from tools.nano.questions.grammar import Shape

SHAPES = (
    Shape("easy", "t", "SELECT {t.show} FROM {t}", (
        "@list the {t.show} of [all|every one of the|all the] {t+}.",
        "@list all {t.show} values of the {t+}.",
        "[i need|i want] the {t.show} of every {t}.",
    )),
    Shape("easy", "t", "SELECT {t.show}, {t.show2} FROM {t}", (
        "@list the {t.show} and {t.show2} of [all|the] {t+}.",
        "@list {t.show} together with {t.show2} for every {t}.",
        "for all {t+}, @list the {t.show} and the {t.show2}.",
    )),
    Shape("medium", "t", "SELECT {t.show}, {t.show2}, {t.show3} FROM {t}", (
        "@list the {t.show}, {t.show2} and {t.show3} of all {t+}.",
        "for every {t}, give its {t.show}, its {t.show2} and its {t.show3}.",
    )),
    Shape("easy", "t", "SELECT * FROM {t} WHERE {t.cat} = {v:t.cat}", (
        "@list everything about the {t+} whose {t.cat} @is {v:t.cat}.",
        "@list all columns of {t+} with {t.cat} {v:t.cat}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.text} = {v:t.text}", (
        "@list the {t.show} of [the|all] {t+} whose {t.text} @is {v:t.text}.",
        "@list the {t.show} of {t+} with [the|] {t.text} {v:t.text}.",
        "what {t.show} do {t+} with {t.text} {v:t.text} have?",
        "{v:t.text} as {t.text}: which {t.show} belongs to such {t+}?",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.label} = {v:t.label}", (
        "@one the {t.show} of [the {t}|] {v:t.label}.",
        "what {t.show} does the {t} {v:t.label} have?",
        "@one the {t.show} of the {t} [called|named] {v:t.label}.",
    )),
    Shape("medium", "t", "SELECT {t.show}, {t.show2} FROM {t} WHERE {t.text} = {v:t.text}", (
        "@list the {t.show} and {t.show2} of {t+} whose {t.text} @is {v:t.text}.",
        "for {t+} with {t.text} {v:t.text}, @list {t.show} and {t.show2}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.num} > {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.num} is @gt {v:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} @gt {v:t.num}.",
        "which {t+}, by {t.show}, have @gt {v:t.num} {t.num}?",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.num} < {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.num} is @lt {v:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} @lt {v:t.num}.",
        "which {t+}, by {t.show}, stay @lt {v:t.num} in {t.num}?",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.num} >= {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.num} is @ge {v:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} of @ge {v:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} of {v:t.num} or more.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.num} <= {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.num} is @le {v:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} of @le {v:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} of {v:t.num} or less.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.num} BETWEEN {v:t.num} AND {w:t.num}", (
        "@list the {t.show} of {t+} whose {t.num} [is|lies] between {v:t.num} and {w:t.num}.",
        "@list the {t.show} of {t+} with [a|] {t.num} from {v:t.num} to {w:t.num}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.num} NOT BETWEEN {v:t.num} AND {w:t.num}", (
        "@list the {t.show} of {t+} whose {t.num} is not between {v:t.num} and {w:t.num}.",
        "@list the {t.show} of {t+} with a {t.num} outside {v:t.num} to {w:t.num}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} AND {t.num} > {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.cat} @is {v:t.cat} and whose {t.num} is @gt {v:t.num}.",
        "@list the {t.show} of {t+} with {t.cat} {v:t.cat} and {t.num} @gt {v:t.num}.",
        "[among|of] the {t+} with {t.cat} {v:t.cat}, @list the {t.show} of those with {t.num} @gt {v:t.num}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} AND {t.num} < {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.cat} @is {v:t.cat} and whose {t.num} is @lt {v:t.num}.",
        "@list the {t.show} of {t+} with {t.cat} {v:t.cat} and {t.num} @lt {v:t.num}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} OR {t.num} > {v:t.num}", (
        "@list the {t.show} of {t+} whose {t.cat} @is {v:t.cat} or whose {t.num} is @gt {v:t.num}.",
        "@list the {t.show} of {t+} with either {t.cat} {v:t.cat} or {t.num} @gt {v:t.num}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} IN ({v:t.cat}, {w:t.cat})", (
        "@list the {t.show} of {t+} whose {t.cat} is [either|] {v:t.cat} or {w:t.cat}.",
        "@list the {t.show} of {t+} with {t.cat} {v:t.cat} or {w:t.cat}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} NOT IN ({v:t.cat}, {w:t.cat})", (
        "@list the {t.show} of {t+} whose {t.cat} is neither {v:t.cat} nor {w:t.cat}.",
        "leaving out {t.cat} {v:t.cat} and {w:t.cat}, @list the {t.show} of the {t+}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} <> {v:t.cat}", (
        "@list the {t.show} of {t+} whose {t.cat} is [not|anything but|other than] {v:t.cat}.",
        "@list the {t.show} of {t+} without the {t.cat} {v:t.cat}.",
        "except for {t.cat} {v:t.cat}, @list the {t.show} of all {t+}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.text} LIKE '%{part:t.text}%'", (
        "@list the {t.show} of {t+} whose {t.text} [contains|includes|has] {part:t.text}.",
        "@list the {t.show} of {t+} with {part:t.text} [somewhere|] in the {t.text}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.text} NOT LIKE '%{part:t.text}%'", (
        "@list the {t.show} of {t+} whose {t.text} does not [contain|include] {part:t.text}.",
        "@list the {t.show} of {t+} without {part:t.text} in the {t.text}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.text} LIKE '{part:t.text}%'", (
        "@list the {t.show} of {t+} whose {t.text} [starts|begins] with {part:t.text}.",
        "{part:t.text} is how the {t.text} starts: @list the {t.show} of such {t+}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.text} LIKE '%{part:t.text}'", (
        "@list the {t.show} of {t+} whose {t.text} ends [with|in] {part:t.text}.",
        "@list the {t.show} of {t+} with a {t.text} ending in {part:t.text}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.any} IS NULL", (
        "@list the {t.show} of {t+} [without a|that have no|lacking a|with no] {t.any}.",
        "@list the {t.show} of {t+} whose {t.any} is [missing|not known|unknown|empty|not recorded].",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.any} IS NOT NULL", (
        "@list the {t.show} of {t+} whose {t.any} is [known|recorded|given|not missing].",
        "@list the {t.show} of {t+} that [do|] have a {t.any}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.flag} = 1", (
        "@list the {t.show} of {t+} that are {t.flag}.",
        "@list the {t.show} of [all|the] {t.flag} {t+}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.flag} = 0", (
        "@list the {t.show} of {t+} that are not {t.flag}.",
        "which {t+} are not {t.flag}? give the {t.show}.",
    )),
    Shape("easy", "t", "SELECT DISTINCT {t.cat} FROM {t}", (
        "@list the [different|distinct|unique] {t.cat} values of the {t+}.",
        "which [different|distinct] {t.cat} values occur [among|for] the {t+}?",
        "@list every {t.cat} of the {t+} once.",
    )),
    Shape("medium", "t", "SELECT DISTINCT {t.cat} FROM {t} WHERE {t.num} > {v:t.num}", (
        "@list the [different|distinct|unique] {t.cat} values of {t+} with {t.num} @gt {v:t.num}.",
        "which [different|distinct] {t.cat} do {t+} with {t.num} @gt {v:t.num} have?",
    )),
)  # fmt: skip
