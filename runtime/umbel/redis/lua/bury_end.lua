-- Last step of a burial: forget the owner. Until here any other reaper goes on with it.
--
-- KEYS  1 dying, 2 registry entry, 3 heartbeats
-- ARGV  1 owner
-- Returns 1

redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[1], ARGV[1])
return 1
