"""The files whose functions run for one question of an evaluation, and for one prompt of a GRPO step.

    python benchmarks/trace.py [--commit 9b7e134] [--json]

The command runs ``harness eval`` and ``harness train --method grpo`` through their real entry point, on
questions of ``pocket`` with ``nano``, and records every call of a function in harness, leaderboards, rewards,
runners and tasks: on the main thread, on helper threads and in the sandbox's worker process.

What is counted:

* evaluation: from the call that renders the question's prompt (``Task.messages``) until its record has been
  appended to the run. Set-up does not count: reading the command line and the task, finding the database,
  opening the model, starting the sandbox's worker. Checks of a slow worker depend on the machine's load and
  do not count either. Opening the database in the worker counts.
* GRPO: one optimizer step of one prompt, from the beginning of the trainer's step until its loss has been
  computed: the prompt is chosen, its answers are drawn and scored, the group is kept or replaced, advantages,
  loss. Prompts are rendered before the first step, which is set-up.

``QUESTIONS`` are evaluated, and as many steps trained, each on a prompt of its own; the one that enters the
most files is reported.

A *file* is entered when one of its functions runs in that time. Module bodies and the constructors that
dataclasses generate do not count; methods and properties of type pages do. A *hop* is a pair of files of
which the first calls the second, directly or through a library; it counts once, however often it is taken. A
*return* is a hop into a file that another one had entered before: a reader who follows the question opens
each file once, at its first entry, and comes back to it once for each return.

The limits hold for these files of the process that evaluates or trains. Two further groups are listed after
them: files that only the sandbox's worker enters, and files that are only entered between the loss of a step
and its row of the training curve.

``--commit`` traces that commit instead, in a temporary git worktree.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
REPOSITORY = HERE.parent.parent
PACKAGES = ("harness", "leaderboards", "rewards", "runners", "tasks")
LIMITS = {"evaluation": 20, "grpo": 22}
"""Files that one question, and one prompt, may enter."""
QUESTIONS = 3
EVALUATION = ("eval", "--limit", "1", "--fresh")
TRAINING = (
    *("train", "--method", "grpo", "--limit", "60", "--no-eval"),
    *("--set", "train.prompts_per_step=1", "--set", "train.micro_groups=1"),
    *("--set", f"train.max_steps={QUESTIONS}"),
)

SUPERVISION = {"Worker.__init__", "Worker.hang", "Worker.trouble"}
"""The functions that start a worker process and look at a slow one (``trouble`` until commit 9b7e134)."""

Call = tuple[int, str, str]
"""Nanoseconds on the monotonic clock, the calling file ("" at the bottom of a stack), the called file."""


class Recorder:
    """Records calls of functions whose files are in our packages below ``tree``."""

    def __init__(self, tree: str, note: Callable[[Call], None]) -> None:
        self._note = note
        self._prefix = tree.rstrip("/") + "/"
        self._names: dict[str, str] = {}
        """Absolute file name -> the name below the tree, "" for files of others."""

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        """The function for ``sys.settrace``: it is called for calls of Python functions alone."""
        if file := self.name(frame.f_code.co_filename):
            caller = self._caller(frame)
            if caller is not None:
                self._note((time.monotonic_ns(), caller, file))

    def name(self, file: str) -> str:
        """The name of a file of ours below the tree, else ""."""
        if file not in self._names:
            name = file.removeprefix(self._prefix) if file.startswith(self._prefix) else ""
            self._names[file] = name if name.partition("/")[0] in PACKAGES else ""
        return self._names[file]

    def _caller(self, frame: Any) -> str | None:
        """The file of ours that called, "" at the bottom of a stack; None for a call that does not count.

        Such are those from the import of a module of ours, and from the supervision of workers.
        """
        caller, called = "", frame
        while frame is not None:
            name = self.name(frame.f_code.co_filename)
            if name and (frame.f_code.co_name == "<module>" or frame.f_code.co_qualname in SUPERVISION):
                return None
            if name and frame is not called and not caller:
                caller = name
            frame = frame.f_back
        return caller

    def start(self) -> None:
        """Record this thread and all that begin later."""
        threading.settrace(self)
        sys.settrace(self)


class Windows(Recorder):
    """A recorder that also notes when each question or step begins, ends and has been written down."""

    def __init__(self, tree: str, kind: str) -> None:
        self.calls: list[Call] = []
        self.windows: list[list[int]] = []
        """First moment, end, and moment of the record or row."""
        super().__init__(tree, self.calls.append)
        self._evaluation = kind == "evaluation"

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        """The function for ``sys.settrace``; it follows the functions that end a question or a step."""
        code = frame.f_code
        name = self.name(code.co_filename)
        if self._evaluation:
            begins = code.co_name == "messages" and name == "tasks/task.py"
            ends = written = code.co_name == "append" and name.startswith("leaderboards/")
        else:
            begins = ends = code.co_qualname == "Trainer.training_step"  # of transformers
            written = code.co_name == "append_curve" and name.startswith("leaderboards/")
        if begins and not (self.windows and len(self.windows[-1]) < 3):
            self.windows.append([time.monotonic_ns()])
        super().__call__(frame, event, argument)
        return self._until_return if ends or written else None

    def _until_return(self, frame: Any, event: str, argument: Any) -> Any:
        frame.f_trace_lines = False
        if event == "return" and self.windows and len(self.windows[-1]) < 3:
            self.windows[-1] += [time.monotonic_ns()] * (2 if self._evaluation else 1)
        return self._until_return


def record_worker(tree: str, pipe: int) -> None:
    """In a sandbox worker: write every call of ours to a pipe, one a line."""

    def note(call: Call) -> None:
        os.write(pipe, ("\t".join(map(str, call)) + "\n").encode())

    Recorder(tree, note).start()


def record_workers(tree: str) -> list[Call]:
    """Record every sandbox worker that this process starts. Returns the list to which its calls are added."""
    calls: list[Call] = []
    reading, writing = os.pipe()
    boot = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
    boot += f"from benchmarks.trace import record_worker; record_worker({tree!r}, {writing}); "

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, command: Any, **options: Any) -> None:
            if "-c" in command and any("import main; main(" in part for part in command):
                place = command.index("-c") + 1
                command = [*command[:place], boot + command[place], *command[place + 1 :]]
                options["pass_fds"] = (*options.get("pass_fds", ()), writing)
            super().__init__(command, **options)

    def read() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                moment, caller, file = line.decode().rstrip("\n").split("\t")
                calls.append((int(moment), caller, file))

    subprocess.Popen = Recorded  # type: ignore[assignment, misc]
    threading.Thread(target=read, daemon=True).start()
    return calls


def record(tree: str, kind: str) -> list[Trace]:
    """Run the command line of ``tree`` in this process; the trace of each question or step."""
    sys.path[0] = tree
    in_workers = record_workers(tree)
    from harness.cli import main as harness

    recorder = Windows(tree, kind)
    with tempfile.TemporaryDirectory() as home, redirect_stdout(sys.stderr):
        os.environ["HARNESS_HOME"] = home
        asked = ("--model", "nano", "--workers", "1", "--task", _task(Path(home)))
        recorder.start()
        if kind == "evaluation":
            codes = [harness([*EVALUATION, *asked, "--sample-seed", str(n)]) for n in range(QUESTIONS)]
        else:
            codes = [harness([*TRAINING, *asked, "--out", f"{home}/out"])]
        sys.settrace(None)
    if any(codes):
        raise SystemExit(f"the commands ended with {codes}")
    return [Trace.of(recorder.calls, in_workers, window) for window in recorder.windows]


def _task(folder: Path) -> str:
    """``pocket`` without a dev split, on which a training would evaluate at its first and its last step."""
    from tasks.task import Task

    text = (Path(inspect.getfile(Task)).parent / "pocket.yaml").read_text()
    task = folder / "pocket.yaml"
    task.write_text(text.replace(", dev: dev", ""))
    return str(task)


@dataclass(frozen=True)
class Trace:
    """What one question or prompt entered. ``files``: in the order of their first entries."""

    files: list[str]
    worker: list[str]
    """Files that only the sandbox's worker entered."""
    writing: list[str]
    """Files that were only entered between the loss and the row of the curve."""
    hops: list[tuple[str, str]]

    @classmethod
    def of(cls, calls: Sequence[Call], in_workers: Sequence[Call], window: Sequence[int]) -> Trace:
        """The trace of the calls of one window, in the process and in its workers."""
        first, end, written = window
        own = [call for call in calls if first <= call[0] <= end]
        after = [call for call in calls if end < call[0] <= written]
        beside = [call for call in in_workers if first <= call[0] <= written]
        files = list(dict.fromkeys(file for _, _, file in own))
        worker = [file for file in dict.fromkeys(file for _, _, file in beside) if file not in files]
        writing = [file for file in dict.fromkeys(file for _, _, file in after) if file not in files]
        hops = dict.fromkeys((caller, file) for _, caller, file in [*own, *beside, *after] if caller != file)
        return cls(files, worker, writing, list(hops))

    def entries(self, file: str) -> int:
        """Hops into a file."""
        return sum(called == file for _, called in self.hops)

    def returns(self, files: Sequence[str]) -> int:
        """Hops into these files after their first entries."""
        return sum(max(0, self.entries(file) - 1) for file in files)


