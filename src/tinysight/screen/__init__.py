"""What people see of work on a terminal or in a notebook."""
