"""Pictures and widgets: knows records, knobs and symbols, never a model."""
