"""The worker: a supervisor that runs no user code, a zygote that imports the app, children that run the tasks."""
