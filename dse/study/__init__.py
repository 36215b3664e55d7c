"""The study: what drives an optimizer, counts its samples and writes its journal."""
