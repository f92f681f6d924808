-- Enter an owner into the registry, before it enters its queues: a process that dies between the two is buried as any other.
--
-- KEYS  1 heartbeats, 2 registry entry, 3 set of queue names
-- ARGV  1 owner, 2 number of queues, then the queues' names, then field, value, ... of the entry
-- Returns now (ms)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local queues = tonumber(ARGV[2])
redis.call('ZREM', KEYS[1], '') -- nothing: see cycle.lua on a full Redis
for i = 3, 2 + queues do
  redis.call('SADD', KEYS[3], ARGV[i])
end
redis.call('HSET', KEYS[2], unpack(ARGV, 3 + queues))
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
