"""Shapes about dates, of one table."""

from tools.nano.questions.grammar import Shape

SHAPES = (
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.date} > {v:t.date}", (
        "@list the {t.show} of {t+} with [a|] {t.date} [after|later than|past] {v:t.date}.",
        "@list the {t.show} of {t+} whose {t.date} [is|falls] after {v:t.date}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.event} > {v:t.event}", (
        "@list the {t.show} of {t+} [that were|] {t.event} [after|later than] {v:t.event}.",
        "which {t+} were {t.event} after {v:t.event}? @list the {t.show}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.date} < {v:t.date}", (
        "@list the {t.show} of {t+} with [a|] {t.date} [before|earlier than|prior to] {v:t.date}.",
        "@list the {t.show} of {t+} whose {t.date} [is|falls] before {v:t.date}.",
    )),
    Shape("easy", "t", "SELECT {t.show} FROM {t} WHERE {t.event} < {v:t.event}", (
        "@list the {t.show} of {t+} [that were|] {t.event} [before|earlier than] {v:t.event}.",
        "which {t+} were {t.event} before {v:t.event}? @list the {t.show}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE {t.date} BETWEEN {v:t.date} AND {w:t.date}", (
        "@list the {t.show} of {t+} with [a|] {t.date} between {v:t.date} and {w:t.date}.",
        "@list the {t.show} of {t+} whose {t.date} falls from {v:t.date} to {w:t.date}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE strftime('%Y', {t.date}) = {y:t.date}", (
        "@list the {t.show} of {t+} whose {t.date} [is|falls] in [the year|] {y:t.date}.",
        "@list the {t.show} of {t+} with [a|] {t.date} in {y:t.date}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE strftime('%Y', {t.event}) = {y:t.event}", (
        "@list the {t.show} of {t+} [that were|] {t.event} in [the year|] {y:t.event}.",
        "in {y:t.event}, which {t+} were {t.event}? @list the {t.show}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE strftime('%Y', {t.date}) > {y:t.date}", (
        "@list the {t.show} of {t+} with [a|] {t.date} after [the year|] {y:t.date}.",
        "@list the {t.show} of {t+} whose {t.date} is in a year after {y:t.date}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE strftime('%Y', {t.event}) < {y:t.event}", (
        "@list the {t.show} of {t+} [that were|] {t.event} before [the year|] {y:t.event}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} WHERE strftime('%Y-%m', {t.date}) = {m:t.date}", (
        "@list the {t.show} of {t+} whose {t.date} [is|falls] in {m:t.date}.",
    )),
    Shape("medium", "t", "SELECT COUNT(*) FROM {t} WHERE strftime('%Y', {t.date}) = {y:t.date}", (
        "@count {t+} have [a|] {t.date} in {y:t.date}[?|]",
        "for how many {t+} is the {t.date} in {y:t.date}?",
    )),
    Shape("medium", "t", "SELECT COUNT(*) FROM {t} WHERE strftime('%Y', {t.event}) = {y:t.event}", (
        "@many {t+} were {t.event} in [the year|] {y:t.event}?",
        "@count {t+} {t.event} in {y:t.event}.",
    )),
    Shape("medium", "t", "SELECT COUNT(*) FROM {t} WHERE {t.event} > {v:t.event}", (
        "@many {t+} were {t.event} after {v:t.event}?",
        "@count {t+} {t.event} [after|later than] {v:t.event}.",
    )),
    Shape("medium", "t", "SELECT COUNT(*) FROM {t} WHERE {t.date} < {v:t.date}", (
        "@many {t+} have [a|] {t.date} before {v:t.date}?",
        "@count {t+} with {t.date} [before|earlier than] {v:t.date}.",
    )),
    Shape("hard", "t",
        "SELECT strftime('%Y', {t.date}), COUNT(*) FROM {t} GROUP BY strftime('%Y', {t.date})", (
        "@many {t+} are there for each year of [the|] {t.date}?",
        "@list the number of {t+} [per|by] {t.date} year.",
        "for each year of {t.date}, count the {t+}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.date} DESC LIMIT 1", (
        "@one the {t.show} of the {t} with the [latest|most recent|last|newest] {t.date}.",
        "which {t} has the [latest|most recent] {t.date}? give its {t.show}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.date} LIMIT 1", (
        "@one the {t.show} of the {t} with the [earliest|oldest|first] {t.date}.",
        "which {t} has the [earliest|oldest] {t.date}? give its {t.show}.",
    )),
    Shape("medium", "t", "SELECT {t.show} FROM {t} ORDER BY {t.event} DESC LIMIT {n}", (
        "@list the {t.show} of the {n} {t+} [most recently|last] {t.event}.",
        "@list the {t.show} of the {n} {t+} {t.event} most recently.",
    )),
    Shape("easy", "t", "SELECT {t.show}, {t.date} FROM {t} ORDER BY {t.date}", (
        "@list the {t.show} and {t.date} of the {t+}, [earliest|oldest] first.",
        "@list {t.show} and {t.date} of all {t+} [sorted|ordered] by {t.date}.",
    )),
    Shape("easy", "t", "SELECT MIN({t.date}), MAX({t.date}) FROM {t}", (
        "@list the [earliest|first] and the [latest|last] {t.date} of the {t+}.",
    )),
    Shape("easy", "t", "SELECT MAX({t.date}) FROM {t}", (
        "what is the [latest|most recent] {t.date} of [any|all] {t+}?",
    )),
)  # fmt: skip
