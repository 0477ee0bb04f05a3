"""What is kept: record log, labels, panes, ledger."""
