"""Make a database of 500 tables and 10,000 columns, with questions and golds, and a task that reads them.

    python benchmarks/large_schema.py FOLDER [--seed 0]

25 departments have 5 kinds of things each; a thing has a table and three more, for its lines, history and
documents, whose names differ little. Departments name tables and columns in four styles, one of them with
abbreviations, and half of them have comments in the DDL, with another word for the thing. Every table has the
same audit columns. A question calls things and columns by words, some of which the database does not have,
and sometimes names a thing only by a value; its gold joins up to three tables, of which it may name two.
``FOLDER/large.yaml`` is the task.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

DEPARTMENTS = {
    "sales": "customer order quotation discount territory",
    "purchasing": "supplier requisition contract tender delivery",
    "warehouse": "item bin transfer pallet stocktake",
    "payroll": "employee salary deduction timesheet bonus",
    "recruiting": "applicant vacancy interview offer referral",
    "maintenance": "machine inspection repair sensor fault",
    "fleet": "vehicle driver trip refuelling accident",
    "marketing": "campaign lead audience advert survey",
    "support": "ticket agent escalation article callback",
    "legal": "lawsuit patent trademark court clause",
    "finance": "invoice ledger budget loan audit",
    "insurance": "policy claim premium beneficiary adjuster",
    "clinic": "patient physician diagnosis prescription ward",
    "laboratory": "sample assay reagent instrument protocol",
    "school": "student lecturer course exam scholarship",
    "library": "book author borrower reservation fine",
    "hotel": "guest room booking minibar housekeeper",
    "energy": "meter turbine outage tariff substation",
    "farming": "field crop harvest tractor irrigation",
    "airline": "flight airport passenger suitcase steward",
    "telecom": "subscriber antenna contract handset recharge",
    "construction": "site permit crane foreman blueprint",
    "retail": "store cashier basket voucher refund",
    "research": "project fellowship publication dataset reviewer",
    "museum": "exhibit curator restoration visitor donation",
}
OTHER_WORDS = {
    "customer": "client", "supplier": "vendor", "employee": "staff member", "applicant": "candidate",
    "vehicle": "car", "lawsuit": "court case", "patient": "sick person", "book": "volume", "guest": "lodger",
    "store": "shop", "physician": "doctor", "student": "pupil", "accident": "crash", "outage": "blackout",
    "visitor": "spectator", "advert": "commercial", "machine": "device", "suitcase": "bag", "fault": "defect",
}  # fmt: skip
"""Words for things that only the comments of the tables have."""
SYNONYMS = {
    "city": "town", "region": "area", "brand": "make", "colour": "hue", "weight": "mass",
    "height": "elevation",
    "price": "cost", "duration": "time taken", "quantity": "number of pieces", "checksum": "hash",
    "file name": "name of the file", "change reason": "why it was changed", "opening date": "first day",
    "approver name": "who approved it", "capacity": "room", "credit limit": "most debt", "rating": "stars",
}  # fmt: skip
"""Words for columns that nothing in the database has."""
ROLES = {"": "", "line": "line", "history": "history entry", "document": "document"}
"""The tables of a thing -> what a question calls their rows after the thing's name."""
ATTRIBUTES = {
    "": "city,region,brand,category,nationality,colour,weight,height,price,rating,priority,capacity,duration,"
    "distance,speed,temperature,opening date,closing date,serial number,phone number,postal code,currency,"
    "language,section,voltage,depth,discount rate,credit limit,insured amount,warranty period",
    "line": "position,quantity,unit price,tax rate,net amount,gross weight,delivery date,cost center",
    "history": "changed field,old value,new value,change reason,approval date,approver name",
    "document": "file name,file size,page count,checksum,document language,retention period,access level",
}
TEXTS = {"city", "region", "brand", "category", "nationality", "colour", "changed field", "change reason",
         "approver name", "file name", "access level", "cost center"}  # fmt: skip
AUDIT = (
    "status,notes,created by,creation date,modified by,modification date,is active,is deleted,external code,"
    "source system,tenant number,record version,locked by,lock date,import batch,row checksum"
)
SHORT = {
    "quantity": "qty", "number": "no", "date": "dt", "amount": "amt", "category": "cat", "price": "prc",
    "temperature": "temp", "duration": "dur", "weight": "wgt", "distance": "dist", "language": "lang",
    "priority": "prio", "currency": "curr", "serial": "ser", "capacity": "cap", "document": "doc",
    "history": "hist", "customer": "cust", "employee": "emp", "supplier": "supp", "region": "reg",
    "nationality": "natl", "discount": "disc", "position": "pos", "delivery": "dlv", "reason": "rsn",
}  # fmt: skip
COLUMNS, ROWS = 20, 12


