"""Adaptation: what viewers measure will come in here, what they should play will go out.

Nothing decides yet: the contract stands and is served, every call answers UNIMPLEMENTED, and players adapt
by themselves. Estimators, policies and viewers' state get their places in `domain/` and `adapters/` with the
first policy.
"""
