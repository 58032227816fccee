"""HTTP server and web page for one run."""
