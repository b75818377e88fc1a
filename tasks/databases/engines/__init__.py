"""The database engines: a file each, and what it needs beside it."""
