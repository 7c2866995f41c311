"""The gate by TensorFlow Data Validation's files: a schema for the data, or what a pipeline found in it."""
