"""File systems: names, attributes, and where the bytes of files lie; read in processes of their own."""
