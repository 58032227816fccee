"""A run as an HTTP server with a page."""
