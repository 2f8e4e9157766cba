"""What divides or joins block sources into others: partitions, logical volumes, encrypted volumes."""
