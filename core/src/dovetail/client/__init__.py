"""Reading what was recorded, through the index."""
