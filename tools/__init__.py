"""What helps to write the dashboard and is no part of it."""
