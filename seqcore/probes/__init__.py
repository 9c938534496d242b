"""What to measure inside a model: one idea a file; every probe is a function of a model or of a trail."""
