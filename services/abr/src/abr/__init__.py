"""Adaptation: what viewers measure comes in, what they should play goes out.

Gateways send samples in batches, players report and ask for themselves. Each viewer is a small state
(`domain/viewer.py`): its newest downloads, and its buffer, reckoned up to the moment. A policy
(`domain/policies/`) looks at that and chooses a rendition, with a reason in words. Who asked is answered;
decisions that follow from samples are told to all gateways. States are kept in NATS, so that another process
goes on where this one was.
"""
