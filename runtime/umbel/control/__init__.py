"""What supervisors, beat and the surfaces share: asking and commanding workers, burying the dead, answering probes."""

from umbel.control.custom import State, control_command, inspect_command

__all__ = ["State", "control_command", "inspect_command"]
