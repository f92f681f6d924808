"""Everything that knows Redis: connections, key names, Lua scripts. Nothing outside imports redis-py."""
