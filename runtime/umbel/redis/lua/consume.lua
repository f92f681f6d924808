-- Note which queues an owner has entered, and which of them it consumes, before it enters one more.
--
-- KEYS  1 heartbeats, 2 registry entry, 3 set of queue names
-- ARGV  1 owner, 2 the queues that it has entered, or is about to (JSON), 3 those that it consumes (JSON), 4 the new one, "" for none
-- Returns 1, or 0 when the owner was buried: its entry is not written again
--
-- A burial empties the queues of the first list, so a queue stands there before the owner can hold anything of it, and until its
-- end. The second list is what people are shown.

redis.call('ZREM', KEYS[1], '') -- nothing: see cycle.lua on a full Redis
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 0
end
if ARGV[4] ~= '' then
  redis.call('SADD', KEYS[3], ARGV[4])
end
redis.call('HSET', KEYS[2], 'queues', ARGV[2], 'consumed', ARGV[3])
return 1
