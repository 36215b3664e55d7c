"""Evolution strategies: many CMA-ES searches at once, and mappings as vectors of numbers."""
