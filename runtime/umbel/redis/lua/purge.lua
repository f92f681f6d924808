-- Drop all ready and delayed messages of a queue.
--
-- KEYS  1 eta, 2..11 ready lists by priority 0..9
-- Returns how many there were

local count = redis.call('ZCARD', KEYS[1])
for i = 2, #KEYS do
  count = count + redis.call('LLEN', KEYS[i])
end
redis.call('UNLINK', unpack(KEYS))
return count
