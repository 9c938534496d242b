"""The equations, one idea a file. Every model is `y = model(x)`, `y, trail = model.trace(x)`, `model.twin()`."""
