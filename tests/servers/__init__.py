"""Local servers that tests ask over real sockets."""
