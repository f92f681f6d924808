"""The Umbel operator: resources in, Deployments and configuration out."""
