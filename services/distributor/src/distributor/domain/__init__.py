"""The rules of ledgers and streams, without I/O, clock or chance."""
