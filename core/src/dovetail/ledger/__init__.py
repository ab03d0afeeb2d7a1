"""The record of everything, kept in an artifact store with one primitive: create if absent."""
