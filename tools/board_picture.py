"""``HARNESS_HOME=.harness python -m tools.board_picture docs/board.svg``: the demo's board as a picture."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console

from harness.render.board import render_board
from leaderboards import board

WIDTH = 100


def main(file: Path) -> None:
    """Write what ``harness board --reasons`` prints, as an SVG."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), markup=False, emoji=False, highlight=False
    )
    console.print(render_board(board.board(), reasons=True))
    console.save_svg(str(file), title="harness board --reasons")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
