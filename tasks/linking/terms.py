"""Split names and questions into terms that match each other: case, underscores, plurals, abbreviations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

EXACT, EXPANDED, PARTIAL = 1.0, 0.8, 0.5
"""Weights of a term: as written; from an abbreviation or a compound; from a part of a word."""
SHORTEST = 4
"""Letters of the shortest word that matches a part of another."""
_CASE = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where a name in mixed case is split: ``HTTPServerName`` is HTTP, Server, Name."""
_WORDS = re.compile(r"[^\W\d_]+|\d+")
STOP = frozenset(
    """
    a about all also an and any are as at be been both but by can did do does each either every find for from
    give had has have having her his how i if in into is it its list many me more most much no nor not of on
    only or order other our out over per please return show shows that the their them then there these they
    this those to under us was we were what when where which who whom whose will with without would yes you
    """.split()  # noqa: SIM905 - a list of a hundred quoted words is harder to read
)
"""Words of questions that name no table or column."""
ABBREVIATIONS: Mapping[str, str] = {
    "abbr": "abbreviation", "abv": "abbreviation", "acc": "account", "acct": "account", "acq": "acquisition",
    "addr": "address", "adm": "admission", "adv": "advisor", "agg": "aggregate", "alt": "altitude",
    "amt": "amount", "appt": "appointment", "arr": "arrival", "attr": "attribute", "auth": "author",
    "avg": "average", "bal": "balance", "bday": "birthday", "bldg": "building", "cat": "category",
    "categ": "category", "cd": "code", "chg": "change", "cnt": "count", "co": "company", "col": "colour",
    "comp": "company", "conf": "conference", "cur": "currency", "curr": "current", "cust": "customer",
    "dep": "departure", "dept": "department", "desc": "description", "dest": "destination",
    "dim": "dimension",
    "dir": "director", "dist": "district", "dob": "birth date", "doc": "document", "dt": "date",
    "emp": "employee", "eng": "engine", "env": "environment", "eqp": "equipment", "est": "estimate",
    "evt": "event", "exp": "expense", "fac": "faculty", "fname": "first name", "freq": "frequency",
    "gov": "government", "grp": "group", "gpa": "grade", "hgt": "height", "hosp": "hospital",
    "hq": "headquarters", "hr": "hour", "hrs": "hours", "ht": "height", "img": "image", "info": "information",
    "inst": "institution", "instr": "instructor", "inv": "invoice", "itm": "item", "lang": "language",
    "lat": "latitude", "lim": "limit", "lname": "last name", "loc": "location", "lon": "longitude",
    "long": "longitude", "lvl": "level", "maint": "maintenance", "mat": "material", "max": "maximum",
    "mem": "member", "mfg": "manufacturing", "mfr": "manufacturer", "mgr": "manager", "min": "minimum",
    "misc": "miscellaneous", "mkt": "market", "mod": "modified", "mth": "month", "nat": "nationality",
    "nbr": "number", "no": "number", "num": "number", "opp": "opponent", "ord": "order",
    "org": "organization",
    "orig": "origin", "pat": "patient", "pct": "percent", "perf": "performance", "phys": "physician",
    "pkg": "package", "pop": "population", "pos": "position", "prev": "previous",
    "proc": "procedure", "prod": "product", "prof": "professor", "proj": "project", "pub": "publication",
    "qlty": "quality", "qty": "quantity", "rcpt": "receipt", "rec": "record",
    "ref": "reference", "reg": "registration", "rel": "relation", "req": "request", "res": "reservation",
    "rev": "revenue", "rte": "route", "sal": "salary", "sched": "schedule", "seq": "sequence",
    "ship": "shipment", "shp": "shipment", "spec": "specification", "src": "source", "std": "standard",
    "stat": "status", "stk": "stock", "stu": "student", "subj": "subject", "sup": "supplier",
    "supp": "supplier", "tech": "technician", "tel": "telephone", "temp": "temperature", "tot": "total",
    "trans": "transaction", "trk": "track", "trx": "transaction", "txn": "transaction", "univ": "university",
    "uom": "unit measure", "usr": "user", "val": "value", "veh": "vehicle", "vend": "vendor",
    "vol": "volume", "whs": "warehouse", "wgt": "weight", "wh": "warehouse", "wt": "weight",
    "yr": "year",
}  # fmt: skip
"""An abbreviation in a name -> the words that it may stand for."""
QUESTION_WORDS: Mapping[str, str] = {
    "when": "date year time", "where": "location city country place address", "who": "name person",
    "old": "age birth", "older": "age birth", "oldest": "age birth", "young": "age birth",
    "younger": "age birth", "youngest": "age birth", "cheap": "price cost", "cheapest": "price cost",
    "expensive": "price cost", "tall": "height", "tallest": "height", "heavy": "weight",
    "heaviest": "weight",
    "fast": "speed", "fastest": "speed", "earn": "salary income", "earning": "salary income",
    "born": "birth", "located": "location city country", "live": "city address country",
    "lives": "city address",
    "recent": "date year", "latest": "date year", "earliest": "date year", "long": "length duration",
    "longest": "length duration", "big": "size area", "biggest": "size area", "people": "person population",
}  # fmt: skip
"""A word of a question -> words that names use for what it asks."""


