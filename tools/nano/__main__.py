"""The command line: ``python -m tools.nano --help``."""

from __future__ import annotations

import argparse
from pathlib import Path

from runners.nano import FOLDER
from tools.nano.build import Recipe, build
from tools.nano.evaluate import print_accuracy


def main() -> None:
    """Build the model, or evaluate it on held-out questions of its corpus."""
    recipe = Recipe()
    parser = argparse.ArgumentParser(
        prog="python -m tools.nano",
        description="Build nano, the model that ships with the harness, or evaluate it.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="train tokenizer and model from nothing")
    command.add_argument(
        "--out", type=Path, default=FOLDER, help="folder to write (default: the shipped model)"
    )
    command.add_argument("--steps", type=int, default=recipe.steps, help=f"default: {recipe.steps}")
    command.add_argument("--seed", type=int, default=recipe.seed, help=f"default: {recipe.seed}")
    command = commands.add_parser("evaluate", help="exact matches on databases that training never sees")
    command.add_argument(
        "--model", type=Path, default=FOLDER, help="folder of the model (default: the shipped one)"
    )
    command.add_argument("--questions", type=int, default=500, help="default: 500")
    command.add_argument("--show", type=int, default=0, help="print this many wrong answers")
    options = parser.parse_args()
    if options.command == "build":
        build(Recipe(steps=options.steps, seed=options.seed), options.out)
    else:
        print_accuracy(options.model, options.questions, options.show)


if __name__ == "__main__":
    main()
