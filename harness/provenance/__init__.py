"""The origin and identity of runs and models, and the files that commands write."""
