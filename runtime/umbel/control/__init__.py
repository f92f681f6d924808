"""What supervisors, beat and the surfaces share: looking at workers, commanding them, burying the dead, answering probes."""
