"""How live media comes in: one module per protocol, each handing bytes of one container to a session."""
