"""Result backends: the port (`base`) and its adapters."""
