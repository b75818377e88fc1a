"""A notebook as a script: measure a model, look at its mistakes, train it, and ask whether that helped.

Each ``# %%`` starts a cell (VS Code, Jupytext). It runs offline, with the model and the task that ship, in a
few minutes on two CPU cores: ``python docs/examples/notebook.py``.
"""

# %% What is asked: questions, prompts and databases of a task
import tempfile
from pathlib import Path

import harness

task = harness.load_task("pocket")
sample = task.samples("test", limit=1)[0]
print(sample.question)
print(sample.gold[0])

# %% Judge any text as an answer, with its evidence
right, wrong = harness.score(task, [sample, sample], [sample.gold[0], "SELECT 1"])
print(right.scores["reward"].value, right.attempt.reason)
print(wrong.scores["reward"].value, wrong.attempt.reason, wrong.attempt.detail)

# %% Measure a model: a second call with the same inputs returns the same run
base = harness.evaluate("nano", task.name, limit=40)
figures = harness.summary(base)
print(f"EX {figures['ex']:.1%}, 95 % interval {figures['low']:.1%} to {figures['high']:.1%}")

# %% Every answer as a pandas data frame
answers = harness.records(base, frame=True)
print(answers.groupby("difficulty")["metric"].mean())
print(answers["reason"].value_counts())

# %% A few steps of SFT: a real training has hundreds
folder = Path(tempfile.mkdtemp()) / "sft"
settings = {"stage.dev_limit": 0, "train.max_steps": 12, "train.batch_size": 32, "train.learning_rate": 1e-3}
(training,) = harness.train("nano", task.name, folder, method="sft", limit=256, overrides=settings)
print(harness.curve(training)["loss"])

# %% Did it help? The same questions, with McNemar's test
trained = harness.evaluate(training.model, task.name, limit=40)
comparison = harness.compare(base, trained)
print(f"{comparison.all.wins} won, {comparison.all.losses} lost, p = {comparison.all.p:.2g}")
print(comparison.to_frame().query("a != b"))

# %% All that was measured here
print(harness.runs(kind="eval", frame=True)[["id", "model", "task", "seconds"]])
print(harness.board(base, trained).to_frame()[["model", "ex", "low", "high", "n"]])

# %% Mistakes are the package's own errors
try:
    harness.evaluate("nano", "pocket", overrides={"scoring.metrik": "bird"})
except harness.SpecError as error:
    print(error)
