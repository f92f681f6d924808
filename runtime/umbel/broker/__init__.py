"""Brokers: the port (`base`) and its adapters."""
