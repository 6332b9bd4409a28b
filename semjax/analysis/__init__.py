"""From predictions to particles and numbers, in NumPy: two-dimensional arrays without channels."""
