"""Databases on servers: addresses, the embedded PostgreSQL, the role that reads, and copies of files on
them."""
