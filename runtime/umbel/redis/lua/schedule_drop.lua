-- Take back what schedule_begin noted: the run was not enqueued, or its message is gone.
--
-- KEYS  1 state, 2 runs
-- ARGV  1 counted for max runs (0/1), then the run ids
-- Returns how many were noted

local dropped = 0
for i = 2, #ARGV do
  dropped = dropped + redis.call('HDEL', KEYS[2], ARGV[i])
end
if ARGV[1] == '1' and dropped > 0 and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'started', -dropped)
end
return dropped
