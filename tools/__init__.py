"""Tools that made what is shipped; not part of the package."""
