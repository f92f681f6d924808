-- KEYS 1 graph, 2 states, 3 values of a workflow that is over: its values go at once, the rest can be looked at for a while.
-- Sets "queues", the names of those that have a guard, one a line.
queues = redis.call('HGET', KEYS[1], 'queues') or ''
local keep = tonumber(redis.call('HGET', KEYS[1], 'keep') or '0')
redis.call('UNLINK', KEYS[3])
if keep > 0 then
  redis.call('HSET', KEYS[2], 'closed', '1')
  redis.call('PEXPIRE', KEYS[1], keep)
  redis.call('PEXPIRE', KEYS[2], keep)
else
  redis.call('UNLINK', KEYS[1], KEYS[2])
end
