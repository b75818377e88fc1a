"""One question in a folder with all that scoring needs: ``question.json`` and the files of its database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from harness.adapters.out import Copies
from rewards.types import Answer
from tasks.databases.state import file_of, without_sources
from tasks.spec import ScoringSpec
from tasks.types import Database

NAME = "question.json"


@dataclass(frozen=True)
class Question:
    """A question's golds and database, and how its answers are scored. ``training``: by its split."""

    id: str
    gold: tuple[str, ...]
    database: Database
    scoring: ScoringSpec
    training: bool

    @classmethod
    def read(cls, folder: Path) -> Question:
        """The question that ``write`` put into a folder."""
        question = _FORM.validate_json((folder / NAME).read_bytes())
        return replace(question, database=_placed(question.database, folder))

    def write(self, folder: Path, copies: Copies) -> None:
        """Write the question with copies of all instances of its database. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        database = self.database
        names = tuple(Path(f"{place}.{database.engine}") for place in range(len(database.instances)))
        for place, name in enumerate(names):
            copies.add_database(file_of(database, place), database.engine, folder / name)
        stored = replace(self, database=replace(without_sources(database), instances=names))
        (folder / NAME).write_bytes(_FORM.dump_json(stored, indent=2, by_alias=True))

    def answer(self, text: str) -> Answer:
        """A text as an answer to the question."""
        return Answer(self.database, self.gold, text)


def _placed(database: Database, folder: Path) -> Database:
    """The database with its instances as whole paths."""
    places = range(len(database.instances))
    return replace(database, instances=tuple(folder / file_of(database, place) for place in places))


_FORM = TypeAdapter(Question)
