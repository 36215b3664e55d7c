"""Architecture templates, one YAML file each."""
