"""Everything that the service keeps, carried to another folder."""
