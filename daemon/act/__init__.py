"""What goes out: executors, outbox, notifications, reports."""
