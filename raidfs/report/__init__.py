"""What is told about an array: facts gathered once, renderers that only print them."""
