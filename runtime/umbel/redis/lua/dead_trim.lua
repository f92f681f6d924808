-- Drop the dead letters of a queue that are older than its settings keep them, and those beyond the count.
--
-- KEYS  1 dead, 2 meta
-- Returns how many there were

local settings = redis.call('HMGET', KEYS[2], 'dead_retention', 'dead_max')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dropped = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - (tonumber(settings[1]) or 604800) * 1000)
return dropped + redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - (tonumber(settings[2]) or 100000))
