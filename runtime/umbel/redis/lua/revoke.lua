-- Remember task ids as revoked, by the server's clock, and forget those that are too old or too many.
--
-- KEYS  1 revoked
-- ARGV  1 ms that an id is remembered, 2 ids at most, then the ids
-- Returns how many are remembered now

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1])) -- first: see cycle.lua on a full Redis
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], now, ARGV[i])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('ZCARD', KEYS[1])
