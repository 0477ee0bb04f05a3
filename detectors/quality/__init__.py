"""Quality of the data: what is missing, unreadable, out of bounds, unheard of, repeated, late or too much; one fault a file."""
