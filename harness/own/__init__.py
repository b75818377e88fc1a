"""A user's own database: a task spec for it, and questions without a task."""
