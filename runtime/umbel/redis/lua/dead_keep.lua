-- Keep a message with the dead letters that no owner holds any more: one that was acknowledged before it ran.
--
-- KEYS  1 dead, 2 meta
-- ARGV  1 reason, 2 message
-- Returns 1 = kept, 0 = the queue's policy is Discard
--
-- The bounds are those of `cycle`.

local settings = redis.call('HMGET', KEYS[2], 'dead_policy', 'dead_retention', 'dead_max')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - (tonumber(settings[2]) or 604800) * 1000) -- first: see cycle.lua on a full Redis
if settings[1] == 'Discard' then
  return 0
end
redis.call('ZADD', KEYS[1], now, struct.pack('>I4', #ARGV[1]) .. ARGV[1] .. ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - (tonumber(settings[3]) or 100000))
return 1
