"""A run's tables in the forms that other tools read, one module per format."""