def pieces(text: str) -> list[str]:
    """The words of a name or a text, in lower case: split at white space, marks, digits and case."""
    return [word.lower() for word in _WORDS.findall(_CASE.sub(" ", text))]


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """A word without the endings of plurals and verbs: ``cities`` is ``city``, ``named`` is ``name``.

    The S-stemmer (Harman 1991), then ``ed`` and ``ing``, then a final ``e``.
    """
    if len(word) > SHORTEST and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("xes", "ches", "shes", "sses")) else word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) > 2:
            word = word.removesuffix(ending)
            word = word[:-1] if word[-1] == word[-2] and word[-1] not in "sl" else word
            break
    return word.removesuffix("e") if len(word) > 3 else word


def name_terms(name: str, vocabulary: frozenset[str] = frozenset()) -> Mapping[str, float]:
    """The terms of a table's or column's name with their weights.

    ``vocabulary``: words of the database; ``airportcode`` is then also ``airport`` and ``code``.
    """
    terms: dict[str, float] = {}
    for piece in pieces(name):
        _add(terms, stem(piece), EXACT)
        for word in ABBREVIATIONS.get(piece, "").split():
            _add(terms, stem(word), EXPANDED)
        for word in _compound(piece, vocabulary):
            _add(terms, stem(word), EXPANDED)
    return terms


def _compound(piece: str, vocabulary: frozenset[str]) -> Iterator[str]:
    """The two words of which a word consists, and the words that these abbreviate; the longest first word."""
    for end in range(len(piece) - 2, 2, -1):
        first, second = piece[:end], piece[end:]
        if first in vocabulary and second in vocabulary:
            for word in (first, second):
                yield word
                yield from ABBREVIATIONS.get(word, "").split()
            return


def question_terms(text: str) -> Mapping[str, float]:
    """The terms of a question with their weights, without the words that name nothing."""
    terms: dict[str, float] = {}
    for piece in pieces(text):
        if piece not in STOP and len(piece) > 1:
            _add(terms, stem(piece), EXACT)
        for word in QUESTION_WORDS.get(piece, "").split():
            _add(terms, stem(word), PARTIAL)
    return terms


def _add(terms: dict[str, float], term: str, weight: float) -> None:
    terms[term] = max(terms.get(term, 0.0), weight)


def partial(term: str, other: str) -> float:
    """The weight with which two terms match of which one is a part of the other; 0: they do not."""
    short, long = sorted((term, other), key=len)
    if len(short) < SHORTEST or len(short) == len(long):
        return 0.0
    inside = long.startswith(short) or long.endswith(short)
    return PARTIAL * len(short) / len(long) if inside and 2 * len(short) >= len(long) else 0.0
