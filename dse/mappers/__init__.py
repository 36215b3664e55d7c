"""Mappers: the search for mappings on fixed hardware."""
