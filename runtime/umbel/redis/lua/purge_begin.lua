-- Close a queue that is to be deleted, and put aside some of what waits in it, for those who wait for it to be told.
-- May be repeated: nothing new comes in from the first call on.
--
-- KEYS  1 meta, 2 mark of the last purge, 3 bell, 4 eta, 5 park, 6 fair order, 7 its clocks, 8 dead, 9 deaths,
--       10 in-flight count, 11 dropped messages, 12.. ready lists by priority 0..9
-- ARGV  1 uid of the TaskQueue, 2 source, 3 epoch of its leader, 4 layout version, 5 how many messages to put aside,
--       6 serial of the definitions that say so
-- Returns {status, number}: {"aside", messages that somebody is to be told of}; {"held", messages that workers hold}: wait for these;
--         {"quiet", 0}: only keys are left; {"purged", 0}: done before; {"stale", highest epoch seen}; {"layout", version in Redis};
--         {"outdated", serial of its settings}: later definitions want the queue as it is

-- include set_aside

if redis.call('GET', KEYS[2]) == ARGV[1] then
  return {'purged', 0}
end
local settings = redis.call('HMGET', KEYS[1], 'layout', 'epoch:' .. ARGV[2], 'serial')
if settings[1] and tonumber(settings[1]) > tonumber(ARGV[4]) then
  return {'layout', tonumber(settings[1])}
end
local seen, epoch = tonumber(settings[2] or '0'), tonumber(ARGV[3])
if epoch < seen then
  return {'stale', seen}
end
local serial = tonumber(settings[3] or '-1')
if serial > tonumber(ARGV[6]) then
  return {'outdated', serial}
end
redis.call('UNLINK', KEYS[3], unpack(KEYS, 7, 9))
local function as_it_is(message)
  return message
end
set_aside({unpack(KEYS, 12)}, KEYS[4], KEYS[6], KEYS[5], KEYS[11], KEYS[10], tonumber(ARGV[5]), as_it_is)
redis.call('HSET', KEYS[1], 'layout', ARGV[4], 'epoch:' .. ARGV[2], ARGV[3], 'purge', ARGV[1], 'intake', 'Reject',
  'dispatch', 'Held')
local aside = math.max(0, redis.call('HLEN', KEYS[11]) - 1)
if aside > 0 then
  return {'aside', aside}
end
local held = tonumber(redis.call('GET', KEYS[10]) or '0')
if held > 0 then
  return {'held', held}
end
return {'quiet', 0}
