"""Pure rules of adaptation: what a policy sees, what it answers. No I/O, no clock: `now` is an argument."""
