"""Plain values that cross every boundary: definitions, plans, records, contexts and events. They import nothing above them."""
