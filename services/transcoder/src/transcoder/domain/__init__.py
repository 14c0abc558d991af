"""Pure rules of the transcoder: no I/O, no clock, no randomness, no asyncio, no proto."""
