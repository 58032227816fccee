"""Small-image classifiers you can train on a laptop, check honestly and hand on responsibly."""
