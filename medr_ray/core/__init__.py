"""What every room stands on: configuration, records, run directories, lineage, the Ray session,
progress, errors."""
