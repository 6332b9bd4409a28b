"""Pictures and the report page of a work folder; nothing here computes results."""
