"""The protocol: what a silo does, what the server does, and the messages between them."""
