-- Close a queue that is to be deleted, and drop what waits in it. May be repeated: nothing new comes in from the first call on.
--
-- KEYS  1 meta, 2 mark of the last purge, 3 bell, 4 eta, 5 park, 6 fair order, 7 its clocks, 8 dead, 9 deaths,
--       10 in-flight count, 11 dropped messages, 12.. ready lists by priority 0..9
-- ARGV  1 uid of the TaskQueue, 2 source, 3 epoch of its leader, 4 layout version
-- Returns {status, number}: {"held", messages that workers hold, or that are to be told of}: wait for these; {"quiet", 0}: only keys are left;
--         {"purged", 0}: done before; {"stale", highest epoch seen}; {"layout", version in Redis}

if redis.call('GET', KEYS[2]) == ARGV[1] then
  return {'purged', 0}
end
local settings = redis.call('HMGET', KEYS[1], 'layout', 'epoch:' .. ARGV[2])
if settings[1] and tonumber(settings[1]) > tonumber(ARGV[4]) then
  return {'layout', tonumber(settings[1])}
end
local seen, epoch = tonumber(settings[2] or '0'), tonumber(ARGV[3])
if epoch < seen then
  return {'stale', seen}
end
redis.call('UNLINK', unpack(KEYS, 3, 9))
redis.call('UNLINK', unpack(KEYS, 12))
redis.call('HSET', KEYS[1], 'layout', ARGV[4], 'epoch:' .. ARGV[2], ARGV[3], 'purge', ARGV[1], 'intake', 'Reject',
  'dispatch', 'Held')
local held = tonumber(redis.call('GET', KEYS[10]) or '0') + math.max(0, redis.call('HLEN', KEYS[11]) - 1)
if held > 0 then
  return {'held', held}
end
return {'quiet', 0}
