"""What the data themselves say about the array, where the metadata leave it open."""
