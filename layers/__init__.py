"""Workloads, one YAML file each."""
