"""Select, clean, de-duplicate, split: steps with a manifest and digests."""
