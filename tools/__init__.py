"""Programs that make nano, the reference pages and the board's picture; not part of the package."""