def longest(tree: str, kind: str) -> Trace:
    """The trace that enters the most files, recorded in a process of its own."""
    command = [sys.executable, str(HERE), "--record", kind, "--tree", tree]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode or not done.stdout:
        raise SystemExit(f"the trace of {kind} failed:\n{done.stderr}")
    traces = [Trace(**fields) for fields in json.loads(done.stdout.splitlines()[-1])]
    if len(traces) < QUESTIONS:
        raise SystemExit(f"the trace of {kind} saw {len(traces)} of {QUESTIONS} begin and end")
    return max(traces, key=lambda trace: len(trace.files) + len(trace.worker))


def table(kind: str, trace: Trace) -> str:
    """A trace as text: a line a file, with the hops into it."""

    def lines(files: Sequence[str], first: int) -> list[str]:
        return [f"  {number:2} {file} ({trace.entries(file)})" for number, file in enumerate(files, first)]

    files, worker, writing = trace.files, trace.worker, trace.writing
    rows = [
        f"{kind}: {len(files)} files entered (limit {LIMITS[kind]}), {trace.returns(files)} returns",
        *lines(files, 1),
        f"  in the sandbox's worker alone: {len(worker)} files, {trace.returns(worker)} returns",
        *lines(worker, len(files) + 1),
    ]
    if writing:
        rows.append(f"  from the loss to the row of the curve: {len(writing)} files")
        rows += lines(writing, len(files) + len(worker) + 1)
    return "\n".join(rows)


@contextmanager
def checkout(commit: str) -> Iterator[str]:
    """The folder of a commit's files; this repository's own folder where no commit is named."""
    if not commit:
        yield str(REPOSITORY)
        return
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--detach", f"{folder}/tree", commit], check=True, capture_output=True)
        try:
            yield f"{folder}/tree"
        finally:
            subprocess.run([*git, "remove", "--force", f"{folder}/tree"], check=True)


def main() -> None:
    """Trace an evaluation and a training, and print both; exit 1 where a limit is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commit", default="", help="trace this commit instead of the files as they are")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--record", choices=LIMITS, help=argparse.SUPPRESS)
    parser.add_argument("--tree", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        print(json.dumps([asdict(trace) for trace in record(options.tree, options.record)]))
        return
    with checkout(options.commit) as tree:
        traces = {kind: longest(tree, kind) for kind in LIMITS}
    if options.json:
        print(json.dumps({kind: asdict(trace) for kind, trace in traces.items()}))
    else:
        print("\n\n".join(table(kind, trace) for kind, trace in traces.items()))
    if not options.commit and any(len(traces[kind].files) > limit for kind, limit in LIMITS.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
