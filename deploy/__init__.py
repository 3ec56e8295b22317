"""What containers run around the API and the workers: making Temporal ready, and telling whether a process is well."""
