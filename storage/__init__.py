"""Everything that touches files. A file appears whole or not at all."""
