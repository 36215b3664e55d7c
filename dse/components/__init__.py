"""Energy and area of the parts of an accelerator."""
