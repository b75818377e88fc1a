"""What depends on internals of other libraries: one module a library."""
