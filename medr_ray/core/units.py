"""Units of bytes."""

GB = 1e9
"""Bytes of a gigabyte, as data sheets and disks count."""
