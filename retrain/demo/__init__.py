"""The stand-in for a user's model server, and the corpora that the demo is made of."""
