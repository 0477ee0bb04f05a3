"""Texts become vectors between the spool and the panes, by a process that the service looks after."""
