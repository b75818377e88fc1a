"""Shapes that sort the rows of one table, or keep the top of them."""

from tools.nano.questions.grammar import Shape

SHAPES = (
    Shape("easy", "t", "SELECT {t.show} FROM {t} ORDER BY {t.num} DESC", (
        "@list the {t.show} of [the|all] {t+} [sorted|ordered] by {t.num} @desc.",
        "@list the {t.show} of all {t+}, @max {t.num} first.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} ORDER BY {t.num}", (
        "@list the {t.show} of [the|all] {t+} [sorted|ordered] by {t.num} [@asc|].",
        "@list the {t.show} of all {t+}, @min {t.num} first.",
    )),
    Shape("easy", "t", "SELECT {t.text} FROM {t} ORDER BY {t.text}", (
        "@list the {t.text} of all {t+} [alphabetically|in alphabetical order|from a to z].",
    )),
    Shape("medium", "t", "SELECT {t.show}, {t.num} FROM {t} ORDER BY {t.num} DESC", (
        "@list the {t.show} and {t.num} of the {t+} [sorted|ordered] by {t.num} @desc.",
        "@list {t.show} and {t.num} of all {t+}, @max {t.num} first.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} ORDER BY {t.num}", (
        "@list the {t.show} of {t+} whose {t.cat} @is {v:t.cat}, ordered by {t.num} [@asc|].",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} ORDER BY {t.num} DESC", (
        "@list the {t.show} of {t+} with {t.cat} {v:t.cat}, ordered by {t.num} @desc.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.num} DESC LIMIT 1", (
        "@one the {t.show} of the {t} with the @max {t.num}.",
        "which {t} has the [@max|most] {t.num}? give the {t.show}.",
        "the {t} that leads in {t.num}: what is its {t.show}?",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.num} LIMIT 1", (
        "@one the {t.show} of the {t} with the @min {t.num}.",
        "which {t} has the @min {t.num}? give the {t.show}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.num} DESC LIMIT {n}", (
        "@list the {t.show} of the {n} {t+} with the @max {t.num}.",
        "@list the {t.show} of the top {n} {t+} by {t.num}.",
        "which {n} {t+} have the [most|@max] {t.num}? @list the {t.show}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.num} LIMIT {n}", (
        "@list the {t.show} of the {n} {t+} with the @min {t.num}.",
        "@list the {t.show} of the bottom {n} {t+} by {t.num}.",
    )),
    Shape("medium", "t", "SELECT {t.show}, {t.num} FROM {t} ORDER BY {t.num} DESC LIMIT {n}", (
        "@list the {t.show} and {t.num} of the {n} {t+} with the @max {t.num}.",
    )),
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} ORDER BY {t.num} DESC LIMIT {n}", (
        "among {t+} with {t.cat} {v:t.cat}, @list the {t.show} of the {n} with the @max {t.num}.",
        "@list the {t.show} of the {n} {v:t.cat} {t+} with the @max {t.num}, going by {t.cat}.",
    )),
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.cat} = {v:t.cat} ORDER BY {t.num} LIMIT 1", (
        "among {t+} with {t.cat} {v:t.cat}, which {t.show} goes with the @min {t.num}?",
    )),
    Shape("hard", "t", "SELECT {t.show} FROM {t} WHERE {t.flag} = 1 ORDER BY {t.num} DESC LIMIT {n}", (
        "@list the {t.show} of the {n} {t.flag} {t+} with the @max {t.num}.",
    )),
)  # fmt: skip
