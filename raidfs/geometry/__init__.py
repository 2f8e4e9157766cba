"""Where each byte lies: pure address arithmetic over tables. No I/O, no redundancy arithmetic."""
