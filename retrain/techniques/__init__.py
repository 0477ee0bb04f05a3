"""Ways to fine-tune, one a file."""