@dataclass(frozen=True)
class Made:
    """A table."""

    name: str
    words: str
    key: str
    columns: dict[str, str]
    """Words -> column, without keys and audit columns."""
    parent: str = ""
    """The words of the table that it points to."""
    link: str = ""
    """The column that points to it."""
    department: str = ""


def styled(style: int, *words: str) -> str:
    """A name of some words in the style of a department."""
    parts = [part for word in words for part in word.split()]
    if style == 1:
        return "".join(part.capitalize() for part in parts)
    if style == 2:
        return "_".join(SHORT.get(part, part) for part in parts)
    return ("" if style == 3 else "_").join(parts)


def tables(chosen: random.Random) -> Iterator[tuple[Made, str]]:
    """Each table with its DDL."""
    for number, (department, line) in enumerate(DEPARTMENTS.items()):
        things, style = line.split(), number % 4
        for place, thing in enumerate(things):
            parent = things[(place - 1) // 2] if place else ""
            for role, called in ROLES.items():
                yield table(chosen, department, (thing, role, called), parent if not role else thing, style)


def table(
    chosen: random.Random, department: str, names: tuple[str, str, str], parent: str, style: int
) -> tuple[Made, str]:
    """One table of a thing and a role, which points to its parent."""
    thing, role, called = names
    owner = "" if style == 3 else department
    name = styled(style, owner, thing, role)
    key, link = styled(style, thing, role, "id"), styled(style, parent, "id") if parent else ""
    pool = ATTRIBUTES[role].split(",")
    words = sorted(chosen.sample(pool, min(len(pool), 8)))
    columns = {one: styled(style, one) for one in words}
    typed = [f"{key} INTEGER PRIMARY KEY"]
    if link:
        typed.append(f"{link} INTEGER REFERENCES {styled(style, owner, parent)}({link})")
    typed += [f"{column} {'TEXT' if one in TEXTS else 'REAL'}" for one, column in columns.items()]
    typed += [f"{styled(style, one)} TEXT" for one in AUDIT.split(",")]
    typed = typed[:COLUMNS]
    filler = [f"{styled(style, 'reserved', str(number))} TEXT" for number in range(COLUMNS - len(typed))]
    other = OTHER_WORDS.get(thing, "")
    comment = f" -- {called or 'master data'} of each {other or thing} in {department}" if style % 2 else ""
    separator = ",\n  "
    ddl = f"CREATE TABLE {name} ({comment}\n  {separator.join([*typed, *filler])}\n)"
    return Made(name, f"{thing} {called}".strip(), key, columns, parent, link, department), ddl


def plural(words: str) -> str:
    """The plural of some words."""
    if words.endswith("y") and not words.endswith(("ay", "ey")):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith(("s", "x", "ch")) else "s")


def value(chosen: random.Random) -> str:
    """An invented name."""
    return "".join(chosen.choice("bdfgklmnprstvz") + chosen.choice("aeiou") for _ in range(3)).capitalize()


def fill(connection: sqlite3.Connection, made: Sequence[Made], chosen: random.Random) -> dict[str, list[str]]:
    """Insert rows, and return ``table.column`` -> the texts of a column."""
    texts: dict[str, list[str]] = {}
    for one in made:
        names = [info[1] for info in connection.execute(f"PRAGMA table_info({one.name})")]
        called = {column: words for words, column in one.columns.items()}
        for number in range(1, ROWS + 1):
            row: list[object] = []
            for name in names:
                words = called.get(name, "")
                if name in (one.key, one.link):
                    row.append(number if name == one.key else chosen.randint(1, ROWS))
                elif words in TEXTS:
                    row.append(value(chosen))
                    texts.setdefault(f"{one.name}.{name}", []).append(str(row[-1]))
                else:
                    row.append(chosen.randint(1, 900) if words else chosen.choice(("open", "closed", None)))
            connection.execute(f"INSERT INTO {one.name} VALUES ({', '.join('?' * len(names))})", row)
    return texts


