"""Profiles of clients, read out of recorded sessions (after ClientCAST): fields, reading, and use by a client."""
