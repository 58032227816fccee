"""Results as pictures. Plain data comes in, a Matplotlib figure goes out; `style.save` writes it."""
