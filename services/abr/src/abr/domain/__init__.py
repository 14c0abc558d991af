"""Pure rules of adaptation: what a policy sees, and what it answers. No I/O, no clock: `now` is an argument."""
