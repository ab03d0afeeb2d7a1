"""The same pipelines on every orchestrator and every artifact store, compared with the local reference."""
