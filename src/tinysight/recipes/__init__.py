"""Training recipes: schema, loading and the built-in recipes."""
