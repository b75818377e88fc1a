"""Hand on a finished evaluation: files in the formats of other programs, and repositories on the Hub."""
