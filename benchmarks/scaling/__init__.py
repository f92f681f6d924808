"""What the built-in scaler makes of a load: `make simulate-scaling`."""
