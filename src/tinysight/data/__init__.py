"""Where images come from, how they are checked, kept and divided."""
