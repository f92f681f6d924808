-- Delete keys of a queue that is being purged, unless somebody has taken that back.
--
-- KEYS  1 meta, then the keys to delete
-- ARGV  1 uid of the TaskQueue, 2 source, 3 epoch of its leader
-- Returns how many there were; -1 = it is not, or no longer, to be purged in this leader's name

local settings = redis.call('HMGET', KEYS[1], 'purge', 'epoch:' .. ARGV[2])
if settings[1] ~= ARGV[1] or tonumber(settings[2] or '0') ~= tonumber(ARGV[3]) then
  return -1
end
return redis.call('UNLINK', unpack(KEYS, 2))
