"""Reads what the attributes of storage levels say of metadata."""

from __future__ import annotations

from dse.domain.sparse import MetadataStorage, SparseLevel
from dse.timeloop.read.component_tree import Component

_UINT32 = 2**32 - 1


def sparse_level(component: Component, version: str) -> SparseLevel:
    """Return what a level's attributes say of its metadata.

    Raises:
        SpecError: naming the place, and what was expected; with Timeloop's words where it stops.
    """
    attributes = component.attributes
    head = version == "4cf6d4c"

    def number(*names: str, default: int = 0) -> int:
        entry = attributes.get(*names)
        return default if entry is None else entry.integer(0, _UINT32)

    def flag(name: str) -> bool:
        entry = attributes.get(name)
        return entry is not None and entry.boolean()

    if flag("allow_overbooking"):
        raise attributes.refuse("allow_overbooking is not modelled with sparse_optimizations")
    width = number("metadata_storage_width", *(["metadata_width"] if head else []))
    word_bits = number("metadata_datawidth", "metadata_word_bits")
    block = number("metadata_block_size", default=1)
    if not block:
        raise attributes.refuse("metadata_block_size = 0, expected at least 1 (Timeloop aborts)")
    if word_bits and width % (word_bits * block):
        raise attributes.refuse(
            f"metadata_storage_width = {width}, expected a multiple of {word_bits * block} bits\n"
            f"ERROR: metadata storage width: {width}  metadata_block_size: {block} "
            f"metadata_datawidth: {word_bits}"
        )
    depth = number("metadata_storage_depth", *(["metadata_depth"] if head else []))
    return SparseLevel(
        metadata=MetadataStorage(width, depth, word_bits),
        decompresses=flag("decompression_supported"),
        compresses=flag("compression_supported"),
    )
