"""How values become files and files become values."""
