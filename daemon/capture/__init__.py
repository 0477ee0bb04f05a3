"""What comes in: HTTP, validation, sampling, the write-ahead spool."""
