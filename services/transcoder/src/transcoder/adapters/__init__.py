"""What the transcoder reaches outside: one module per outside thing."""
