"""The mirror: tuned rows in ConfigMaps, for clusters whose pods can share no volume (docs/adr/0007)."""
