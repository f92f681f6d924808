-- End a workflow of which nothing runs or waits any more.
--
-- KEYS  1 graph, 2 states, 3 values
-- ARGV  1 whose telling has ended: a node, "r" for who revoked it, "" for nobody's
-- Returns the queues that have a guard of it, one a line; nil if it is not over, or was gone

if ARGV[1] ~= '' and redis.call('HDEL', KEYS[2], 't' .. ARGV[1]) == 1 then
  redis.call('HINCRBY', KEYS[2], 'live', -1)
end
local live = redis.call('HGET', KEYS[2], 'live')
if not live or tonumber(live) > 0 or redis.call('HEXISTS', KEYS[2], 'closed') == 1 then
  return nil
end
local queues
-- include close_workflow
return queues
