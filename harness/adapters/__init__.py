"""Tasks for other programs: trainers and evaluators that score answers with our grader."""
