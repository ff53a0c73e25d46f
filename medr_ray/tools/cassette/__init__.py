"""Tool calls recorded, and played again word for word (``recorder``), in a folder of JSON files
that are each written once (``write_once_store``)."""
