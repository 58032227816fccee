"""Terminal and notebook output."""
