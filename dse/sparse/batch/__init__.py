"""Many mappings of one sparse design at once, in compiled code. Import `evaluate`."""
