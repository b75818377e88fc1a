"""What works with each architecture: a table of tiny random models, a column for each use of a model.

    OMP_NUM_THREADS=1 python benchmarks/architectures.py
    OMP_NUM_THREADS=1 python benchmarks/architectures.py --only "Gemma 3" --column eval

A cell is ``shared`` (right, and prompt prefixes are computed once), ``plain: why`` (right, prompts are
computed one by one), ``refused: the message``, WRONG or CRASH; the last two make the command fail. ``n/a``:
this version of transformers does not have the architecture. Models and lengths are in
``tiny_architectures.yaml``.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import tiny_architectures
from architecture_eval import evaluation
from architecture_training import four_bit, grpo, lora, sft

from tasks.common.errors import HarnessError, first_line

Cell = Callable[[Path], str]
"""From the folder of a tiny model to what was found."""
COLUMNS: Mapping[str, Cell] = {
    "eval": evaluation,
    "grpo": grpo,
    "sft": sft,
    "lora": lora,
    "four_bit": four_bit,
}
FAULTS = ("WRONG", "CRASH")


def main() -> None:
    """Print the table, or JSON; exit code 1 if a cell is wrong or crashed."""
    options = _options()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    columns = options.column or list(COLUMNS)
    rows: dict[str, dict[str, str]] = {}
    for name in tiny_architectures.ARCHITECTURES:
        if any(part in name for part in options.only or [name]):
            rows[name] = row(name, columns)
            if not options.json:
                found = (f"{column} {cell}" for column, cell in rows[name].items())
                print(f"{name:24} " + " | ".join(found), flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        for column in columns:
            kinds = Counter(cells[column].partition(":")[0] for cells in rows.values())
            print(f"{column}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    cells = [cell for found in rows.values() for cell in found.values()]
    raise SystemExit(any(cell.startswith(FAULTS) for cell in cells))


def row(name: str, columns: list[str]) -> dict[str, str]:
    """The cells of an architecture. Each column gets a model of its own, as some columns change it."""
    from runners.weights.loading import load_tokenizer
    from runners.weights.source import Source

    tokenizer = load_tokenizer(Source(str(tiny_architectures.tokenizer_folder())))
    cells = {}
    for column in columns:
        with tempfile.TemporaryDirectory() as folder:
            try:
                model = tiny_architectures.save(name, Path(folder) / "model", tokenizer)
            except AttributeError as error:
                cells[column] = f"n/a: {first_line(error)}"
                continue
            cells[column] = _cell(COLUMNS[column], model)
    return cells


def _cell(column: Cell, model: Path) -> str:
    """The cell of a model, with errors as text."""
    try:
        return column(model)
    except HarnessError as error:
        return f"refused: {first_line(error).replace(str(model), 'MODEL')}"
    except Exception as error:  # a crash is a finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"CRASH: {type(error).__name__}: {first_line(error)} ({Path(where.filename).name}:{where.lineno})"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="what works with each architecture")
    parser.add_argument("--only", action="append", help="architectures whose name has this part")
    parser.add_argument("--column", action="append", choices=list(COLUMNS), help="default: all")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
