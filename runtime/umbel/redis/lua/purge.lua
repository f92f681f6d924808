-- Drop all messages of a queue that wait: ready, delayed or for a place.
--
-- KEYS  1 eta, 2 park, 3 fair order, 4 its clocks, 5..14 ready lists by priority 0..9
-- Returns how many there were

local count = redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3])
for i = 5, #KEYS do
  count = count + redis.call('LLEN', KEYS[i])
end
redis.call('UNLINK', unpack(KEYS))
return count
