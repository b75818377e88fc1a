"""What surrounds a training: its stages, the questions it may see, its plan, its processes, its alarms."""
