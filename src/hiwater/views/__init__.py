"""What people and machines see: one exporter per file. Views take a recording's summary and return text."""
