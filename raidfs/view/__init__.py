"""What is on the array: the tree of nodes that is mounted. Knows block sources, neither FUSE nor the engine."""
