"""What the array is: shapes, the description, and its assembly from claims."""
