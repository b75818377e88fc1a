"""Start a cluster here, print ``ready`` when its workers have done a job, and wait."""

import time

from harness.cluster.workers import scoring_workers
from rewards.grader import Grader
from rewards.types import Answer
from tasks.spec import ScoringSpec
from tasks.types import Database

if __name__ == "__main__":
    with scoring_workers("ray", 1) as workers, Grader(ScoringSpec(), workers) as grader:
        database = Database("d", ddl="CREATE TABLE t(x); INSERT INTO t VALUES (1)")
        (grade,) = grader.grade_answers([Answer(database, ("SELECT x FROM t",), "SELECT x FROM t")])
        assert grade.attempt.verdicts["strict"] == 1.0
        print("ready", flush=True)
        time.sleep(300)