class Questions:
    """Questions with their golds about some tables."""

    def __init__(self, made: Sequence[Made], texts: dict[str, list[str]], chosen: random.Random) -> None:
        self._made = made
        self._texts = texts
        self._chosen = chosen
        self._by_words = {(one.department, one.words): one for one in made}

    def ask(self, count: int) -> Iterator[tuple[str, str]]:
        """So many questions, each with its gold."""
        kinds: list[Callable[[Made], tuple[str, str] | None]] = [
            self._average, self._filtered, self._per_parent, self._grandparent, self._by_value,
        ]  # fmt: skip
        made = 0
        while made < count:
            asked = kinds[made % len(kinds)](self._chosen.choice(self._made))
            if asked:
                made += 1
                yield asked

    def _attribute(self, one: Made, text: bool) -> tuple[str, str] | None:
        """What a question calls a column of text or of numbers, sometimes by another word, and its name."""
        found = [pair for pair in one.columns.items() if (pair[0] in TEXTS) == text]
        if not found:
            return None
        words, column = self._chosen.choice(found)
        return SYNONYMS.get(words, words) if self._chosen.random() < 0.3 else words, column

    def _called(self, one: Made, many: bool = True) -> str:
        """What a question calls the rows of a table; where there are comments, also by the word in them."""
        thing, _, rest = one.words.partition(" ")
        number = list(DEPARTMENTS).index(one.department)
        other = OTHER_WORDS.get(thing) if number % 2 and self._chosen.random() < 0.7 else None
        words = f"{other or thing} {rest}".strip()
        shared = sum(thing in things.split() for things in DEPARTMENTS.values()) > 1
        department = f"{one.department} " if shared or self._chosen.random() < 0.4 else ""
        return department + (plural(words) if many else words)

    def _average(self, one: Made) -> tuple[str, str] | None:
        if not (found := self._attribute(one, False)):
            return None
        words, column = found
        return f"What is the average {words} of {self._called(one)}?", f"SELECT AVG({column}) FROM {one.name}"

    def _filtered(self, one: Made) -> tuple[str, str] | None:
        number, text = self._attribute(one, False), self._attribute(one, True)
        if not number or not text:
            return None
        literal = self._chosen.choice(self._texts[f"{one.name}.{text[1]}"])
        return (
            f"Show the {number[0]} of all {self._called(one)} with {text[0]} {literal}.",
            f"SELECT {number[1]} FROM {one.name} WHERE {text[1]} = '{literal}'",
        )

    def _parent(self, one: Made) -> Made | None:
        return self._by_words.get((one.department, one.parent))

    def _per_parent(self, one: Made) -> tuple[str, str] | None:
        parent = self._parent(one)
        found = self._attribute(parent, True) if parent else None
        if not parent or not found:
            return None
        return (
            f"How many {self._called(one)} are there for each {parent.words}? Give the {found[0]} too.",
            f"SELECT p.{found[1]}, COUNT(*) FROM {parent.name} AS p JOIN {one.name} AS c"
            f" ON c.{one.link} = p.{parent.key} GROUP BY p.{parent.key}",
        )

    def _grandparent(self, one: Made) -> tuple[str, str] | None:
        """Of three tables the question names the first and the last."""
        parent = self._parent(one)
        top = self._parent(parent) if parent else None
        if not parent or not top:
            return None
        wanted, limit = self._attribute(top, True), self._attribute(one, False)
        if not wanted or not limit:
            return None
        return (
            f"List the {wanted[0]} of the {self._called(top)} that have any {plural(one.words)} with"
            f" {limit[0]} over 500.",
            f"SELECT DISTINCT t.{wanted[1]} FROM {top.name} AS t JOIN {parent.name} AS p ON p.{parent.link} ="
            f" t.{top.key} JOIN {one.name} AS c ON c.{one.link} = p.{parent.key} WHERE c.{limit[1]} > 500",
        )

    def _by_value(self, one: Made) -> tuple[str, str] | None:
        """The question does not say of which table the value is."""
        number, text = self._attribute(one, False), self._attribute(one, True)
        if not number or not text:
            return None
        literal = self._chosen.choice(self._texts[f"{one.name}.{text[1]}"])
        return (
            f"What is the {number[0]} where the {text[0]} is {literal}?",
            f"SELECT {number[1]} FROM {one.name} WHERE {text[1]} = '{literal}'",
        )


def make(folder: Path, seed: int = 0, questions: int = 500) -> Path:
    """Write database, questions and task into a folder; equal seeds give equal files. Returns the task."""
    chosen = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "large.sqlite"
    path.unlink(missing_ok=True)
    made = list(tables(chosen))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(";\n".join(ddl for _, ddl in made))
        texts = fill(connection, [one for one, _ in made], chosen)
        connection.commit()
        asked = list(Questions([one for one, _ in made], texts, chosen).ask(questions))
        for _, gold in asked:
            connection.execute(gold).fetchone()
    lines = [{"question": question, "query": gold, "db_id": "large"} for question, gold in asked]
    (folder / "dev.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = folder / "large.yaml"
    task.write_text(
        "name: large\ndataset: {path: dev.jsonl, splits: {dev: dev}}\n"
        "databases: {path: '{database}.sqlite'}\n"
        "prompt: {template: instruct, schema: {max_tokens: 1000}}\n"
    )
    return task


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(make(options.folder, options.seed))
