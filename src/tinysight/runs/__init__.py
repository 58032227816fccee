"""The run directory: its files, and the records that they hold."""
