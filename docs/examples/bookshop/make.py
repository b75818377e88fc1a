"""Make the tutorial's database and its questions: ``python docs/examples/bookshop/make.py bookshop``.

Writes ``bookshop.sqlite``, ``train.jsonl``, ``dev.jsonl`` and ``test.jsonl`` (300, 60 and 200 questions with
their SQL, no question twice) to the given folder. The same numbers come out on every machine.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
from pathlib import Path

SCHEMA = """
CREATE TABLE author (author_id INTEGER PRIMARY KEY, name TEXT, country TEXT, born INTEGER);
CREATE TABLE book (book_id INTEGER PRIMARY KEY, title TEXT, genre TEXT, price REAL, pages INTEGER,
                   author_id INTEGER REFERENCES author(author_id));
CREATE TABLE sale (sale_id INTEGER PRIMARY KEY, book_id INTEGER REFERENCES book(book_id), city TEXT,
                   copies INTEGER, sold_on DATE);
"""
COUNTRIES = ["France", "Ghana", "Japan", "Chile", "Norway"]
GENRES = ["Poetry", "Crime", "Travel", "History", "Science"]
CITIES = ["Lyon", "Accra", "Osaka", "Oslo", "Leeds", "Quito"]
FIRST = ["Ada", "Ben", "Chi", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jun"]
LAST = ["Berg", "Cole", "Diaz", "Endo", "Frost", "Gray"]
ADJECTIVES = ["Silent", "Red", "Lost", "Golden", "Broken", "Hidden", "Last", "Long"]
NOUNS = ["River", "Garden", "Letter", "Winter", "Island", "Engine", "Mirror"]
SIZES = {"train": 300, "dev": 60, "test": 200}

JOIN = "FROM book JOIN author ON book.author_id = author.author_id"
SALES = "FROM sale JOIN book ON sale.book_id = book.book_id"
QUESTIONS = [
    ("Which {genre} books cost over {price}?",
     "SELECT title FROM book WHERE genre = '{genre}' AND price > {price}"),
    ("How many {genre} books have we got?", "SELECT COUNT(*) FROM book WHERE genre = '{genre}'"),
    ("How many books are longer than {pages} pages?", "SELECT COUNT(*) FROM book WHERE pages > {pages}"),
    ("What does a {genre} book cost on average?", "SELECT AVG(price) FROM book WHERE genre = '{genre}'"),
    ("Which books were written in {country}?",
     "SELECT book.title {join} WHERE author.country = '{country}'"),
    ("Which authors were born before {year}?", "SELECT name FROM author WHERE born < {year}"),
    ("Who comes from {country} and was born after {year}?",
     "SELECT name FROM author WHERE country = '{country}' AND born > {year}"),
    ("Who writes {genre}?", "SELECT DISTINCT author.name {join} WHERE book.genre = '{genre}'"),
    ("Who has a book with over {pages} pages?",
     "SELECT DISTINCT author.name {join} WHERE book.pages > {pages}"),
    ("How many copies went to {city}?", "SELECT SUM(copies) FROM sale WHERE city = '{city}'"),
    ("Which books did {city} buy?", "SELECT DISTINCT book.title {sales} WHERE sale.city = '{city}'"),
    ("Which sales of {copies} copies or more went to {city}?",
     "SELECT sale_id FROM sale WHERE copies >= {copies} AND city = '{city}'"),
    ("How many copies of {genre} books went to {city}?",
     "SELECT SUM(sale.copies) {sales} WHERE book.genre = '{genre}' AND sale.city = '{city}'"),
    ("What are our {top} most expensive books?", "SELECT title FROM book ORDER BY price DESC LIMIT {top}"),
    ("What are the {top} longest {genre} books?",
     "SELECT title FROM book WHERE genre = '{genre}' ORDER BY pages DESC LIMIT {top}"),
    ("How many books did each author from {country} write?",
     "SELECT author.name, COUNT(*) {join} WHERE author.country = '{country}' GROUP BY author.name"),
    ("Which genres have more than {top} books under {price}?",
     "SELECT genre FROM book WHERE price < {price} GROUP BY genre HAVING COUNT(*) > {top}"),
]  # fmt: skip


def fill(database: sqlite3.Connection, draw: random.Random) -> None:
    """Thirty authors, 56 books, 400 sales."""
    database.executescript(SCHEMA)
    names = draw.sample([f"{first} {last}" for first in FIRST for last in LAST], 30)
    authors = [(i, name, draw.choice(COUNTRIES), draw.randint(1930, 1995)) for i, name in enumerate(names, 1)]
    titles = [f"The {adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS]
    prices = draw.sample(range(500, 4000), len(titles))
    pages = draw.sample(range(80, 900), len(titles))
    books = [
        (i, title, draw.choice(GENRES), prices[i - 1] / 100, pages[i - 1], draw.randint(1, 30))
        for i, title in enumerate(titles, 1)
    ]
    sales = [
        (i, draw.randint(1, len(books)), draw.choice(CITIES), draw.randint(1, 40),
         f"2025-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}")
        for i in range(1, 401)
    ]  # fmt: skip
    database.executemany("INSERT INTO author VALUES (?, ?, ?, ?)", authors)
    database.executemany("INSERT INTO book VALUES (?, ?, ?, ?, ?, ?)", books)
    database.executemany("INSERT INTO sale VALUES (?, ?, ?, ?, ?)", sales)
    database.commit()


def questions(database: sqlite3.Connection, draw: random.Random) -> list[dict[str, str]]:
    """Different questions whose SQL returns rows, as many as all splits need."""
    found: dict[str, str] = {}
    while len(found) < sum(SIZES.values()):
        values = {
            "genre": draw.choice(GENRES),
            "country": draw.choice(COUNTRIES),
            "city": draw.choice(CITIES),
            "price": draw.randint(8, 36),
            "pages": draw.randrange(150, 850, 25),
            "copies": draw.randint(5, 38),
            "year": draw.randint(1935, 1990),
            "top": draw.randint(2, 6),
            "join": JOIN,
            "sales": SALES,
        }
        question, sql = draw.choice(QUESTIONS)
        sql = sql.format(**values)
        rows = database.execute(sql).fetchall()
        if rows and rows[0][0] is not None:
            found[question.format(**values)] = sql
    rows = [{"question": question, "sql": sql, "database": "bookshop"} for question, sql in found.items()]
    return draw.sample(rows, len(rows))  # questions with rare wordings would come last


def main(folder: Path) -> None:
    """Write the database and the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bookshop.sqlite"
    path.unlink(missing_ok=True)
    draw = random.Random(0)
    database = sqlite3.connect(path)
    fill(database, draw)
    rows = questions(database, draw)
    database.close()
    for split, size in SIZES.items():
        text = "".join(json.dumps(row) + "\n" for row in rows[:size])
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
        rows = rows[size:]
    print(f"{path}: {', '.join(f'{size} {split}' for split, size in SIZES.items())} questions")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
