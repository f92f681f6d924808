"""The Kubernetes API as the operator speaks it: apply, create, delete, patch, list, events, and typed errors."""
