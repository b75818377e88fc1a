"""Code that depends on internals of other libraries, one module for each library."""
