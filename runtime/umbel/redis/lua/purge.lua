-- Drop all messages of a queue that wait: ready, delayed or for a place.
--
-- KEYS  1 eta, 2 park, 3 fair order, 4 its clocks, 5..14 ready lists by priority 0..9, 15 meta
-- Returns how many there were
--
-- Purges are counted: locks of unique tasks from before do not count any more, since their tasks may be gone.

local count = redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3])
for i = 5, 14 do
  count = count + redis.call('LLEN', KEYS[i])
end
redis.call('UNLINK', unpack(KEYS, 1, 14))
if count > 0 then
  redis.call('HINCRBY', KEYS[15], 'purges', 1)
end
return count
