"""The naive truth the tests compare with: written from the kernel's formulas, sharing no code with the project."""
