"""What md's logs would write to the members when the array is next started: worked out as patches, never written."""
