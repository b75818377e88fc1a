"""The models known by a name: the one that ships, and those that ``harness models get`` fetches."""
