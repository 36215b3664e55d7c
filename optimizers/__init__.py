"""The built-in optimizers, one module each."""
