"""The status pages: rendered on the server, without a script, a build step or anything from elsewhere."""
