-- Delete the last keys of a queue that was purged, and note that.
--
-- KEYS  1 meta, 2 mark, 3 bell, 4 in-flight count
-- ARGV  1 uid of the TaskQueue, 2 source, 3 epoch of its leader, 4 ttl of the mark in ms
-- Returns 1 = done, 0 = workers hold messages again, -1 = it is not to be purged in this leader's name

local settings = redis.call('HMGET', KEYS[1], 'purge', 'epoch:' .. ARGV[2])
if settings[1] ~= ARGV[1] or tonumber(settings[2] or '0') ~= tonumber(ARGV[3]) then
  return -1
end
if tonumber(redis.call('GET', KEYS[4]) or '0') > 0 then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
return 1
