"""`umbel up`: the same resources without a cluster. Plans and objects are the operator's; processes stand for pods."""
